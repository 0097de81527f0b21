"""X's filtered stream: posts of the watched accounts within seconds, where the Activity API is not to be had.

Deletions, profiles and live broadcasts are not in it. Rules: docs.x.com, x-api/posts/filtered-stream.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

from monitor.model import Account
from monitor.sources._x_client import Answer, Client, listed
from monitor.sources._x_dialect import unseen_parts
from monitor.sources._x_events import read_event
from monitor.sources._x_ladder import Ladder
from monitor.sources.interface import Prepared, Settings, Told
from monitor.sources.x import queries

TAG = "hijack-monitor"
_RULE = 1_024  # characters of one


def build(settings: Settings, secrets: Mapping[str, str]) -> Filtered:
    """Raises KeyError when the secret `x_bearer_token` is missing."""
    return Filtered(Client(settings, secrets), settings)


class Filtered:
    """See `Stream`."""

    connects = 50

    def __init__(self, client: Client, settings: Settings) -> None:
        self._client, self._clock, self._observer = client, settings.clock, settings.observer
        self._tag = f"{TAG} {settings.options.get('install', '')}".strip()  # another monitor of this app has rules of its own
        self._keys: dict[str, str] = {}
        self._ladder = Ladder("the filtered stream", settings)

    async def probe(self) -> str:
        """Lists the rules."""
        page, _ = await self._client.ask(self._client.request("GET", "/2/tweets/search/stream/rules"))
        return f"{len(listed(page, 'data'))} rules"

    async def prepare(self, accounts: tuple[Account, ...]) -> Prepared:
        """Our rules name every account; new ones are added before old ones go, and others' rules stay."""
        self._keys = {a.id: a.key for a in accounts}
        page, _ = await self._client.ask(self._client.request("GET", "/2/tweets/search/stream/rules"))
        there = listed(page, "data")
        known = {str(r.get("value")) for r in there}
        ours = {str(r.get("value")): str(r.get("id")) for r in there if r.get("tag") == self._tag}
        wanted = queries(tuple(sorted(accounts, key=lambda a: a.id)), _RULE)
        new = [{"value": value, "tag": self._tag} for value in wanted if value not in known]
        old = [number for value, number in ours.items() if value not in wanted]
        for body in ({"add": new} if new else None, {"delete": {"ids": old}} if old else None):
            if body:
                await self._client.ask(self._client.request("POST", "/2/tweets/search/stream/rules", json=body))
        return Prepared(frozenset(a.key for a in accounts))

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncIterator[bytes]]:
        """The one connection that X allows."""
        opened: list[AsyncIterator[bytes]] = []
        async with AsyncExitStack() as stack:

            async def send(form: Mapping[str, str]) -> tuple[dict[str, Any], Answer]:
                opened.append(await stack.enter_async_context(self._client.stream("/2/tweets/search/stream", form)))
                return {}, Answer(200, {}, b"")

            await self._ladder.ask(send)
            yield opened[-1]

    def read(self, line: bytes) -> Told:
        """A post, and what it cost; one that X gives in part is asked for by its id."""
        told = read_event(line, self._keys, self._client.now())
        if told.item and unseen_parts(self._ladder.form):
            told = replace(told, partial=True)
        if told.item:
            self._observer.billed("post", (told.item.id,))
        if told.odd:
            self._observer.odd(told.odd, told.line)
        return told
