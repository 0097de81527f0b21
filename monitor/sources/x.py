"""X, polled through tweepy's AsyncClient, read-only.

Tweepy's own request method waits, loses error bodies and trips over HTML (4.17, measured), so this
module replaces that one method and keeps the rest: routes and parameters.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
from tweepy.asynchronous import AsyncClient

from monitor.model import Account, Post, Profile, Unreadable
from monitor.sources._x_payload import id_time, includes, is_id, read_post, read_profile, text_of, time_id
from monitor.sources.interface import Batch, Faces, Limit, Settings, SourceError, Trouble

OVERLAP = timedelta(seconds=120)  # re-read behind the newest post: ids can arrive late
DEADLINE_SECONDS = 10
MOST_BYTES = 16 * 1024 * 1024  # of one answer
MOST_SHOWN = 3_200  # posts of a timeline, however far back one asks (docs.x.com, user posts timeline)
MOST_PAGES = 10  # of one read; the rest is read by the next one
FIRST_SIGHT = 20  # posts of the baseline

_POST_FIELDS = (
    "author_id,created_at,entities,attachments,referenced_tweets,note_tweet,article,card_uri,edit_controls,"
    "edit_history_tweet_ids,conversation_id,in_reply_to_user_id,reply_settings,community_id,lang,"
    "possibly_sensitive,withheld,scopes,display_text_range,media_metadata"
)
_FIELDS = {
    "tweet_fields": _POST_FIELDS,
    "expansions": "attachments.media_keys,attachments.poll_ids",
    "media_fields": "type,url,preview_image_url,alt_text",
    "poll_fields": "options",
}
_USER_FIELDS = (
    "name,username,description,location,url,entities,profile_image_url,profile_banner_url,pinned_tweet_id,"
    "verified_type,affiliation,protected,most_recent_tweet_id"
)


def build(settings: Settings, secrets: Mapping[str, str]) -> XSource:
    """The X source. Raises KeyError when the secret `x_bearer_token` is missing."""
    base = str(settings.options.get("api_base", "https://api.x.com")).rstrip("/")
    return XSource(_Client(settings, base, secrets["x_bearer_token"]), settings)


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Client(AsyncClient):  # type: ignore[misc]
    """Tweepy's client on the shared session, with a deadline, a size limit and the right host."""

    def __init__(self, settings: Settings, base: str, token: str) -> None:
        super().__init__(token, return_type=aiohttp.ClientResponse, wait_on_rate_limit=False)
        self._base = base
        self._shared = settings.session

    async def request(  # tweepy's signature
        self,
        method: str,
        route: str,
        params: Any = None,
        json: Any = None,  # noqa: ARG002 - we only read
        user_auth: bool = False,  # noqa: ARG002, FBT001, FBT002 - app-only bearer
    ) -> Answer:
        """Send one request. Raises SourceError when there is no whole answer."""
        headers = {"Authorization": f"Bearer {self.bearer_token}", "User-Agent": "hijack-monitor"}
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                async with self._shared.request(
                    method, self._base + route, params=params, headers=headers, allow_redirects=False
                ) as response:
                    body = await _read(response)
                    return Answer(response.status, dict(response.headers), body)
        except TimeoutError as error:
            raise SourceError(Trouble.NETWORK, f"X did not answer within {DEADLINE_SECONDS} s") from error
        except (aiohttp.ClientError, ssl.SSLError, OSError, ValueError) as error:
            raise SourceError(Trouble.NETWORK, f"X could not be reached ({type(error).__name__})") from None


async def _read(response: aiohttp.ClientResponse) -> bytes:
    chunks, size = [], 0
    async for chunk in response.content.iter_chunked(1 << 16):
        size += len(chunk)
        if size > MOST_BYTES:
            raise TooLargeError
        chunks.append(chunk)
    return b"".join(chunks)


class TooLargeError(SourceError):
    """More in one answer than we take: whoever posts very long posts must not blind us, so ask for fewer."""

    def __init__(self) -> None:
        super().__init__(Trouble.UNAVAILABLE, f"X sent more than {MOST_BYTES >> 20} MiB in one answer")


@dataclass(frozen=True, slots=True)
class _Cursor:
    """The newest id seen, and an older stretch (since, until) that one read could not finish, with how much of it was read."""

    newest: str
    gap: tuple[str, str] | None = None
    read: int = 0

    @classmethod
    def parse(cls, text: str) -> _Cursor:
        newest, _, gap = text.partition(";")
        since, until, read = [*gap.split("-"), "", "0"][:3] if gap else ("", "", "0")
        return cls(newest, (since, until) if gap else None, int(read or 0))

    def __str__(self) -> str:
        return f"{self.newest};{self.gap[0]}-{self.gap[1]}-{self.read}" if self.gap else self.newest


