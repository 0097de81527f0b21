"""X, polled: timelines, posts and profiles by id, and recent search where timelines fail. Read-only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from monitor.model import Account, Post, Profile, Unreadable
from monitor.sources._x_client import (
    Answer,
    Client,
    TooLargeError,
    answered,
    last_segment,
    limit_of,
    listed,
    next_token,
    posts_of,
    problem,
)
from monitor.sources._x_cut import own
from monitor.sources._x_dialect import missing, unseen_fields
from monitor.sources._x_ladder import Ladder, Send
from monitor.sources._x_payload import id_time, includes, is_id, newest_version, read_profile, time_id
from monitor.sources._x_timeline import Cursor, Walk, walk
from monitor.sources._x_truth import is_ahead, true_post
from monitor.sources.interface import PAGES, Batch, Faces, Found, Settings, SourceError, Trouble

SWEEP, SWEEP_EVERY = timedelta(hours=1), timedelta(minutes=10)  # how far back is looked for late posts, and how often
READ_AGAIN = timedelta(days=7)  # behind a cursor that lay ahead of X's clock
OVERLAP = timedelta(seconds=120)  # read again behind the newest post while it is young: ids can arrive late
MOST_SHOWN = 3_200  # posts of a timeline, however far back one asks (docs.x.com, user posts timeline)
FIRST_SIGHT = 20  # posts of the baseline

SEARCH_BEHIND = timedelta(seconds=11)  # a search may not end later than ten seconds ago
_QUERY = 512  # characters of a search


def build(settings: Settings, secrets: Mapping[str, str]) -> XSource:
    """The X source. Raises KeyError when the secret `x_bearer_token` is missing."""
    return XSource(Client(settings, secrets), settings)


class XSource:
    """See `Source`. Keeps no state between calls but in which words X takes questions."""

    def __init__(self, client: Client, settings: Settings) -> None:
        self.client = client
        self._clock, self._observer = settings.clock, settings.observer
        self._timelines, self._lookup = Ladder("timelines", settings), Ladder("posts by id", settings)
        self._recent, self._profiles = Ladder("search", settings), Ladder("profiles", settings, patience=2)

    async def resolve(self, handles: tuple[str, ...]) -> dict[str, str | SourceError]:
        """One request per hundred handles: X allows 300 requests in fifteen minutes."""
        found: dict[str, str | SourceError] = {}
        for start in range(0, len(handles), 100):
            some = {h.lower(): h for h in handles[start : start + 100]}
            page, _ = await self.client.ask(self.client.get_users(usernames=list(some.values())))
            answered(page)
            for user in listed(page, "data"):
                handle = some.get(str(user.get("username")).lower())
                if handle and str(user.get("id", "")).isdigit():
                    found[handle] = str(user["id"])
            for error in listed(page, "errors"):
                handle = some.get(str(error.get("value") or error.get("resource_id")).lower())
                if handle:
                    found[handle] = problem({"errors": [error]}) or SourceError(Trouble.GONE, f"X knows no account @{handle}")
        return {h: found.get(h, SourceError(Trouble.UNAVAILABLE, f"X said nothing of @{h}")) for h in handles}

    async def read(self, account: Account, cursor: str | None, pages: int = PAGES) -> Batch:
        """Everything since the cursor minus the overlap, newest stretch first, then any old gap.

        Every ten minutes it goes back an hour, for posts that X shows late: mostly that is the same one request.
        """
        if cursor is None:
            return await self._first_sight(account)
        known, lost = _parsed(cursor), ""
        since, sweeping = self._since(known)
        new = await self._walk(account, since, None, pages, -1 if sweeping else int(known.newest))
        theirs = new.theirs or self.client.now()
        if is_ahead(known.newest, theirs):
            known, lost, since, sweeping = *_pulled_back(theirs), str(time_id(theirs - READ_AGAIN)), True
            new = await self._walk(account, since, None, pages)
        newest = max(known.newest, new.newest or "0", key=int)
        walks, gap = [new], new.rest(since)
        if known.gap and not gap:
            old = await self._gap(account, known.gap, pages, new)
            gap, walks = old.rest(*known.gap), [old, new]
            lost = lost or _out_of_reach(known, old, new, gap)
        elif known.gap and gap:
            gap = (known.gap[0], gap[1])
        torn = next((w.torn for w in walks if w.torn), f"more posts than {pages} pages")
        after = Cursor(
            newest, gap, known.read + _fresh(walks, known), not gap and theirs - id_time(newest) > OVERLAP,
            str(time_id(theirs)) if sweeping else known.swept, known.floor,
        )  # fmt: skip
        missed = f"{torn}; the rest is read next" if gap else ""
        overdue = id_time(known.newest) - OVERLAP if not known.gap and not lost else None
        bodies = tuple(b for w in walks for b in w.bodies)
        return Batch(_sorted(walks), str(after), bodies, _window(new, since, known, gap), new.limit, missed, lost, overdue)

    async def _gap(self, account: Account, gap: tuple[str, str], pages: int, new: Walk) -> Walk:
        """What an earlier read did not finish. Where that fails, what is new is judged all the same."""
        try:
            return await self._walk(account, *gap, pages)
        except SourceError as error:
            found = [new.items, *([error.seen.items] if error.seen else [])]
            bodies = (*new.bodies, *(error.seen.bodies if error.seen else ()))
            error.seen = Batch(tuple(i for some in found for i in some), None, bodies)
            raise

    def _since(self, known: Cursor) -> tuple[str, bool]:
        """From where to read, and whether that is a sweep of the last hour. An old gap comes first."""
        now = self.client.now()
        usual = int(known.newest) if known.settled else time_id(id_time(known.newest) - OVERLAP)
        sweeping = not known.gap and abs(now - id_time(known.swept)) >= SWEEP_EVERY
        hour = max(time_id(now - SWEEP), int(known.floor or 0))
        return str(min(usual, hour) if sweeping else usual), sweeping

    async def _first_sight(self, account: Account) -> Batch:
        """One page for the baseline; of an empty timeline everything from now on is new. What lies about its id is for the next read."""
        found = await self._walk(account, None, None, 1, size=FIRST_SIGHT)
        now = found.theirs or self.client.now()
        cursor = Cursor(found.newest or str(time_id(now)), swept=str(time_id(now)), floor=found.newest or str(time_id(now)))
        items = tuple(i for i in _sorted([found]) if not is_ahead(i.id, now))
        return Batch(items, str(cursor), tuple(found.bodies), None, found.limit)

    async def _walk(self, account: Account, since: str | None, until: str | None, most: int, known: int = -1, *, size: int = 100) -> Walk:
        """See `walk`. A page is of fewer posts when so many are too large for one answer, and so are those after it."""
        sizes = [size, 20, 5]

        async def fetch(where: dict[str, str | None]) -> tuple[dict[str, Any], Answer, datetime]:
            while True:
                try:
                    asked = {"max_results": str(sizes[0])} | {k: v for k, v in where.items() if v is not None}
                    page, answer, _ = await self._timelines.ask(self._get(f"/2/users/{account.id}/tweets", asked))
                except TooLargeError:
                    if len(sizes) == 1:
                        raise
                    del sizes[0]
                else:
                    return page, answer, self._dated(answer)

        return await walk(fetch, account, since, until, most, known)

    def _dated(self, answer: Answer) -> datetime:
        """X's clock when it answered; ours where it does not say."""
        return answer.dated or self._clock()

    def _get(self, route: str, asked: Mapping[str, str]) -> Send:
        """Asks this of X, in whatever form it is told to."""

        async def send(form: Mapping[str, str]) -> tuple[dict[str, Any], Answer]:
            return await self.client.ask(self.client.request("GET", route, params={**asked, **form}))

        return send

    async def since(self, when: datetime) -> str:
        """As after a read that ended then."""
        return str(Cursor(str(time_id(when)), floor=str(time_id(when))))

    async def profiles(self, accounts: tuple[Account, ...]) -> Faces:
        """One request per hundred accounts."""
        out: dict[str, Profile | SourceError] = {}
        bodies, newest, limit, unseen = [], {}, None, frozenset[str]()
        for start in range(0, len(accounts), 100):
            some = {a.id: a.key for a in accounts[start : start + 100]}
            page, answer, form = await self._profiles.ask(self._get("/2/users", {"ids": ",".join(some)}))
            answered(page)
            unseen |= unseen_fields(form, missing(form, page))
            bodies.append(own(page, answer.body, some))
            limit = limit_of(answer)
            users = listed(page, "data")
            for user in users:
                if str(user.get("id")) in some:
                    key = some[str(user["id"])]
                    out[key] = _profile(user, key)
                    newest[key] = str(user.get("most_recent_tweet_id") or user.get("most_recent_post_id") or "")
            if any(_has_posted(u) for u in users) and not any(newest.values()):
                self._observer.odd("users without most_recent_tweet_id", bodies[-1])
            for error in listed(page, "errors"):
                hidden = some.get(str(error.get("value") or error.get("resource_id")))
                if hidden:
                    out[hidden] = problem({"errors": [error]}) or SourceError(Trouble.GONE, "X does not show it")
        unsaid = SourceError(Trouble.UNAVAILABLE, "X said nothing of its profile")
        out = {a.key: out.get(a.key, unsaid) for a in accounts}
        return Faces(out, tuple(bodies), {k: v for k, v in newest.items() if is_id(v)}, limit, unseen)

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
        if len(accounts) > 1 and not _say_whose(pages):
            raise SourceError(Trouble.UNAVAILABLE, "X does not say whose the posts are that were asked for by their ids")
        absent = [e for e in listed(page, "errors") if last_segment(e) == "resource-not-found"]
        gone = {str(e.get("value") or e.get("resource_id")) for e in absent} & set(identifiers)
        bodies = _kept(pages, accounts)
        self._count(page, identifiers, bodies[0])
        return Found(self._of(accounts, pages), frozenset(gone), bodies)

    async def _by_id(self, identifiers: tuple[str, ...]) -> tuple[dict[str, Any], Answer]:
        page, answer, _ = await self._lookup.ask(self._get("/2/tweets", {"ids": ",".join(identifiers[:100])}))
        answered(page)
        return page, answer

    def _count(self, page: dict[str, Any], identifiers: tuple[str, ...], body: bytes) -> None:
        """What X names neither as there nor as missing is neither."""
        named = {str(d.get("id")) for d in listed(page, "data")}
        named |= {str(e.get("value") or e.get("resource_id")) for e in listed(page, "errors")}
        if not set(identifiers[:100]) <= named:
            self._observer.odd("an answer by ids that leaves some of them out", body)

    def _of(self, accounts: tuple[Account, ...], pages: Iterable[tuple[dict[str, Any], Answer]]) -> tuple[Post | Unreadable, ...]:
        """The posts of these accounts, oldest first, each once. Of somebody else there is none among what was asked for: such
        a one is unreadable, and the first account's where nobody can say whose it should be.
        """
        ours = {a.id: a for a in accounts}
        found = {}
        for page, answer in pages:
            more = includes(page, answer.unseen)
            for data in listed(page, "data") if accounts else ():
                author = str(data.get("author_id") or "")
                if author or len(accounts) == 1:
                    owner = ours.get(author, accounts[0])
                    item = true_post(data, owner.key, owner.id, more, self._dated(answer))
                    found[(item.id, type(item))] = item
        return tuple(sorted(found.values(), key=lambda i: (i.created_at, len(i.id), i.id)))

    async def search(self, accounts: tuple[Account, ...], since: datetime) -> Found:
        """Recent search: another backend than the timelines. Ten seconds late, and without reposts since May 2026."""
        now = self.client.now()
        span = {"start_time": _stamp(max(since, now - timedelta(days=6))), "end_time": _stamp(now - SEARCH_BEHIND), "max_results": "100"}
        pages: list[tuple[dict[str, Any], Answer]] = []
        missed = ""
        for query in queries(accounts, _QUERY):
            found, why = await self._searched({"query": query} | span)
            pages += found
            missed = missed or why
        if len(accounts) > 1 and not _say_whose(pages):
            missed = "X's search does not say whose the posts are"
        return Found(self._of(accounts, pages), frozenset(), _kept([p for p in pages if p[0].get("data")], accounts), missed)

    async def _searched(self, asked: dict[str, str]) -> tuple[list[tuple[dict[str, Any], Answer]], str]:
        """The pages of one search, and why they may not be all. An empty page with a token does not end it, a repeated one does."""
        pages: list[tuple[dict[str, Any], Answer]] = []
        seen, tokens = set[str](), set[str]()
        while True:
            page, answer, _ = await self._recent.ask(self._get("/2/tweets/search/recent", asked))
            posts, wrong = posts_of(page)
            if wrong and not posts:
                raise wrong
            pages.append((page, answer))
            token = next_token(page)
            if not token:
                return pages, str(wrong or "")
            ids = {str(p.get("id")) for p in listed(page, "data")}
            if token in tokens or (ids and ids <= seen):
                return pages, "X's search shows a page again"
            if len(pages) >= PAGES:
                return pages, f"more posts than {PAGES} pages of a search"
            seen |= ids
            tokens.add(token)
            asked = asked | {"next_token": token}

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


