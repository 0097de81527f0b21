"""Hosts that a test takes for public ones: https on loopback, by names that only the test knows."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from monitor.public_web import Web

# Made for these tests, for *.acme.example, localhost and 127.0.0.1, until 2120; nothing else trusts it.
CERTIFICATE = """-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg3ld6VZ0QvUcMY0xn
QwfvLTL9DswFfhLRNQRh1DRQYgihRANCAARSrY5oO6aNiYboC+QgIFRK2kzUpvOC
Wf7SJWBlqzVEcp83o2ZNGyVrZMLoJEHs47R1a9R9Q0gBeK9C8BUz3syx
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBdDCCARugAwIBAgIBATAKBggqhkjOPQQDAjATMREwDwYDVQQDDAhzdGFuZC1p
bjAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFowEzERMA8GA1UEAwwI
c3RhbmQtaW4wWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARSrY5oO6aNiYboC+Qg
IFRK2kzUpvOCWf7SJWBlqzVEcp83o2ZNGyVrZMLoJEHs47R1a9R9Q0gBeK9C8BUz
3syxo14wXDAPBgNVHRMBAf8EBTADAQH/MCoGA1UdEQQjMCGCDiouYWNtZS5leGFt
cGxlgglsb2NhbGhvc3SHBH8AAAEwHQYDVR0OBBYEFAkZmMqPfQPWs0kPraQyOjGx
yND1MAoGCCqGSM49BAMCA0cAMEQCIG+NGMWch91YVF7vh/v4IBQ/QOzO/T0ipZny
LjZZhBiWAiAaEgExfFUebUh0rE5z2FtEgY3kcYlSvgz5lKcE0gA22g==
-----END CERTIFICATE-----
"""


@dataclass
class Hosts:
    """`names` are what a look-up gives, the first list first and the last for ever; `pages` what is answered, by path."""

    port: int = 0
    names: dict[str, list[list[str]]] = field(default_factory=dict)
    pages: dict[str, Callable[[], web.StreamResponse]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    private: set[str] = field(default_factory=lambda: {"127.0.0.2"})
    tls: ssl.SSLContext | None = None

    def url(self, path: str, host: str = "cdn.acme.example") -> str:
        return f"https://{host}:{self.port}{path}"

    async def looked_up(self, host: str, port: int) -> list[str]:
        known = self.names.get(host, [["127.0.0.1"]])
        return known.pop(0) if len(known) > 1 else known[0]

    @property
    def internet(self) -> Web:
        """The public Web, as the test has it: 127.0.0.1 is a public address, what is `private` is not."""
        return Web(lambda address: address not in self.private, self.looked_up, self.port, self.tls)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        return self.pages.get(request.path, lambda: web.Response(status=404))()


def _contexts() -> Iterator[ssl.SSLContext]:
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(CERTIFICATE)
        file.flush()
        server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        server.load_cert_chain(file.name)
        yield server
    yield ssl.create_default_context(cadata=CERTIFICATE)


@asynccontextmanager
async def hosts() -> AsyncIterator[Hosts]:
    """Up while the test looks at them."""
    made = Hosts()
    server, made.tls = _contexts()
    app = web.Application()
    app.router.add_get("/{path:.*}", made.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server)
        await site.start()
        made.port = runner.addresses[0][1]
        yield made
    finally:
        await runner.cleanup()