class XSource:
    """See `Source`. Keeps no state between calls but the account ids it was given."""

    def __init__(self, client: _Client, settings: Settings) -> None:
        self._client = client
        self._clock = settings.clock

    async def resolve(self, handle: str) -> str:
        """The numeric id behind a handle."""
        page, _ = await self._ask(self._client.get_user(username=handle))
        user = page.get("data")
        if not isinstance(user, dict) or not str(user.get("id", "")).isdigit():
            raise _problem(page) or SourceError(Trouble.GONE, f"X knows no account @{handle}")
        return str(user["id"])

    async def read(self, account: Account, cursor: str | None) -> Batch:
        """Everything since the cursor minus the overlap, newest stretch first, then any old gap."""
        if cursor is None:
            return await self._first_sight(account)
        known = _Cursor.parse(cursor)
        since = self._overlap(known.newest)
        new = await self._stretch(account, since, None, MOST_PAGES, known=int(known.newest))
        newest = max([known.newest, *new.ids], key=int)
        gap, items, bodies, lost = new.rest(since), list(new.items), list(new.bodies), ""
        if known.gap and not gap:
            old = await self._stretch(account, known.gap[0], known.gap[1], MOST_PAGES)
            gap = old.rest(known.gap[0])
            items, bodies = [*old.items, *items], [*old.bodies, *bodies]
            if not gap and known.read + len(old.ids) + len(new.ids) >= MOST_SHOWN - 100:
                oldest = min(old.ids, key=int, default=known.gap[1])
                lost = f"X shows only the newest {MOST_SHOWN:,} posts, so that what was posted from {_when(known.gap[0])} to {_when(oldest)} may never be read"
        elif known.gap and gap:
            gap = (known.gap[0], gap[1])
        window = id_time(since if new.exhausted else min(new.ids, key=int)) if not gap and (new.exhausted or new.ids) else None
        missed = f"more posts than {MOST_PAGES} pages; the rest is read next" if gap else ""
        unique = {(i.id, type(i)): i for i in items}
        ordered = sorted(unique.values(), key=lambda i: (i.created_at, len(i.id), i.id))
        return Batch(tuple(ordered), str(_Cursor(newest, gap, known.read + len(unique))), tuple(bodies), window, new.limit, missed, lost)

    def _overlap(self, newest: str) -> str:
        return str(time_id(id_time(newest) - OVERLAP))

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
            problem = _problem(page)
            if problem and "data" not in page:
                raise problem
            found.add(page, answer, account, self._clock())
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
                return await self._ask(self._client.get_users_tweets(account.id, max_results=fewer, **where, **_FIELDS))
            except TooLargeError:
                continue
        raise TooLargeError

    async def profiles(self, accounts: tuple[Account, ...]) -> Faces:
        """One request per hundred accounts."""
        out: dict[str, Profile | SourceError] = {}
        bodies = []
        for start in range(0, len(accounts), 100):
            some = {a.id: a.key for a in accounts[start : start + 100]}
            page, answer = await self._ask(self._client.get_users(ids=list(some), user_fields=_USER_FIELDS))
            bodies.append(answer.body)
            for user in _listed(page, "data"):
                if str(user.get("id")) in some:
                    key = some[str(user["id"])]
                    out[key] = _profile(user, key)
            for error in _listed(page, "errors"):
                hidden = some.get(str(error.get("value") or error.get("resource_id")))
                if hidden:
                    out[hidden] = _problem({"errors": [error]}) or SourceError(Trouble.GONE, "X does not show it")
        return Faces(out, tuple(bodies))

    async def author(self, post: Post) -> str:
        """One post and its author, asked for by id: billed as both, so only where a registration needs it."""
        page, _ = await self._ask(self._client.get_tweets([post.referenced_id], expansions="author_id", user_fields="username"))
        users = page.get("includes") if isinstance(page.get("includes"), dict) else {}
        authors = [str(d.get("author_id")) for d in _listed(page, "data") if str(d.get("id")) == post.referenced_id]
        return next((str(u.get("username")) for u in _listed(users or {}, "users") if str(u.get("id")) in authors), "")

    async def missing(self, account: Account, identifiers: tuple[str, ...]) -> set[str]:  # noqa: ARG002 - ids are X's, not the account's
        """Looks the posts up by id, at most a hundred; only those X names as not found are gone."""
        page, _ = await self._ask(self._client.get_tweets(list(identifiers[:100]), tweet_fields="author_id"))
        absent = [e for e in _listed(page, "errors") if _last(e) == "resource-not-found"]
        named = {str(e.get("value") or e.get("resource_id")) for e in absent}
        return named & set(identifiers)

    async def _ask(self, call: Any) -> tuple[dict[str, Any], Answer]:
        """The JSON object of a good answer. Raises SourceError for everything else."""
        answer: Answer = await call
        error = _refusal(answer, self._clock())
        if error:
            raise error
        try:
            page = text_of(answer.body)
        except (ValueError, RecursionError):
            raise SourceError(Trouble.UNAVAILABLE, f"X answered {answer.status} with broken JSON") from None
        if not isinstance(page, dict):
            raise SourceError(Trouble.UNAVAILABLE, f"X answered with a {type(page).__name__} where an object belongs")
        return page, answer


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
        self.limit = _limit(answer)
        if items:
            self.bodies.append(answer.body)

    def rest(self, since: str | None) -> tuple[str, str] | None:
        """What lies between `since` and the oldest id read, when the pages ran out."""
        if self.complete or not self.ids:
            return None
        return since or "0", min(self.ids, key=int)