def _parsed(cursor: str) -> Cursor:
    """One without a floor is of before there were sweeps: they go back to where it was then."""
    known = Cursor.parse(cursor)
    return known if known.floor else replace(known, floor=str(time_id(id_time(known.newest) - OVERLAP)))


def _pulled_back(theirs: datetime) -> tuple[Cursor, str]:
    """In place of a cursor ahead of X's clock, which an id that lied has moved: what came after it went unread. And what to say."""
    back = str(time_id(theirs - READ_AGAIN))
    said = "the place up to which posts were read lay ahead of X's clock, so that posts may have gone unread"
    return Cursor(back, floor=back), f"{said}: those of the last {READ_AGAIN.days} days are read again, older ones are not"


def _sorted(walks: list[Walk]) -> tuple[Post | Unreadable, ...]:
    """Oldest first, each once."""
    unique = {(i.id, type(i)): i for w in walks for i in w.items}
    return tuple(sorted(unique.values(), key=lambda i: (i.created_at, len(i.id), i.id)))


def _fresh(walks: list[Walk], known: Cursor) -> int:
    """How many posts were read that no read before had."""
    below = int(known.gap[1]) - 1 if known.gap else 0
    return len({i for w in walks for i in w.ids if int(i) > int(known.newest) or int(i) < below})


