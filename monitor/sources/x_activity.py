"""X's Activity API: one stream of what the watched accounts do, a second after they do it.

A subscription is one kind of event of one account (docs.x.com, x-api/activity). Public events need the app's bearer token
only. Private ones (messages sent) need the account's own token, and that only while the
subscription is made: it is not kept.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

from monitor.model import Account
from monitor.sources._x_client import Answer, Client, limit_of, listed
from monitor.sources._x_events import read_event
from monitor.sources.interface import Prepared, Settings, SourceError, Told, Trouble

TAG = "hijack-monitor"
PUBLIC = (
    "post.create",
    "post.delete",
    "profile.update.screenname",
    "profile.update.handle",
    "profile.update.profile_picture",
    "profile.update.url",
    "profile.update.bio",
    "broadcast.start",
    "spaces.start",
    "profile.update.banner_picture",
    "profile.update.verified_badge",
    "profile.update.affiliate_badge",
    "profile.update.geo",
)  # fmt: skip - the most telling first: where subscriptions are too few, the others are left out
PRIVATE = ("dm.sent", "chat.sent", "oauth.revoke")  # no likes and blocks: those by others come too, each is billed, and none says anything
_PROFILE = PUBLIC[2:7]  # every change that makes a profile somebody else's
PRICED = {"post.create": "post", "spaces.start": "space"}
_AT_ONCE = 400  # subscriptions made in one go: X takes 500 requests in fifteen minutes
_LATER = timedelta(minutes=15)


def build(settings: Settings, secrets: Mapping[str, str]) -> Activity:
    """Raises KeyError when the secret `x_bearer_token` is missing, ValueError for user tokens that are not `handle token` lines."""
    return Activity(Client(settings, secrets), settings, _tokens(secrets.get("x_user_tokens", "")))


def _tokens(text: str) -> dict[str, str]:
    """By handle; a line each: `acme AAAA...`."""
    pairs = [line.split() for line in text.splitlines() if line.strip()]
    if any(len(p) != 2 for p in pairs):
        raise ValueError("the secret x_user_tokens: expected lines of a handle and its token")
    return {handle.lstrip("@").lower(): token for handle, token in pairs}


class Activity:
    """See `Stream`."""

    connects = 450

    def __init__(self, client: Client, settings: Settings, tokens: Mapping[str, str]) -> None:
        self._client, self._clock, self._observer, self._tokens = client, settings.clock, settings.observer, tokens
        self._most = int(settings.options.get("subscriptions", 1_500))
        self._tag = f"{TAG} {settings.options.get('install', '')}".strip()  # another monitor of this app has subscriptions of its own
        self._keys: dict[str, str] = {}
        self._refused: dict[str, str] = {}

    async def probe(self) -> str:
        """Lists the subscriptions."""
        return f"{len(await self._list())} subscriptions"

    async def prepare(self, accounts: tuple[Account, ...]) -> Prepared:
        """What we want to be told of is subscribed, what we no longer want is not; others' subscriptions stay."""
        self._keys, self._refused = {a.id: a.key for a in accounts}, {}
        there = await self._list()
        wanted = list(self._wanted(accounts))
        fits = wanted[: self._most - sum(not self._is_ours(s) for s in there.values())]
        stays = {w[:2] for w in fits}
        surplus = [number for number, s in there.items() if self._is_ours(s) and _what(s) not in stays]
        await self._remove(surplus)
        have = {_what(s) for s in there.values()}
        notes = (
            [f"{len(wanted) - len(fits)} of {len(wanted)} subscriptions do not fit into X's {self._most}"]
            if len(fits) < len(wanted)
            else []
        )
        again = None
        for event, user, token in [w for w in fits if w[:2] not in have][:_AT_ONCE]:
            if event in self._refused:
                continue
            made, left = await self._add(event, user, token)
            have |= {(event, user)} if made else set()
            if left is not None and left < 20:
                again = self._clock() + _LATER
                break
        missing = [w for w in fits if w[:2] not in have and w[0] not in self._refused]
        notes += [f"{event}: {why}" for event, why in self._refused.items()]
        covered = frozenset(a.key for a in accounts if ("post.create", a.id) in have)
        profiles = frozenset(a.key for a in accounts if all((event, a.id) in have for event in _PROFILE))
        return Prepared(covered, tuple(notes), again or (self._clock() + timedelta(seconds=60) if missing else None), profiles)

    def _wanted(self, accounts: tuple[Account, ...]) -> Iterator[tuple[str, str, str]]:
        """(event, user id, the token it needs), the most telling first for every account."""
        for event in PUBLIC:
            yield from ((event, a.id, "") for a in accounts)
        for event in PRIVATE:
            yield from ((event, a.id, t) for a in accounts if (t := self._tokens.get(a.handle.lower(), "")))

    async def _list(self) -> dict[str, dict[str, Any]]:
        """Every subscription of this app, by its number."""
        found: dict[str, dict[str, Any]] = {}
        token: str | None = None
        for _ in range(80):  # 75,000, a thousand a page, is the most there can be
            params = {"max_results": "1000"} | ({"pagination_token": token} if token else {})
            page, _ = await self._client.ask(self._client.request("GET", "/2/activity/subscriptions", params=params))
            known = len(found)
            found |= {str(s["subscription_id"]): s for s in listed(page, "data") if "subscription_id" in s}
            meta = page.get("meta")
            token = meta.get("next_token") if isinstance(meta, dict) else None
            if not token or len(found) == known:
                break
        return found

    async def _add(self, event: str, user: str, token: str) -> tuple[bool, int | None]:
        """(whether it is there now, how many requests are left). A kind that X refuses is not asked for again this time."""
        body = {"event_type": event, "filter": {"user_id": user}, "tag": self._tag}
        try:
            page, answer = await self._client.ask(self._client.request("POST", "/2/activity/subscriptions", json=body, token=token))
        except SourceError as error:
            if error.trouble in (Trouble.CREDENTIALS, Trouble.REJECTED) and event != "post.create":
                self._refused[event] = f"not to be had here: {error}"
                return False, None
            if error.trouble is Trouble.RATE_LIMITED:
                return False, 0
            raise
        duplicate = any("Duplicate" in str(e.get("title", "")) for e in listed(page, "errors"))
        made = duplicate or (event, user) in {_what(s) for s in made_of(page)}
        if not made:
            self._observer.odd("an answer to a new subscription that does not name it", answer.body)
        return made, _left(answer)

    async def _remove(self, numbers: list[str]) -> None:
        for start in range(0, len(numbers), 100):
            some = ",".join(numbers[start : start + 100])
            await self._client.ask(self._client.request("DELETE", "/2/activity/subscriptions", params={"ids": some}))

    def _is_ours(self, subscription: Mapping[str, Any]) -> bool:
        return subscription.get("tag") == self._tag and not subscription.get("webhook_id")

    def connect(self) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The stream of this app. One connection: X documents two, and a witness may need the other."""
        return self._client.stream("/2/activity/stream")

    def read(self, line: bytes) -> Told:
        """An event, and what it cost: a post and its event share one charge a day."""
        told = read_event(line, self._keys, self._client.now())
        kind = PRICED.get(told.kind, "profile update" if told.kind.startswith("profile.update.") else "")
        if kind:
            self._observer.billed(kind, (told.item.id if told.item else told.key,))
        if told.odd:
            self._observer.odd(told.odd, told.line)
        return told


def made_of(page: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The subscriptions in an answer to a new one: X documents three shapes."""
    data = page.get("data")
    if isinstance(data, dict):
        inner = data.get("subscription")
        return [inner if isinstance(inner, dict) else data]
    return listed(page, "data")


def _what(subscription: Mapping[str, Any]) -> tuple[str, str]:
    where = subscription.get("filter")
    return str(subscription.get("event_type")), str(where.get("user_id")) if isinstance(where, dict) else ""


def _left(answer: Answer) -> int | None:
    limit = limit_of(answer)
    return limit.remaining if limit else None
