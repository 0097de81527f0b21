"""How a server misbehaves, by script: each fault is used up by the requests it spoils."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

HTML = "<html><head><title>503 Service Temporarily Unavailable</title></head><body>upstream</body></html>"
Answer = Callable[[], Awaitable[web.StreamResponse]]


@dataclass
class Fault:
    """`kind` names what happens to the next `times` requests whose path contains `path`; a `$` stands for the end of it."""

    kind: str
    path: str = ""
    times: int = 1
    value: Any = None


@dataclass
class Faults:
    """The script, in order; the first that fits a request is applied."""

    script: list[Fault] = field(default_factory=list)
    chance: dict[str, float] = field(default_factory=dict)  # kind -> share of requests spoilt at random
    dice: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311 - repeatable, not secret
    random_path: str = ""

    def add(self, kind: str, path: str = "", times: int = 1, value: Any = None) -> None:
        """Plan a fault."""
        self.script.append(Fault(kind, path, times, value))

    async def around(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        """The good answer, or what the script makes of it."""
        fault = next((f for f in self.script if f.path in f"{request.path}$"), None)
        fault = fault or self._by_chance(request.path)
        if fault is None:
            return await answer()
        fault.times -= 1
        if fault.times <= 0 and fault in self.script:
            self.script.remove(fault)
        return await _spoil(fault, request, answer)

    def _by_chance(self, path: str) -> Fault | None:
        rolled = self.dice.random()
        for kind, share in self.chance.items() if self.random_path in path else ():
            if rolled < share:
                return Fault(kind)
            rolled -= share
        return None


async def _spoil(fault: Fault, request: web.Request, answer: Answer) -> web.StreamResponse:  # noqa: C901, PLR0911 - one arm per fault
    match fault.kind:
        case "latency":
            await asyncio.sleep(float(fault.value))
            return await answer()
        case "drop_before":
            _cut(request)
            return web.Response(status=500)
        case "drop_after":
            await answer()
            _cut(request)
            return web.Response(status=500)
        case "hang":
            await asyncio.sleep(3600)
            return web.Response(status=500)
        case "half_body":
            return await _half(request)
        case "html":
            return web.Response(status=int(fault.value or 503), text=HTML, content_type="text/html")
        case "empty":
            return web.Response(status=int(fault.value or 503), body=b"", content_type="application/json")
        case "broken_json":
            return web.Response(status=int(fault.value or 200), text='{"data": [{"id": "1', content_type="application/json")
        case "list_body":
            return web.json_response([1, 2, 3], status=int(fault.value or 200))
        case "body":
            return web.Response(body=fault.value, content_type="application/json")
        case "json":
            status, body, headers = fault.value
            return web.Response(status=status, text=json.dumps(body), headers=headers, content_type="application/json")
    raise ValueError(f"unknown fault {fault.kind!r}")


async def _half(request: web.Request) -> web.StreamResponse:
    """Promise a body and break off in the middle."""
    response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"ok": tr')
    _cut(request)
    return response


def _cut(request: web.Request) -> None:
    """Cut the TCP connection: no answer at all."""
    if request.transport is not None:
        request.transport.abort()
