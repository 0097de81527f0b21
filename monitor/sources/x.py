"""X, polled: timelines, posts and profiles by id, and recent search where timelines fail. Read-only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from monitor.model import Account, Post, Profile, Unreadable
from monitor.sources._x_client import Answer, Client, TooLargeError, last_segment, limit_of, listed, problem
from monitor.sources._x_payload import id_time, includes, is_id, newest_version, read_post, read_profile, time_id
from monitor.sources.interface import PAGES, Batch, Faces, Found, Limit, Settings, SourceError, Trouble

OVERLAP = timedelta(seconds=120)  # read again behind the newest post while it is young: ids can arrive late
MOST_SHOWN = 3_200  # posts of a timeline, however far back one asks (docs.x.com, user posts timeline)
FIRST_SIGHT = 20  # posts of the baseline

SEARCH_BEHIND = timedelta(seconds=11)  # a search may not end later than ten seconds ago
_QUERY = 512  # characters of a search
_EXPECTED = ("author_id", "created_at", "conversation_id")  # of every post, as asked for
POST_FIELDS = (
    "author_id,created_at,entities,attachments,referenced_tweets,note_tweet,article,card_uri,edit_controls,"
    "edit_history_tweet_ids,conversation_id,in_reply_to_user_id,reply_settings,community_id,lang,"
    "possibly_sensitive,withheld,scopes,display_text_range,media_metadata"
)
FIELDS = {
    "tweet_fields": POST_FIELDS,
    "expansions": "attachments.media_keys,attachments.poll_ids",
    "media_fields": "type,url,preview_image_url,alt_text",
    "poll_fields": "options",
}
_USER_FIELDS = (
    "name,username,description,location,url,entities,profile_image_url,profile_banner_url,pinned_tweet_id,"
    "verified_type,affiliation,protected,most_recent_tweet_id,public_metrics"
)


def build(settings: Settings, secrets: Mapping[str, str]) -> XSource:
    """The X source. Raises KeyError when the secret `x_bearer_token` is missing."""
    return XSource(Client(settings, secrets["x_bearer_token"]), settings)


@dataclass(frozen=True, slots=True)
class _Cursor:
    """The newest id seen, and an older stretch (since, until) that one read could not finish, with how much of it was read.

    `settled`: a read long after that post has found no late one before it, so that nothing there is read again.
    """

    newest: str
    gap: tuple[str, str] | None = None
    read: int = 0
    settled: bool = False

    @classmethod
    def parse(cls, text: str) -> _Cursor:
        newest, _, gap = text.partition(";")
        since, until, read = [*gap.split("-"), "", "0"][:3] if gap else ("", "", "0")
        return cls(newest.removesuffix("!"), (since, until) if gap else None, int(read or 0), newest.endswith("!"))

    def __str__(self) -> str:
        newest = f"{self.newest}!" if self.settled else self.newest
        return f"{newest};{self.gap[0]}-{self.gap[1]}-{self.read}" if self.gap else newest


class XSource:
    """See `Source`. Keeps no state between calls but the account ids it was given."""

    def __init__(self, client: Client, settings: Settings) -> None:
        self.client = client
        self._clock, self._observer = settings.clock, settings.observer

    async def resolve(self, handles: tuple[str, ...]) -> dict[str, str | SourceError]:
        """One request per hundred handles: X allows 300 requests in fifteen minutes."""
        found: dict[str, str | SourceError] = {}
        for start in range(0, len(handles), 100):
            some = {h.lower(): h for h in handles[start : start + 100]}
            page, _ = await self.client.ask(self.client.get_users(usernames=list(some.values())))
            for user in listed(page, "data"):
                handle = some.get(str(user.get("username")).lower())
                if handle and str(user.get("id", "")).isdigit():
                    found[handle] = str(user["id"])
            for error in listed(page, "errors"):
                handle = some.get(str(error.get("value") or error.get("resource_id")).lower())
                if handle:
                    found[handle] = problem({"errors": [error]}) or SourceError(Trouble.GONE, f"X knows no account @{handle}")
        return {h: found.get(h, SourceError(Trouble.GONE, f"X knows no account @{h}")) for h in handles}

    async def read(self, account: Account, cursor: str | None, pages: int = PAGES) -> Batch:
        """Everything since the cursor minus the overlap, newest stretch first, then any old gap."""
        if cursor is None:
            return await self._first_sight(account)
        known = _Cursor.parse(cursor)
        since = known.newest if known.settled else str(time_id(id_time(known.newest) - OVERLAP))
        new = await self._stretch(account, since, None, pages, known=int(known.newest))
        newest = max([known.newest, *new.ids], key=int)
        gap, items, bodies, lost = new.rest(since), list(new.items), list(new.bodies), ""
        if known.gap and not gap:
            old = await self._stretch(account, known.gap[0], known.gap[1], pages)
            gap = old.rest(known.gap[0])
            items, bodies = [*old.items, *items], [*old.bodies, *bodies]
            if not gap and known.read + len(old.ids) + len(new.ids) >= MOST_SHOWN - 100:
                oldest = min(old.ids, key=int, default=known.gap[1])
                lost = f"X shows only the newest {MOST_SHOWN:,} posts, so that what was posted from {_when(known.gap[0])} to {_when(oldest)} may never be read"
        elif known.gap and gap:
            gap = (known.gap[0], gap[1])
        window = id_time(since if new.exhausted else min(new.ids, key=int)) if not gap and (new.exhausted or new.ids) else None
        window = None if since == known.newest else window  # nothing was read again, so that nothing can be missing
        missed = f"more posts than {pages} pages; the rest is read next" if gap else ""
        unique = {(i.id, type(i)): i for i in items}
        ordered = sorted(unique.values(), key=lambda i: (i.created_at, len(i.id), i.id))
        settled = not gap and self._clock() - id_time(newest) > OVERLAP
        after = _Cursor(newest, gap, known.read + len(unique), settled)
        return Batch(tuple(ordered), str(after), tuple(bodies), window, new.limit, missed, lost)

    async def _first_sight(self, account: Account) -> Batch:
        """One page for the baseline; of an empty timeline everything from now on is new."""
        stretch = await self._stretch(account, None, None, 1, FIRST_SIGHT)
        newest = max(stretch.ids, key=int, default=str(time_id(self._clock())))
        items = sorted(stretch.items, key=lambda i: (i.created_at, len(i.id), i.id))
        return Batch(tuple(items), str(_Cursor(newest)), tuple(stretch.bodies), None, stretch.limit)

    async def _stretch(
        self, account: Account, since: str | None, until: str | None, most: int, size: int = 100, known: int = -1
    ) -> _Stretch:
        """Pages from newest to oldest, until one reaches `known`. A short page is not the last one; a
        repeated one is. Reading on into the overlap would starve an old gap while posts pour in.
        """
        token: str | None = None
        found, seen = _Stretch([], [], set()), set[str]()
        for _ in range(most):
            page, answer = await self._page(account, size, since_id=since, until_id=until, pagination_token=token)
            hidden = problem(page)
            if hidden and "data" not in page:
                raise hidden
            found.add(page, answer, account, self._clock())
            self._compare(page, answer.body)
            token = (page.get("meta") or {}).get("next_token") if isinstance(page.get("meta"), dict) else None
            if not token or not (found.ids - seen):
                found.complete = found.exhausted = True
                break
            if found.ids and int(min(found.ids, key=int)) <= known:
                found.complete = True
                break
            seen = set(found.ids)
        return found

    async def _page(self, account: Account, size: int, **where: str | None) -> tuple[dict[str, Any], Answer]:
        """One page of a timeline, of fewer posts when so many are too large for one answer."""
        for fewer in (size, 20, 5):
            try:
                return await self.client.ask(self.client.get_users_tweets(account.id, max_results=fewer, **where, **FIELDS))
            except TooLargeError:
                continue
        raise TooLargeError

    def _compare(self, page: dict[str, Any], body: bytes) -> None:
        """Whether the fields we asked for arrived: X drops what it does not know, silently."""
        posts = [d for d in listed(page, "data") if "text" in d]
        for name in _EXPECTED:
            if posts and not all(name in d for d in posts):
                self._observer.odd(f"posts without {name}", body)
        if posts and not all("edit_history_tweet_ids" in d or "edit_history_post_ids" in d for d in posts):
            self._observer.odd("posts without their edit history", body)

    async def profiles(self, accounts: tuple[Account, ...]) -> Faces:
        """One request per hundred accounts."""
        out: dict[str, Profile | SourceError] = {}
        bodies, newest, limit = [], {}, None
        for start in range(0, len(accounts), 100):
            some = {a.id: a.key for a in accounts[start : start + 100]}
            page, answer = await self.client.ask(self.client.get_users(ids=list(some), user_fields=_USER_FIELDS))
            bodies.append(answer.body)
            limit = limit_of(answer)
            users = listed(page, "data")
            for user in users:
                if str(user.get("id")) in some:
                    key = some[str(user["id"])]
                    out[key] = _profile(user, key)
                    newest[key] = str(user.get("most_recent_tweet_id") or user.get("most_recent_post_id") or "")
            if any(_has_posted(u) for u in users) and not any(newest.values()):
                self._observer.odd("users without most_recent_tweet_id", answer.body)
            for error in listed(page, "errors"):
                hidden = some.get(str(error.get("value") or error.get("resource_id")))
                if hidden:
                    out[hidden] = problem({"errors": [error]}) or SourceError(Trouble.GONE, "X does not show it")
        return Faces(out, tuple(bodies), {k: v for k, v in newest.items() if is_id(v)}, limit)

    async def author(self, post: Post) -> str:
        """One post and its author, asked for by id: billed as both, so only where a registration needs it."""
        page, _ = await self.client.ask(self.client.get_tweets([post.referenced_id], expansions="author_id", user_fields="username"))
        users = page.get("includes") if isinstance(page.get("includes"), dict) else {}
        authors = [str(d.get("author_id")) for d in listed(page, "data") if str(d.get("id")) == post.referenced_id]
        return next((str(u.get("username")) for u in listed(users or {}, "users") if str(u.get("id")) in authors), "")

    async def posts(self, accounts: tuple[Account, ...], identifiers: tuple[str, ...]) -> Found:
        """By id, at most a hundred; of one that was edited, the newest version too. Only those X names as not found are gone."""
        page, answer = await self._by_id(identifiers)
        newer = {n for d in listed(page, "data") if (n := newest_version(d)) and n not in identifiers}
        pages = [(page, answer), *([await self._by_id(tuple(newer)[:100])] if newer else [])]
        absent = [e for e in listed(page, "errors") if last_segment(e) == "resource-not-found"]
        gone = {str(e.get("value") or e.get("resource_id")) for e in absent} & set(identifiers)
        return Found(_of(accounts, pages, self._clock()), frozenset(gone), tuple(a.body for _, a in pages))

    async def _by_id(self, identifiers: tuple[str, ...]) -> tuple[dict[str, Any], Answer]:
        return await self.client.ask(self.client.get_tweets(list(identifiers[:100]), **FIELDS))

    async def search(self, accounts: tuple[Account, ...], since: datetime) -> Found:
        """Recent search: another backend than the timelines. Ten seconds late, and without reposts since May 2026."""
        now = self._clock()
        start, end = max(since, now - timedelta(days=6)), now - SEARCH_BEHIND
        pages: list[tuple[dict[str, Any], Answer]] = []
        for query in queries(accounts, _QUERY):
            token = None
            for _ in range(PAGES):
                page, answer = await self.client.ask(
                    self.client.search_recent_tweets(
                        query, max_results=100, start_time=_stamp(start), end_time=_stamp(end), next_token=token, **FIELDS
                    )
                )
                pages.append((page, answer))
                meta = page.get("meta")
                token = meta.get("next_token") if isinstance(meta, dict) else None
                if not token or not page.get("data"):
                    break
        return Found(_of(accounts, pages, now), frozenset(), tuple(a.body for p, a in pages if p.get("data")))

    async def balance(self) -> float | None:
        """Best effort: X answers this to some apps only, and its description does not have it yet."""
        try:
            page, _ = await self.client.ask(self.client.request("GET", "/2/usage/credits"))
        except SourceError as error:
            if error.trouble in (Trouble.UNAVAILABLE, Trouble.REJECTED) or "403" in str(error):
                return None
            raise
        data = page.get("data")
        left = data.get("total_balance") if isinstance(data, dict) else None
        return float(left) if isinstance(left, int | float) and not isinstance(left, bool) else None


def queries(accounts: tuple[Account, ...], most: int) -> list[str]:
    """`from:1 OR from:2` in as few pieces as fit into so many characters each."""
    out: list[str] = []
    for account in accounts:
        term = f"from:{account.id}"
        if out and len(out[-1]) + len(term) + 4 <= most:
            out[-1] += f" OR {term}"
        else:
            out.append(term)
    return out


def _stamp(when: datetime) -> str:
    return f"{when:%Y-%m-%dT%H:%M:%SZ}"


def _of(accounts: tuple[Account, ...], pages: list[tuple[dict[str, Any], Answer]], now: datetime) -> tuple[Post | Unreadable, ...]:
    """The posts of these accounts, oldest first, each once."""
    keys = {a.id: a.key for a in accounts}
    found = {}
    for page, _ in pages:
        for data in listed(page, "data"):
            key = keys.get(str(data.get("author_id")))
            if key:
                item = read_post(data, key, includes(page), now)
                found[(item.id, type(item))] = item
    return tuple(sorted(found.values(), key=lambda i: (i.created_at, len(i.id), i.id)))


@dataclass
class _Stretch:
    """What some pages of a timeline held."""

    items: list[Post | Unreadable]
    bodies: list[bytes]
    ids: set[str]
    complete: bool = False  # everything new was read
    exhausted: bool = False  # and everything down to `since`
    limit: Limit | None = None

    def add(self, page: dict[str, Any], answer: Answer, account: Account, now: datetime) -> None:
        """Take one page in."""
        data, more = page.get("data"), includes(page)
        items = data if isinstance(data, list) else [data] if data else []
        self.items += [read_post(d, account.key, more, now) for d in items]
        self.ids |= {i.id for i in self.items if is_id(i.id)}
        self.limit = limit_of(answer)
        if items:
            self.bodies.append(answer.body)

    def rest(self, since: str | None) -> tuple[str, str] | None:
        """What lies between `since` and the oldest id read, when the pages ran out."""
        if self.complete or not self.ids:
            return None
        return since or "0", min(self.ids, key=int)


def _when(identifier: str) -> str:
    return f"{id_time(identifier):%Y-%m-%d %H:%M:%S} UTC"


def _has_posted(user: dict[str, Any]) -> bool:
    metrics = user.get("public_metrics")
    return isinstance(metrics, dict) and bool(metrics.get("tweet_count"))


def _profile(user: dict[str, Any], key: str) -> Profile | SourceError:
    try:
        return read_profile(user, key)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return SourceError(Trouble.UNAVAILABLE, f"X's profile could not be parsed ({type(error).__name__})")
