"""HTTP to X: tweepy's AsyncClient on the shared session, what its answers mean, what they cost.

Tweepy's own request method waits, loses error bodies and trips over HTML (4.17, measured), so this
module replaces that one method and keeps the rest: routes and parameters. The only importer of tweepy.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
from tweepy.asynchronous import AsyncClient

from monitor import bounded_http, bounded_json
from monitor.sources.interface import Limit, Settings, SourceError, Trouble

DEADLINE_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def dated(self) -> datetime | None:
        """What time X said it was, in whole seconds."""
        with contextlib.suppress(KeyError, ValueError, TypeError):
            theirs = parsedate_to_datetime({k.lower(): v for k, v in self.headers.items()}["date"])
            return theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC)
        return None


class TooLargeError(SourceError):
    """More in one answer than we take: whoever posts very long posts must not blind us, so ask for fewer."""

    def __init__(self) -> None:
        super().__init__(Trouble.UNAVAILABLE, f"X sent more than {bounded_http.MOST_BYTES >> 20} MiB in one answer")


class Client(AsyncClient):  # type: ignore[misc]
    """Tweepy's client on the shared session, with a deadline, a size limit and the right host."""

    def __init__(self, settings: Settings, token: str) -> None:
        super().__init__(token, return_type=aiohttp.ClientResponse, wait_on_rate_limit=False)
        self.base = str(settings.options.get("api_base", "https://api.x.com")).rstrip("/")
        self.shared, self._clock, self._observer = settings.session, settings.clock, settings.observer
        self._offset = timedelta()
        self._large = asyncio.Semaphore(4)

    async def request(  # tweepy's signature
        self,
        method: str,
        route: str,
        params: Any = None,
        json: Any = None,
        user_auth: bool = False,  # noqa: ARG002, FBT001, FBT002 - app-only bearer
        token: str = "",
    ) -> Answer:
        """Send one request. Raises SourceError when there is no whole answer."""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                async with self.shared.request(
                    method, self.base + route, params=params, json=json, headers=self._headers(token), allow_redirects=False
                ) as response:
                    return Answer(response.status, dict(response.headers), await _read(response, self._large))
        except TimeoutError as error:
            raise SourceError(Trouble.NETWORK, f"X did not answer within {DEADLINE_SECONDS} s") from error
        except (aiohttp.ClientError, ssl.SSLError, OSError, ValueError) as error:
            raise _unreachable(error) from None

    def _headers(self, token: str = "") -> dict[str, str]:
        return {"Authorization": f"Bearer {token or self.bearer_token}", "User-Agent": "hijack-monitor"}

    async def ask(self, call: Any) -> tuple[dict[str, Any], Answer]:
        """The JSON object of a good answer, its cost noted. Raises SourceError for everything else."""
        answer: Answer = await call
        self._note_time(answer)
        error = refusal(answer, self._clock())
        if error:
            raise error
        try:
            page = bounded_json.read(answer.body)
        except bounded_json.TooMuchError as error:
            raise SourceError(Trouble.UNAVAILABLE, f"X answered {answer.status} with {error}") from None
        except ValueError:
            raise SourceError(Trouble.UNAVAILABLE, f"X answered {answer.status} with broken JSON") from None
        if not isinstance(page, dict):
            raise SourceError(Trouble.UNAVAILABLE, f"X answered with a {type(page).__name__} where an object belongs")
        for kind, identifiers in billed(page).items():
            self._observer.billed(kind, identifiers)
        return page, answer

    def _note_time(self, answer: Answer) -> None:
        theirs = answer.dated
        if theirs:
            self._offset = theirs - self._clock()
            self._observer.dated(theirs)

    def now(self) -> datetime:
        """X's clock, by the last answer that named it; ours until then."""
        return self._clock() + self._offset

    @asynccontextmanager
    async def stream(self, route: str, params: Mapping[str, str] | None = None) -> AsyncIterator[AsyncIterator[bytes]]:
        """An endless answer, as chunks. Raises SourceError, also from the iterator.

        No deadline: X sends the headers with the first keep-alive, after some twenty seconds; whoever listens watches the time.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=DEADLINE_SECONDS, sock_read=None)
        try:
            async with self.shared.get(
                self.base + route, params=params, headers=self._headers(), timeout=timeout, allow_redirects=False
            ) as response:
                if response.status != 200:
                    answer = Answer(response.status, dict(response.headers), await _read(response))
                    self._note_time(answer)
                    raise refusal(answer, self._clock()) or SourceError(Trouble.UNAVAILABLE, f"X answered {response.status}")
                yield _chunks(response)
        except TimeoutError as error:
            raise SourceError(Trouble.NETWORK, "X's stream could not be opened in time") from error
        except (aiohttp.ClientError, ssl.SSLError, OSError, ValueError) as error:
            raise _unreachable(error) from None


async def _chunks(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Whatever came, as it came: aiohttp's own lines end at half a megabyte."""
    async for chunk in response.content.iter_any():
        yield chunk


async def _read(response: aiohttp.ClientResponse, gate: asyncio.Semaphore | None = None) -> bytes:
    try:
        return await bounded_http.read(response, gate=gate)
    except bounded_http.TooLargeError:
        raise TooLargeError from None


