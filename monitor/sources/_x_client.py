"""HTTP to X: tweepy's AsyncClient on the shared session, what its answers mean, what they cost.

Tweepy's own request method waits, loses error bodies and trips over HTML (4.17, measured), so this
module replaces that one method and keeps the rest: routes and parameters. The only importer of tweepy.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
from tweepy.asynchronous import AsyncClient

from monitor import bounded_http, bounded_json
from monitor.sources._x_dialect import words_of
from monitor.sources.interface import Limit, Settings, SourceError, Trouble

DEADLINE_SECONDS = 10
_SECRET = 6  # characters: what is shorter is no secret, and stands in any answer
_NUMBERS = re.compile(r"\d{4,}")  # ids and times, which make the same words new each time


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, read whole. `unseen` is what the question left out of a post, in words."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    unseen: tuple[str, ...] = ()

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

    def __init__(self, settings: Settings, secrets: Mapping[str, str]) -> None:
        """Raises KeyError when the secret `x_bearer_token` is missing. No answer keeps one of the `secrets` that it repeats."""
        super().__init__(secrets["x_bearer_token"], return_type=aiohttp.ClientResponse, wait_on_rate_limit=False)
        self.base = str(settings.options.get("api_base", "https://api.x.com")).rstrip("/")
        self.shared, self._clock, self._observer = settings.session, settings.clock, settings.observer
        self._hidden = tuple(word.encode() for given in secrets.values() for word in given.split() if len(word) >= _SECRET)
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
                    return Answer(response.status, dict(response.headers), self._without_secrets(await _read(response, self._large)))
        except TimeoutError as error:
            raise SourceError(Trouble.NETWORK, f"X did not answer within {DEADLINE_SECONDS} s") from error
        except (aiohttp.ClientError, ssl.SSLError, OSError, ValueError) as error:
            raise _unreachable(error) from None

    def _without_secrets(self, body: bytes) -> bytes:
        """An answer is kept as evidence, and its words are shown: whatever repeats what it was sent must not spread it."""
        for secret in self._hidden:
            if secret in body:
                body = body.replace(secret, b"(secret)")
        return body

    def _headers(self, token: str = "") -> dict[str, str]:
        return {"Authorization": f"Bearer {token or self.bearer_token}", "User-Agent": "hijack-monitor"}

    async def ask(self, call: Any) -> tuple[dict[str, Any], Answer]:
        """The JSON object of a good answer, its cost noted. Raises SourceError for everything else."""
        answer: Answer = await call
        self._note_time(answer)
        error = refusal(answer, self._clock())
        if error:
            if error.trouble is not Trouble.RATE_LIMITED:
                self._observer.evidence(_NUMBERS.sub("#", str(error)), answer.body)
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
                    answer = Answer(response.status, dict(response.headers), self._without_secrets(await _read(response)))
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


_FROM_X = ("x-transaction-id", "x-response-time", "x-access-level", "x-rate-limit-limit", "api-version")
_GENERAL = ("Unauthorized", "Forbidden", "Not Found", "Too Many Requests", "Service Unavailable", "Invalid Request")
_USUAL = "x-rate-limit"


def refusal(answer: Answer, now: datetime) -> SourceError | None:
    """The error an HTTP status means, or None for 200."""
    if answer.status in (200, 201):
        return None
    page = _problem_page(answer)
    stranger = page is None and answer.status in (400, 401, 403, 404, 422, 429)
    error = _in_front(answer, now) if stranger else _meaning(answer, page or {}, now)
    error.page, error.body = page or {}, answer.body
    return error


def _problem_page(answer: Answer) -> dict[str, Any] | None:
    """What X says is wrong; None where this has none of its shapes (`errors`, a problem, its description's `Error`). X itself sends some 404s without a body, and with its headers."""
    headers = {name.lower() for name in answer.headers}
    if not answer.body.strip():
        return {} if headers & set(_FROM_X) else None
    try:
        page = bounded_json.read(answer.body)
    except (ValueError, bounded_json.TooMuchError):
        return None
    if not isinstance(page, dict):
        return None
    coded = isinstance(page.get("code"), int) and isinstance(page.get("message"), str)
    return page if coded or isinstance(page.get("errors"), list) or isinstance(page.get("title"), str) else None


def _in_front(answer: Answer, now: datetime) -> SourceError:
    """Says nothing of our token, nor of the account: a proxy or a firewall, ours or theirs, did not let us through."""
    what = "a web page" if _said(answer.body).lstrip().startswith("<") else "an answer that is not X's"
    again = now + timedelta(seconds=60) if answer.status == 429 else None
    message = f"something in front of X refuses this host: status {answer.status} with {what} (a proxy, a firewall or a blocked address?)"
    return SourceError(Trouble.UNAVAILABLE, message, again)


def _meaning(answer: Answer, page: dict[str, Any], now: datetime) -> SourceError:  # noqa: PLR0911 - one return per status
    said, body = words_of(page), _said(answer.body)
    why = f": {said}" if said and said not in _GENERAL else ""
    match answer.status:
        case 400 | 422:
            return SourceError(Trouble.REJECTED, f"X rejected the request as invalid ({answer.status}){why}")
        case 401:
            return SourceError(Trouble.CREDENTIALS, f"X refused the bearer token (401): revoked, or never valid{why}")
        case 402:
            return SourceError(Trouble.CREDITS, f"X says the credits are used up (402){why}")
        case 403:
            return SourceError(Trouble.CREDENTIALS, f"X forbids this app to read (403): suspended, or not enrolled{why}")
        case 404:
            return SourceError(Trouble.UNAVAILABLE, f"X answered 404 for this account{why}")
        case 429 if "usage-capped" in body or "UsageCapExceeded" in body:
            return SourceError(Trouble.CREDITS, "X says the monthly usage cap is reached (429)")
        case 429 if "TooManyConnections" in body:
            return SourceError(Trouble.RATE_LIMITED, "X says that this app has its most connections open already (429)")
        case 429:
            return _limited(answer, now)
    kind = "with a page instead of data" if body.lstrip().startswith("<") else "with an error"
    return SourceError(Trouble.UNAVAILABLE, f"X answered {answer.status} {kind}{why}")


def _limited(answer: Answer, now: datetime) -> SourceError:
    """Of several limits that are used up, the one that ends last is waited for."""
    known = [(min(at, now + _longest(name)), name, used_up) for at, name, used_up in _resets(answer) if at > now]
    resets = [one for one in known if one[2]] or [one for one in known if one[1] == _USUAL]
    if not resets:
        over = limit_of(answer) is not None
        until = f"until {now + timedelta(seconds=60):%H:%M:%S} UTC" if over else "without saying until when"
        return SourceError(Trouble.RATE_LIMITED, f"X limits the rate {until} (429)", now + timedelta(seconds=60), for_all=over)
    at, name, _ = max(resets)
    until = f"{at:%H:%M:%S} UTC" if name == _USUAL else f"{at:%Y-%m-%d %H:%M:%S} UTC, when {name} is reset"
    return SourceError(Trouble.RATE_LIMITED, f"X limits the rate until {until} (429)", at, for_all=True)


def _resets(answer: Answer) -> Iterator[tuple[datetime, str, bool]]:
    """(when it is reset, its name, whether it is used up) for every limit that the headers name."""
    headers = {k.lower(): v for k, v in answer.headers.items()}
    for header, value in headers.items():
        name = header.removesuffix("-reset")
        if name != header and name.startswith("x-") and "limit" in name:
            with contextlib.suppress(ValueError, OverflowError, OSError):
                yield datetime.fromtimestamp(int(value), UTC), name, headers.get(f"{name}-remaining", "").strip() == "0"


def _longest(name: str) -> timedelta:
    """That a limit of this name can last: what goes beyond it is not believed."""
    return timedelta(minutes=16) if name == _USUAL else timedelta(hours=24, minutes=16)


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


def next_token(page: Mapping[str, Any]) -> str:
    """What names the next page, or an empty string."""
    meta = page.get("meta")
    return str(meta.get("next_token") or "") if isinstance(meta, dict) else ""


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
