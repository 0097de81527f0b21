"""One fetch from the public Web, for an address that somebody else wrote: a plan may come from an agency or a planner that
was broken into, and must not make this host ask for what only this host can reach.

Every hop is https on port 443 of a public address, and the connection goes to the very addresses that were looked up and
checked, so that a name which changes its mind (DNS rebinding) changes nothing. A proxy of the environment is not used: it
looks names up by itself, and nobody could check what it reaches.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

MOST_BYTES = 10_000_000
SECONDS = 20  # for all of it, redirects included
MOST_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_INSIDE_IPV6 = tuple(map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))  # of the public 2000::/3
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_PUBLIC_IPV6 = ipaddress.IPv6Network("2000::/3")
_RELAYS = ipaddress.IPv4Network("192.88.99.0/24")  # of 6to4, given up by RFC 7526


class WebError(Exception):
    """Nothing was fetched; the message says why and is ours."""


def is_public(address: str) -> bool:
    """Whether anybody on the Internet could reach this address. An IPv6 address that carries an IPv4 one counts as that.

    Source: the special-purpose registries of IANA (RFC 6890). IPv6 by what is public (2000::/3 but for its exceptions).
    """
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is None:
            return found in _PUBLIC_IPV6 and not any(found in network for network in _INSIDE_IPV6) and found.is_global
        found = inner
    return found.is_global and not (found.is_multicast or found.is_reserved or found in _RELAYS)


async def looked_up(host: str, port: int) -> list[str]:
    """Every address that the system knows for a host. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclass(frozen=True, slots=True)
class Web:
    """What counts as the public Web; a test has one of its own on loopback."""

    public: Callable[[str], bool] = is_public
    addresses: Callable[[str, int], Awaitable[list[str]]] = looked_up
    port: int = 443
    tls: ssl.SSLContext | None = None
    seconds: float = SECONDS

    async def fetched(self, address: str) -> tuple[str, bytes]:
        """(media type, body) of what an https address leads to. Raises WebError."""
        try:
            async with asyncio.timeout(self.seconds):
                return await self._followed(URL(address))
        except TimeoutError:
            raise WebError(f"it did not come within {self.seconds:g} s") from None
        except socket.gaierror:
            raise WebError("there is no host of that name: check the address for a typing mistake") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise WebError(f"it could not be fetched ({type(error).__name__})") from error

    async def _followed(self, url: URL) -> tuple[str, bytes]:
        for _ in range(MOST_REDIRECTS + 1):
            found = await self._asked(url)
            if not isinstance(found, URL):
                return found
            url = url.join(found)
        raise WebError(f"it is redirected more than {MOST_REDIRECTS} times")

    async def _asked(self, url: URL) -> tuple[str, bytes] | URL:
        """What one hop answers, or where it sends us."""
        connector = aiohttp.TCPConnector(
            resolver=_Known(await self._checked(url)), use_dns_cache=False, force_close=True, ssl=self.tls or True
        )
        async with (
            aiohttp.ClientSession(
                connector=connector, trust_env=False, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
            ) as session,
            session.get(url, allow_redirects=False, headers={"Accept-Encoding": "identity"}) as answer,
        ):  # fmt: skip
            if answer.status in _REDIRECTS and "Location" in answer.headers:
                return URL(answer.headers["Location"])
            if answer.status != 200:
                raise WebError(f"its host answered {answer.status}")
            body = bytearray()
            async for piece in answer.content.iter_chunked(1 << 16):
                body += piece
                if len(body) > MOST_BYTES:
                    raise WebError(f"it is larger than {MOST_BYTES // 1_000_000} MB")
            return answer.content_type, bytes(body)

    async def _checked(self, url: URL) -> list[str]:
        """The addresses of its host, every one of them public. Raises WebError."""
        if url.scheme != "https" or not url.host:
            raise WebError("only https addresses are fetched")
        if url.user is not None or url.password is not None:
            raise WebError("it holds a user name or password")
        if url.port != self.port:
            raise WebError(f"it is on port {url.port}, and only {self.port} is asked")
        found = await self.addresses(url.host, self.port)
        if not found or not all(map(self.public, found)):
            raise WebError("its host is not on the public Internet")
        return found


class _Known(AbstractResolver):
    """Gives the addresses that were checked, and asks nobody."""

    def __init__(self, addresses: list[str]) -> None:
        self._addresses = addresses

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:  # noqa: ARG002
        return [
            ResolveResult(
                hostname=host, host=address, port=port, proto=0, flags=socket.AI_NUMERICHOST,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
            )
            for address in self._addresses
        ]  # fmt: skip

    async def close(self) -> None:
        """Nothing is open."""