def _unreachable(error: Exception) -> SourceError:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return SourceError(Trouble.NETWORK, "X could not be reached: its name was not found (DNS)")
    if isinstance(error, ssl.SSLError | aiohttp.ClientConnectorCertificateError):
        return SourceError(Trouble.NETWORK, "X could not be reached: its certificate was refused (a proxy in between?)")
    return SourceError(Trouble.NETWORK, f"X could not be reached ({type(error).__name__})")


# --- what an answer costs: a post and a user each once a UTC day (docs.x.com, pricing) ---------------


def billed(page: dict[str, Any]) -> dict[str, list[str]]:
    """The resources an answer carries, by kind: the ids of its posts and users, expansions included."""
    more = page.get("includes") if isinstance(page.get("includes"), dict) else {}
    data = page.get("data")
    objects = [*(data if isinstance(data, list) else [data]), *((more or {}).get("tweets") or (more or {}).get("posts") or ())]
    users = [u for u in (more or {}).get("users") or () if isinstance(u, dict)]
    found: dict[str, list[str]] = {"post": [], "user": [str(u.get("id")) for u in users]}
    for one in objects:
        if isinstance(one, dict) and one.get("id"):
            kind = "post" if "text" in one else "user" if "username" in one else ""
            found.setdefault(kind, []).append(str(one["id"]))
    return {kind: ids for kind, ids in found.items() if kind and ids}


# --- errors: section 3 of X's documentation, and what edges and proxies really send ----------------


def refusal(answer: Answer, now: datetime) -> SourceError | None:  # noqa: PLR0911 - one return per status
    """The error an HTTP status means, or None for 200."""
    status = answer.status
    if status in (200, 201):
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
        case 429 if "TooManyConnections" in said:
            return SourceError(Trouble.RATE_LIMITED, "X says that this app has its most connections open already (429)")
        case 429:
            limit = limit_of(answer)
            at = limit.reset_at if limit and limit.reset_at > now else now + timedelta(seconds=60)
            until = f"until {at:%H:%M:%S} UTC" if limit else "without saying until when"
            at = min(at, now + timedelta(minutes=16))
            return SourceError(Trouble.RATE_LIMITED, f"X limits the rate {until} (429)", at, for_all=limit is not None)
    kind = "with a page instead of data" if said.lstrip().startswith("<") else "with an error"
    return SourceError(Trouble.UNAVAILABLE, f"X answered {status} {kind}")


def _said(body: bytes) -> str:
    return body[:2_000].decode("utf-8", "replace")


def limit_of(answer: Answer) -> Limit | None:
    """What the headers say is left, or None."""
    headers = {k.lower(): v for k, v in answer.headers.items()}
    try:
        reset = datetime.fromtimestamp(int(headers["x-rate-limit-reset"]), UTC)
        return Limit(int(headers["x-rate-limit-remaining"]), reset, int(headers.get("x-rate-limit-limit", 0)))
    except (KeyError, ValueError, OverflowError, OSError):
        return None


def listed(page: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The objects under a name that should hold a list of them."""
    found = page.get(name)
    return [f for f in found if isinstance(f, dict)] if isinstance(found, list) else []


def last_segment(error: dict[str, Any]) -> str:
    """Of the problem's type: hosts differ, it does not."""
    return str(error.get("type", "")).rsplit("/", 1)[-1]


def problem(page: dict[str, Any]) -> SourceError | None:
    """The first entry of `errors` in a 200 answer that concerns the account, in our words."""
    for error in listed(page, "errors"):
        if error.get("resource_type", "user") != "user":
            continue
        detail = str(error.get("detail", ""))
        if "suspended" in detail:
            return SourceError(Trouble.GONE, "X says the account is suspended")
        if last_segment(error) == "not-authorized-for-resource":
            return SourceError(Trouble.GONE, "the account is protected: its posts are hidden from us")
        if last_segment(error) in ("resource-not-found", "resource-unavailable"):
            return SourceError(Trouble.GONE, "X says the account does not exist (deactivated?)")
        return SourceError(Trouble.UNAVAILABLE, f"X answered with a problem of type {last_segment(error)[:40]!r}")
    return None


def posts_of(page: dict[str, Any]) -> tuple[list[Any], SourceError | None]:
    """The posts of an answer that lists posts, and why it does not count as one: silence is believed only where X says
    that there is nothing. `{}` says nothing, nor do errors without posts, nor a count that is not that of the posts.
    """
    data, meta = page.get("data"), page.get("meta")
    posts = data if isinstance(data, list) else [] if data is None else [data]
    if page.get("errors") and not posts:
        return [], problem(page) or SourceError(Trouble.UNAVAILABLE, "X answered with errors in place of posts")
    count = meta.get("result_count") if isinstance(meta, dict) else None
    if isinstance(count, bool) or not isinstance(count, int):
        return posts, SourceError(Trouble.UNAVAILABLE, "X did not say how many posts there are")
    if count != len(posts):
        return posts, SourceError(Trouble.UNAVAILABLE, f"X spoke of {count} posts and gave {len(posts)}")
    return posts, None


def answered(page: dict[str, Any]) -> None:
    """Raises SourceError where an answer to a question by ids or handles names neither what is there nor what is not."""
    if not listed(page, "data") and not listed(page, "errors"):
        raise SourceError(Trouble.UNAVAILABLE, "X answered without data and without errors")
