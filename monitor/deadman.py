"""Tells somebody outside, again and again, that all is well. When it stops, they page.

Silence is the alarm: a ping is sent only after the audit passed, so it proves reading, writing and paging, not
merely that a process is there. Opsgenie's heartbeat and Alertmanager's `endsAt` know only the absence.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote_plus, urlsplit, urlunsplit

import aiohttp

from monitor import safe

log = logging.getLogger("monitor.deadman")

DEADLINE_SECONDS = 10
MOST_IN_ADDRESS = 200  # characters of a reason that travel in a query
_CHECK = r"/[\w.~-]+(?:/[\w.~-]+)?"  # a check's code, or the ping key of its project and its name
_HEALTHCHECKS = re.compile(rf"hc-ping\.com(?::\d+)?{_CHECK}|[^/]+(?:/[^/]+)*/ping{_CHECK}")
_KUMA = re.compile(r"(?:/[^/]+)*/api/push/[^/]+")
Alive = Callable[[str, float], Awaitable[None]]  # a notifier that says who is alive, and for how many seconds


@dataclass(frozen=True)
class Ping:
    """One request; `shown` is what it is called without the secret part of its address."""

    method: str
    url: str
    body: str
    shown: str


class Address:
    """An address that is pinged, as whoever answers there wants it.

    healthchecks (healthchecks.io/docs/http_api) takes `/start` and `/fail` behind the path of the check. Uptime Kuma's push
    monitor goes by `status=`, and counts every other request as a sign of life, one without a status too. Of anything else
    nothing is known but that a request means success, so it gets no other.
    """

    def __init__(self, address: str) -> None:
        self._parts = urlsplit(address.strip())._replace(fragment="")
        path = self._parts.path.rstrip("/")
        host = self._parts.netloc.rpartition("@")[2].lower()
        self._checks = _HEALTHCHECKS.fullmatch(host + path) is not None
        self._kuma = _KUMA.fullmatch(path) is not None and not self._checks
        self._pairs = [pair for pair in self._parts.query.split("&") if pair]
        self._status = self._kuma or "status" in map(_name, self._pairs)
        if self._checks:
            self._parts = self._parts._replace(path=path)

    def start(self) -> Ping | None:
        """We begin: whoever measures durations wants to know. Nothing that could count as success."""
        return self._ping("/start", "", "") if self._checks and not self._status else None

    def success(self, said: str) -> Ping:
        """All is well."""
        return self._ping("", "up" if self._kuma else "", said)

    def failure(self, said: str) -> Ping | None:
        """Something is wrong; None where no request can say so."""
        return self._ping("/fail" if self._checks else "", "down", said) if self._checks or self._status else None

    def _ping(self, suffix: str, status: str, said: str) -> Ping:
        pairs = self._pairs
        if self._status and status:
            message = said[:MOST_IN_ADDRESS] or "OK"
            told = "msg" if self._kuma or "msg" in map(_name, pairs) else ""
            pairs = [p for p in pairs if _name(p) not in ("status", told)]
            pairs = [*pairs, f"status={status}", *([f"msg={quote(message, safe='')}"] if told else [])]
        url = urlunsplit(self._parts._replace(path=self._parts.path + suffix, query="&".join(pairs)))
        method = "GET" if self._status and not self._checks else "POST"  # older versions of Kuma take no other
        return Ping(method, url, said if method == "POST" else "", f"{method} {self._shown(suffix, status if self._status else '')}")

    def _shown(self, suffix: str, status: str) -> str:
        """Enough to know the address by, too little to use it."""
        secret = self._parts.path.rstrip("/").rpartition("/")[2]
        known = f"/…{secret[len(secret) - min(4, len(secret) // 3) :]}" if secret else ""
        query = f"?status={status}" if status else "?…" if self._pairs else ""
        return f"{self._parts.scheme}://{self._parts.netloc.rpartition('@')[2]}{known}{suffix}{query}"


def _name(pair: str) -> str:
    return unquote_plus(pair.partition("=")[0])


class Deadman:
    """`alive` is Alertmanager's part, where it is configured. Raises ValueError when nobody outside would be told."""

    def __init__(
        self, options: Mapping[str, Any], secrets: Mapping[str, str], session: aiohttp.ClientSession, install: str, alive: Alive | None
    ) -> None:  # fmt: skip
        self._session, self._install, self.alive = session, install, alive
        self.address = Address(secrets["deadman_url"]) if secrets.get("deadman_url") else None
        name = str(options.get("opsgenie_heartbeat") or "")
        self._genie_key = secrets.get("opsgenie_key", "")
        self._genie = f"{str(options['opsgenie_base']).rstrip('/')}/v2/heartbeats/{quote(name)}/ping" if name else ""
        self.every = float(options["every_seconds"])
        if self._genie and not self._genie_key:
            raise ValueError("opsgenie_heartbeat needs the secret opsgenie_key")
        if not (self.address or self._genie or alive):
            raise ValueError(
                "nobody outside is told: give the secret deadman_url, or set opsgenie_heartbeat or alertmanager, or take the table away"
            )

    def described(self) -> list[str]:
        """What is sent when, for the operator; without secrets."""
        lines = []
        if self.address:
            well, wrong, start = self.address.success(""), self.address.failure(""), self.address.start()
            lines = [f"while all is well {well.shown}", f"otherwise {wrong.shown if wrong else 'nothing, so that it notices our silence'}"]
            lines += [f"at the start {start.shown}"] if start else []
        lines += [f"while all is well GET {self._genie}"] if self._genie else []
        lines += ["while all is well the alert HijackMonitorAlive to Alertmanager"] if self.alive else []
        return [f"{line}, every {self.every:g} s" if line.startswith("while") else line for line in lines]

    async def start(self) -> None:
        """We begin."""
        await self._ping(self.address.start() if self.address else None)

    async def beat(self, wrong: tuple[str, ...], anchor: str = "") -> None:
        """All is well, or why not. A ping that fails is only logged: its absence says enough. What it says is the anchor,
        which whoever counts the pings keeps out of a hijacker's reach.
        """
        if wrong:
            said = safe.for_log("; ".join(wrong), 1_000)
            log.error("the dead-man's switch is not held: %s", said)
            await self._ping(self.address.failure(said) if self.address else None)
            return
        await self._ping(self.address.success(f"anchor {anchor}" if anchor else "") if self.address else None)
        if self._genie:
            await self._ask("GET", self._genie, {"Authorization": f"GenieKey {self._genie_key}"}, "")
        if self.alive:
            try:
                await self.alive(self._install, 3 * self.every)
            except Exception as error:  # noqa: BLE001 - the absence says enough
                log.warning("Alertmanager did not take the sign of life: %s", error)

    async def _ping(self, ping: Ping | None) -> None:
        if ping:
            await self._ask(ping.method, ping.url, {}, ping.body)

    async def _ask(self, method: str, url: str, headers: dict[str, str], body: str) -> None:
        try:
            async with (
                asyncio.timeout(DEADLINE_SECONDS),
                self._session.request(method, url, headers=headers, data=body.encode() or None, allow_redirects=False) as answer,
            ):
                if answer.status >= 300:
                    log.warning("the dead-man's switch answered %d", answer.status)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            log.warning("the dead-man's switch could not be reached: %s", type(error).__name__)
