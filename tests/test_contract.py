"""What every source and every notifier must do, whoever wrote it."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import pkgutil
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from monitor import assembly, notifiers, sources
from monitor.model import Account, Incident, Page, PageKind, Post, Severity
from monitor.notifiers import interface as outgoing
from monitor.notifiers.interface import Letter, NotifierError
from monitor.simulator.demo import serve
from monitor.simulator.slack import SlackWorld
from monitor.simulator.x import XWorld
from monitor.sources import interface as incoming
from monitor.sources.interface import Batch, Faces, SourceError
from tests.conftest import SECRETS, START, Clock
from tests.receivers import MAIL, Mailbox, Receiver, mailbox

SOURCES = [m.name for m in pkgutil.iter_modules(sources.__path__) if m.name != "interface" and not m.name.startswith("_")]
STREAMS = ["x_activity", "x_stream"]
SOURCES = [name for name in SOURCES if name not in STREAMS]
NOTIFIERS = [m.name for m in pkgutil.iter_modules(notifiers.__path__) if m.name != "interface" and not m.name.startswith("_")]
ACCOUNT = Account("x", "1", "acme")


def _has_the_methods_of(made: object, protocol: Any) -> None:
    for name, wanted in inspect.getmembers(protocol, inspect.isfunction):
        if name.startswith("_"):
            continue
        given = getattr(made, name)
        assert inspect.iscoroutinefunction(given), name
        assert list(inspect.signature(given).parameters) == [p for p in inspect.signature(wanted).parameters if p != "self"]


async def _source(name: str, stack: AsyncExitStack, folder: Path) -> tuple[incoming.Source, XWorld]:
    clock = Clock()
    x = XWorld(clock)
    x.user("acme", "1")
    x.post("acme", "Good morning.")
    day = folder / "day.jsonl"
    day.write_text('{"id": "1", "text": "Good morning.", "created_at": "2026-01-01T00:00:00Z"}\n')
    options = {"x": {"api_base": await serve(x.app(), stack)}, "replay": {"file": str(day)}}[name]
    session = await stack.enter_async_context(assembly.http_session())
    return assembly.build_edge(sources, name, incoming.Settings(options, session, clock), SECRETS), x


@pytest.mark.parametrize("name", SOURCES)
async def test_a_source_has_the_methods_and_gives_batches(name: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        source, _ = await _source(name, stack, tmp_path)
        _has_the_methods_of(source, incoming.Source)
        assert list(await source.resolve(("acme",))) == ["acme"]
        first = await source.read(ACCOUNT, None)
        assert isinstance(first, Batch)
        again = await source.read(ACCOUNT, first.cursor)
        assert isinstance(again.cursor, str)
        assert all(i.account == ACCOUNT.key for i in (*first.items, *again.items))
        assert list(again.items) == sorted(again.items, key=lambda i: i.created_at)
        assert isinstance(await source.profiles((ACCOUNT,)), Faces)
        assert (await source.posts((ACCOUNT,), tuple(i.id for i in first.items))).gone == set()


@pytest.mark.parametrize("name", [n for n in SOURCES if n != "replay"])
@pytest.mark.parametrize("kind", ["html", "empty", "broken_json", "list_body", "drop_before", "half_body"])
async def test_a_source_raises_its_own_error_and_nothing_else(name: str, kind: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        source, x = await _source(name, stack, tmp_path)
        for call in (
            source.read(ACCOUNT, None),
            source.read(ACCOUNT, "1"),
            source.profiles((ACCOUNT,)),
            source.posts((ACCOUNT,), ("1",)),
            source.search((ACCOUNT,), START),
        ):
            x.faults.add(kind, times=3)  # aiohttp itself repeats a GET whose kept-alive connection was cut
            with pytest.raises(SourceError) as raised:
                await call
            assert "x-token" not in str(raised.value) + repr(raised.value.__cause__)
            x.faults.script.clear()


async def _stream(name: str, stack: AsyncExitStack) -> tuple[incoming.Stream, XWorld]:
    clock = Clock()
    x = XWorld(clock)
    x.user("acme", "1")
    session = await stack.enter_async_context(assembly.http_session())
    settings = incoming.Settings({"api_base": await serve(x.app(), stack)}, session, clock)
    return assembly.build_edge(sources, name, settings, SECRETS), x


@pytest.mark.parametrize("name", STREAMS)
async def test_a_stream_covers_what_it_is_asked_for_and_tells_of_a_post(name: str) -> None:
    async with AsyncExitStack() as stack:
        stream, x = await _stream(name, stack)
        assert stream.connects > 0
        assert await stream.probe()
        assert (await stream.prepare((ACCOUNT,))).covered == {ACCOUNT.key}
        assert (await stream.prepare((ACCOUNT,))).covered == {ACCOUNT.key}, "asked twice it changes nothing"
        async with stream.connect() as chunks:
            x.post("acme", "We are sold.")
            told = stream.read(await anext(chunks))
        assert told.account == ACCOUNT.key
        assert isinstance(told.item, Post)
        assert told.item.text == "We are sold."
        assert told.key


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("kind", ["html", "empty", "broken_json", "list_body", "drop_before", "half_body"])
async def test_a_stream_raises_its_own_error_and_nothing_else(name: str, kind: str) -> None:
    async with AsyncExitStack() as stack:
        stream, x = await _stream(name, stack)
        for call in (stream.probe, lambda: stream.prepare((ACCOUNT,))):
            x.faults.add(kind, times=3)
            with pytest.raises(SourceError) as raised:
                await call()
            assert "x-token" not in str(raised.value) + repr(raised.value.__cause__)
            x.faults.script.clear()
        x.faults.add(kind, "stream", times=3)
        said = []
        with contextlib.suppress(SourceError):
            async with stream.connect() as chunks:
                said = [stream.read(chunk) async for chunk in chunks]
        assert not [t for t in said if t.account], "and whatever came was taken for nobody's"


async def _notifier(name: str, stack: AsyncExitStack) -> tuple[outgoing.Notifier, SlackWorld]:
    clock = Clock()
    slack = SlackWorld(clock)
    far = (await Receiver().start(stack)).base
    every: dict[str, dict[str, Any]] = {
        "slack": {"api_base": await serve(slack.app(), stack) + "/api/", "channel": "C0INCIDENTS"},
        "pagerduty": {"api_base": far}, "alertmanager": {"urls": [far]}, "webhook": {"url": far}, "apprise": {}, "stderr": {},
        "smtp": MAIL | {"port": await stack.enter_async_context(mailbox(Mailbox()))},
    }  # fmt: skip
    session = await stack.enter_async_context(assembly.http_session())
    secrets = SECRETS | {"apprise_urls": far.replace("http://", "json://")}
    return assembly.build_edge(notifiers, name, outgoing.Settings(every[name], session, clock), secrets), slack


def _letter(kind: PageKind, root: str = "") -> Letter:
    incident = Incident(1, "x::1", "@acme on X", Severity.PAGE, "Unapproved post", "nobody registered this post", START, START)
    return Letter(Page(1, f"t:inc1:{kind}:0", 1, "slack", kind, "first", START, ("S0SOCIAL",)), incident, (), START, root)


@pytest.mark.parametrize("name", NOTIFIERS)
async def test_a_notifier_has_the_methods_and_delivers_every_kind_of_page(name: str) -> None:
    async with AsyncExitStack() as stack:
        notifier, _ = await _notifier(name, stack)
        _has_the_methods_of(notifier, outgoing.Notifier)
        root = await notifier.send(_letter(PageKind.ROOT))
        assert root
        for kind in (PageKind.REPEAT, PageKind.NOTE, PageKind.SYNC):
            assert await notifier.send(_letter(kind, root))
        assert isinstance(await notifier.find(_letter(PageKind.ROOT)), str)
        assert await notifier.humans(root) == ()
        said = await notifier.check()
        assert not [secret for secret in SECRETS.values() if secret and secret in said]
        await notifier.shout("The disk is full.")


@pytest.mark.parametrize("kind", ["html", "empty", "broken_json", "list_body", "drop_before", "drop_after", "half_body"])
async def test_slack_raises_our_own_error_and_nothing_else(kind: str) -> None:
    async with AsyncExitStack() as stack:
        notifier, slack = await _notifier("slack", stack)
        root = await notifier.send(_letter(PageKind.ROOT))
        for call in (notifier.send(_letter(PageKind.NOTE, root)), notifier.find(_letter(PageKind.ROOT)), notifier.humans(root),
                     notifier.check(), notifier.shout("x")):  # fmt: skip
            slack.faults.add(kind, times=2)
            with pytest.raises(NotifierError) as raised:
                await call
            assert "xoxb" not in str(raised.value)
            slack.faults.script.clear()


@pytest.mark.parametrize("package", [sources, notifiers])
def test_every_module_of_an_edge_can_be_built(package: Any) -> None:
    for module in pkgutil.iter_modules(package.__path__):
        if module.name != "interface" and not module.name.startswith("_"):
            build = importlib.import_module(f"{package.__name__}.{module.name}").build
            assert list(inspect.signature(build).parameters) == ["settings", "secrets"]
