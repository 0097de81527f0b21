"""Makes the parts from the configuration: edges found by their names, the HTTP session, rules, lists."""

from __future__ import annotations

import asyncio
import functools
import importlib
import os
import socket
import ssl
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from monitor import install_key, notifiers, rulebook, sources
from monitor.blocklists import Blocklists
from monitor.bounded_http import Response, Socket
from monitor.config import Config, ConfigError, options
from monitor.notifiers import interface as outgoing
from monitor.pages import LAST_RESORT
from monitor.sources.interface import Clock, Settings, SourceError


def build_edge(package: Any, name: str, settings: Any, secrets: Mapping[str, str]) -> Any:
    """The module's `build`, found by name. Raises ConfigError when a secret or a file of it is missing."""
    module = importlib.import_module(f"{package.__name__}.{name.split(':', maxsplit=1)[0]}")
    try:
        return module.build(settings, secrets)
    except KeyError as error:
        secret = str(error.args[0])
        raise ConfigError(
            f"{name}: the secret {secret} is missing: give it as the systemd credential {secret} or in the environment as {secret.upper()}"
        ) from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"{name}: {error}") from error


def http_session() -> aiohttp.ClientSession:
    """One session and TLS context for every edge, bounded; proxies and certificate bundles from the environment.

    Not `trust_env`: it would take logins from a ~/.netrc, which collide with our tokens, and ask for it in a thread at each request.
    """
    context = _tls(os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE"))
    connector = aiohttp.TCPConnector(ssl=context, limit=100, ttl_dns_cache=60, resolver=Resolver())
    timeout = aiohttp.ClientTimeout(total=10, sock_connect=5)
    return aiohttp.ClientSession(
        connector=connector, timeout=timeout, middlewares=(_through_proxies(),), response_class=Response, ws_response_class=Socket
    )


@functools.cache
def _tls(bundle: str | None) -> ssl.SSLContext:
    """Reading all certificates takes longer than anything else here."""
    return ssl.create_default_context(cafile=bundle)


def _through_proxies() -> aiohttp.ClientMiddlewareType:
    """Sends each request through the proxy that the environment names for its kind of address, unless somebody named another."""
    proxies = {kind: URL(named if "://" in named else f"http://{named}") for kind, named in getproxies().items() if kind != "no"}

    async def send_on(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        proxy = proxies.get(request.url.scheme)
        if proxy and request.proxy is None and not proxy_bypass(request.url.host or ""):
            request.update_proxy(proxy, None, None)
        return await send(request)

    return send_on


class Resolver(AbstractResolver):
    """Looks names up in threads of its own: whatever else waits in threads, DNS goes on."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(16, thread_name_prefix="dns")

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        """Raises OSError."""
        look = functools.partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, look)
        numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return [ResolveResult(hostname=host, host=str(a[0]), port=int(a[1]), family=f, proto=p, flags=numeric) for f, _, p, _, a in found]

    async def close(self) -> None:
        """No more questions; nobody waits for the answers."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def build_routes(config: Config, session: aiohttp.ClientSession, secrets: Mapping[str, str], clock: Clock) -> dict[str, outgoing.Notifier]:
    """Every channel that takes pages, by name, the last resort among them. Raises ConfigError."""
    return {
        name: build_edge(notifiers, name, outgoing.Settings(options(config, name), session, clock), secrets)
        for name in (*config.routes, LAST_RESORT)
    }


def load_key(config: Config, secrets: Mapping[str, str]) -> bytes:
    """The installation's own secret. Raises ConfigError."""
    try:
        return install_key.load(config.data_dir, secrets)
    except (install_key.InstallKeyError, OSError) as error:
        raise ConfigError(f"install_key: {error}") from error


def load_rules(config: Config) -> rulebook.Rulebook:
    """The packaged rules and the operator's, all of whose own tests hold. Raises RuleError."""
    base = config.path.parent
    book = rulebook.load([base / folder for folder in config.file.monitor.rules])
    if book.failures:
        raise rulebook.RuleError(book.failures[0])
    return book


def block_lists(config: Config) -> Blocklists:
    """The operator's block lists, not yet read: the first poll does not wait for them, and they only explain."""
    return Blocklists(
        tuple(config.path.parent / name for name in config.file.monitor.block_lists), config.file.monitor.block_list_stale_days
    )


async def choose_stream(wanted: str, settings: Settings, secrets: Mapping[str, str]) -> tuple[str, str]:
    """(the module of the stream or nothing, what was found in words). Asks X which of them this app may use, where `auto` wants it."""
    said = {
        "activity": "the Activity stream, as configured",
        "filtered": "the filtered stream, as configured",
        "none": "polling only, as configured",
    }
    if wanted != "auto":
        return {"activity": "x_activity", "filtered": "x_stream", "none": ""}[wanted], said[wanted]
    found = []
    for name, title in (("x_activity", "the Activity stream"), ("x_stream", "the filtered stream")):
        try:
            await build_edge(sources, name, settings, secrets).probe()
        except SourceError as error:
            if error.helps_to_wait and "X answered 404" not in str(error):  # it may well be there: the listener goes on asking
                return name, f"{title}, although it could not be asked for yet: {error}"
            found.append(f"{title} is not to be had ({error})")
            continue
        return name, "; ".join([title, *found])
    return "", "; ".join(["polling only", *found])