def _when(identifier: str) -> str:
    return f"{id_time(identifier):%Y-%m-%d %H:%M:%S} UTC"


def _profile(user: dict[str, Any], key: str) -> Profile | SourceError:
    try:
        return read_profile(user, key)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return SourceError(Trouble.UNAVAILABLE, f"X's profile could not be parsed ({type(error).__name__})")


# --- errors: section 3 of X's documentation, and what edges and proxies really send ----------------


def _refusal(answer: Answer, now: datetime) -> SourceError | None:  # noqa: PLR0911 - one return per status
    """The error an HTTP status means, or None for 200."""
    status = answer.status
    if status == 200:
        return None
    said = _said(answer.body)
    match status:
        case 400:
            return SourceError(Trouble.REJECTED, "X rejected the request as invalid (400)")
        case 401:
            return SourceError(Trouble.CREDENTIALS, "X refused the bearer token (401): revoked, or never valid")
        case 402:
            return SourceError(Trouble.CREDITS, "X says the credits are used up (402)")
        case 403:
            return SourceError(Trouble.CREDENTIALS, "X forbids this app to read (403): suspended, or not enrolled")
        case 404:
            return SourceError(Trouble.UNAVAILABLE, "X answered 404 for this account")
        case 429 if "usage-capped" in said or "UsageCapExceeded" in said:
            return SourceError(Trouble.CREDITS, "X says the monthly usage cap is reached (429)")
        case 429:
            limit = _limit(answer)
            at = limit.reset_at if limit and limit.reset_at > now else now + timedelta(seconds=60)
            until = f"until {at:%H:%M:%S} UTC" if limit else "without saying until when"
            return SourceError(Trouble.RATE_LIMITED, f"X limits the rate {until} (429)", min(at, now + timedelta(minutes=16)))
    kind = "with a page instead of data" if said.lstrip().startswith("<") else "with an error"
    return SourceError(Trouble.UNAVAILABLE, f"X answered {status} {kind}")


def _said(body: bytes) -> str:
    return body[:2_000].decode("utf-8", "replace")


def _limit(answer: Answer) -> Limit | None:
    headers = {k.lower(): v for k, v in answer.headers.items()}
    try:
        remaining = int(headers["x-rate-limit-remaining"])
        return Limit(remaining, datetime.fromtimestamp(int(headers["x-rate-limit-reset"]), UTC))
    except (KeyError, ValueError, OverflowError, OSError):
        return None


def _listed(page: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The objects under a name that should hold a list of them."""
    found = page.get(name)
    return [f for f in found if isinstance(f, dict)] if isinstance(found, list) else []


def _last(error: dict[str, Any]) -> str:
    """The last segment of the problem's type: hosts differ, it does not."""
    return str(error.get("type", "")).rsplit("/", 1)[-1]


def _problem(page: dict[str, Any]) -> SourceError | None:
    """The first entry of `errors` in a 200 answer that concerns the account, in our words."""
    for error in _listed(page, "errors"):
        if error.get("resource_type", "user") != "user":
            continue
        detail = str(error.get("detail", ""))
        if "suspended" in detail:
            return SourceError(Trouble.GONE, "X says the account is suspended")
        if _last(error) == "not-authorized-for-resource":
            return SourceError(Trouble.GONE, "the account is protected: its posts are hidden from us")
        if _last(error) in ("resource-not-found", "resource-unavailable"):
            return SourceError(Trouble.GONE, "X says the account does not exist (deactivated?)")
        return SourceError(Trouble.UNAVAILABLE, f"X answered with a problem of type {_last(error)[:40]!r}")
    return None
