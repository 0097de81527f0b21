"""What stands at the far end of a route: records what it is sent, and misbehaves by script."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiohttp import web
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from monitor.simulator.demo import serve
from monitor.simulator.faults import Faults


@dataclass
class Receiver:
    """Any server that takes JSON: PagerDuty, a webhook, an Alertmanager, a dead-man's switch."""

    status: int = 202
    base: str = ""
    faults: Faults = field(default_factory=Faults)
    got: list[tuple[str, Any, dict[str, str], bytes]] = field(default_factory=list)  # path, JSON, headers, body
    asked: list[str] = field(default_factory=list)  # method, path and query of everything, taken or not

    async def start(self, stack: AsyncExitStack) -> Receiver:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._take)
        self.base = await serve(app, stack)
        return self

    async def _take(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path_qs}")

        async def answer() -> web.StreamResponse:
            body = await request.read()
            if self.status < 300:
                parsed = json.loads(body) if body.startswith((b"{", b"[")) else body.decode()
                self.got.append((request.path, parsed, {k.lower(): v for k, v in request.headers.items()}, body))
            return web.json_response({"status": "success"}, status=self.status, headers={"Retry-After": "5"} if self.status == 429 else {})

        return await self.faults.around(request, answer)

    @property
    def bodies(self) -> list[Any]:
        """What was accepted."""
        return [one[1] for one in self.got]


class Mailbox:
    """A real SMTP server whose answers are scripted by recipient or by step."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], EmailMessage]] = []
        self.refuse: dict[str, str] = {}

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:  # noqa: N802
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        if "data" in self.refuse:
            return self.refuse["data"]
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        parsed: EmailMessage = message_from_bytes(content, policy=policy.default)
        self.mails.append((list(envelope.rcpt_tos), parsed))
        return "250 OK"


MAIL = {
    "host": "127.0.0.1",
    "security": "none",
    "username": "",
    "sender": "monitor@acme.example",
    "recipients": ["a@acme.example", "b@acme.example"],
    "ca_file": "",
}


@asynccontextmanager
async def mailbox(box: Mailbox, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve a mailbox on loopback; gives its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port, tls_context=context)
    controller.start()
    try:
        yield port
    finally:
        await asyncio.to_thread(controller.stop)