def _out_of_reach(known: Cursor, old: Walk, new: Walk, gap: tuple[str, str] | None) -> str:
    """What to say where the gap was read to its end, and so many posts were read that X may have shown no more."""
    if gap or known.gap is None or known.read + _fresh([old, new], known) < MOST_SHOWN - 100:
        return ""
    oldest = min(old.ids, key=int, default=known.gap[1])
    return f"X shows only the newest {MOST_SHOWN:,} posts, so that what was posted from {_when(known.gap[0])} to {_when(oldest)} may never be read"


def _window(new: Walk, since: str, known: Cursor, gap: tuple[str, str] | None) -> datetime | None:
    """From when on nothing can be missing in what was read; None where nothing was read again."""
    if gap or not new.complete or int(since) >= int(known.newest):
        return None
    return id_time(since) if new.exhausted or new.reached is None else id_time(str(new.reached))


def _when(identifier: str) -> str:
    return f"{id_time(identifier):%Y-%m-%d %H:%M:%S} UTC"


def _kept(pages: list[tuple[dict[str, Any], Answer]], accounts: tuple[Account, ...]) -> tuple[bytes, ...]:
    """What of these answers is evidence."""
    ours = [a.id for a in accounts]
    return tuple(own(page, answer.body, ours) for page, answer in pages)


def _say_whose(pages: list[tuple[dict[str, Any], Answer]]) -> bool:
    return all("author_id" in d for page, _ in pages for d in listed(page, "data"))


def _has_posted(user: dict[str, Any]) -> bool:
    metrics = user.get("public_metrics")
    return isinstance(metrics, dict) and bool(metrics.get("tweet_count") or metrics.get("post_count"))


def _profile(user: dict[str, Any], key: str) -> Profile | SourceError:
    try:
        return read_profile(user, key)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return SourceError(Trouble.UNAVAILABLE, f"X's profile could not be parsed ({type(error).__name__})")
