"""Documents of others: whatever they hold, the loop goes on, the child dies at its limit, and the operator is told."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor import background, standing
from monitor.blocklists import Blocklists
from monitor.foreign import blocklist, shifts
from monitor.foreign.bounds import Bounds, ForeignError, OverLimitError, joined
from monitor.foreign.sandbox import Sandbox
from tests.conftest import wait_for, world

ROOT = Path(__file__).parent.parent
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
LATE = 1.0  # seconds of processor: for which a child's work may hold the loop at once


def laughs(deep: int = 10) -> bytes:
    """Nine aliases of nine aliases: billions of values in some hundred bytes."""
    lines = ["a: &a [x,x,x,x,x,x,x,x,x]"]
    lines += [f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]" for n in range(deep - 1)]
    return "\n".join(lines).encode()


def series(rule: str, since: str = "20200101T000000Z", many: int = 1) -> bytes:
    """A calendar with one series, or many."""
    event = "BEGIN:VEVENT\r\nUID:{0}\r\nDTSTAMP:20200101T000000Z\r\nDTSTART:{1}\r\nDURATION:PT1S\r\nRRULE:{2}\r\nSUMMARY:a@acme.example\r\nEND:VEVENT\r\n"
    events = "".join(event.format(n, since, rule) for n in range(many))
    return f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{events}END:VCALENDAR\r\n".encode()


AT = {"now": NOW.isoformat()}
Bomb = tuple[str, Callable[[], bytes], dict[str, str]]  # form, document, options; documents are made when they are tried
BOMBS: dict[str, Bomb] = {
    "yaml aliases": ("blocklist", laughs, {"ending": ".yaml"}),
    "yaml aliases of a merge": ("blocklist", lambda: b"a: &a {x: y}\nb: {<<: *a}\n", {"ending": ".yml"}),
    "yaml deep": ("blocklist", lambda: b"[" * 100_000, {"ending": ".yaml"}),
    "json deep": ("blocklist", lambda: b"[" * 1_000_000, {"ending": ".json"}),
    "json nodes": ("blocklist", lambda: b"[" + b"0," * 3_000_000 + b"0]", {"ending": ".json"}),
    "json objects": ("blocklist", lambda: b"[" + b'{"a":{}},' * 1_000_000 + b"0]", {"ending": ".json"}),
    "csv cells": ("blocklist", lambda: b"," * 3_000_000, {"ending": ".csv"}),
    "lines": ("blocklist", lambda: b"a.b\n" * 2_000_001, {"ending": ".txt"}),
    "every second": ("shifts", lambda: series("FREQ=SECONDLY"), AT),
    "every minute": ("shifts", lambda: series("FREQ=MINUTELY;INTERVAL=2"), AT),
    "every second of an hour": ("shifts", lambda: series("FREQ=HOURLY;BYSECOND=" + ",".join(map(str, range(60)))), AT),
    "folded": ("shifts", lambda: series("FREQ=SEC\r\n ONDLY"), AT),
    "lines of a calendar": ("shifts", lambda: b"BEGIN:VCALENDAR\n" * 2_000_001, AT),
}


@functools.cache
def _png(width: int, height: int) -> bytes:
    """A picture that is small as a file and so large unpacked."""
    import io

    from PIL import Image

    out = io.BytesIO()
    Image.new("1", (width, height)).save(out, "PNG")
    return out.getvalue()


BOMBS |= {
    "pixels": ("picture", lambda: joined([_png(30_000, 30_000)]), {}),
    "pixels with codes": ("codes", lambda: _png(30_000, 30_000), {}),
    "pixels with words": ("words", lambda: _png(30_000, 30_000), {}),
    "rows of a plan": ("plan", lambda: b"text,date\n" + b"a,2026-12-13 10:00Z\n" * 700_000, {"name": "plan.csv"}),
    "cells of a plan": ("plan", lambda: b"text" + b"," * 3_000_000, {"name": "plan.csv"}),
    "deep rows of a plan": ("plan", lambda: b'{"text":' + b"[" * 100_000, {"name": "plan.jsonl"}),
}
HANGS: dict[str, Bomb] = {
    "yaml of a million lines": ("blocklist", lambda: b"- url: evil.xyz\n" * 600_000, {"ending": ".yaml"}),
    "hourly series for ever": ("shifts", lambda: series("FREQ=HOURLY", "19700101T000000Z", 2_000), AT),
    "pictures without end": ("picture", lambda: joined([_png(4_096, 4_096)] * 200), {}),
    "words without end": ("words", lambda: _png(4_096, 4_096), {}),
    "a plan of one row": ("plan", lambda: b"text,date\n" + b'""' * 20_000_000, {"name": "plan.csv"}),
    "json of one text": ("blocklist", lambda: b'["' + b"." * 60_000_000 + b'"]', {"ending": ".json"}),
}


@contextlib.contextmanager
def lateness() -> Iterator[list[float]]:
    """For how long the loop was held at once while this ran, at worst, in seconds of processor: those of the clock are the machine's."""
    worst = [0.0]

    async def beat() -> None:
        while True:
            begun = time.thread_time()
            await asyncio.sleep(0.01)
            worst[0] = max(worst[0], time.thread_time() - begun)

    beating = asyncio.ensure_future(beat())
    try:
        yield worst
    finally:
        beating.cancel()


@pytest.mark.parametrize("name", BOMBS)
async def test_a_bomb_is_refused_and_the_loop_goes_on(name: str) -> None:
    form, make, options = BOMBS[name]
    document = make()
    found: list[Any] = []
    with lateness() as late, contextlib.suppress(ForeignError):
        found = await Sandbox().read(form, name, document, **options)
    assert not found or isinstance(found[0][1], str), "refused, whole or row by row"
    assert late[0] < LATE


@pytest.mark.parametrize("name", HANGS)
async def test_what_takes_too_long_is_killed_and_the_loop_goes_on(name: str) -> None:
    form, make, options = HANGS[name]
    document = make()
    sandbox, notes = Sandbox(Bounds(seconds=1.5)), dict[str, str]()
    sandbox.note = notes.__setitem__
    with lateness() as late, contextlib.suppress(ForeignError):
        await asyncio.wait_for(sandbox.read(form, name, document, **options), 10)
    assert late[0] < LATE
    assert not _children(), "killed, not left behind"


def _children() -> list[str]:
    return Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()


async def test_a_hang_is_over_at_the_limit_and_a_note(tmp_path: Path) -> None:
    sandbox, notes = Sandbox(Bounds(seconds=0.3)), dict[str, str]()
    sandbox.note = notes.__setitem__
    with pytest.raises(OverLimitError, match=r"more than 0\.3 s"):
        await sandbox.read("shifts", "the schedule", series("FREQ=HOURLY", "19700101T000000Z", 2_000), **AT)
    assert notes == {"the schedule": "reading it took more than 0.3 s"}
    sandbox.bounds = Bounds()
    await sandbox.read("shifts", "the schedule", series("FREQ=DAILY"), **AT)
    assert notes == {"the schedule": ""}, "and over when it can be read again"


async def test_memory_input_and_answer_are_bounded(tmp_path: Path) -> None:
    big = tmp_path / "big.txt"
    with big.open("wb") as file:
        file.truncate((64 << 20) + 1)
    for document in (big, bytes((64 << 20) + 1)):
        with pytest.raises(OverLimitError, match="larger than 64 MiB"):
            await Sandbox().read("blocklist", "big", document, ending=".txt")
    with pytest.raises(OverLimitError, match="needs more than 64 MiB"):
        await Sandbox(Bounds(memory=64 << 20)).read("blocklist", "big", bytes(60 << 20), ending=".csv")
    with pytest.raises(OverLimitError, match="larger than 1 MiB"):
        await Sandbox(Bounds(answer=1 << 20)).read("blocklist", "many", b"evil.example\n" * 100_000, ending=".txt")


async def test_no_pipe_is_waited_for_and_no_secret_is_handed_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from monitor.foreign import sandbox

    os.mkfifo(tmp_path / "feed.txt")
    with pytest.raises(ForeignError, match="no regular file"):
        await asyncio.wait_for(Sandbox().read("blocklist", "pipe", tmp_path / "feed.txt", ending=".txt"), 5)
    monkeypatch.setenv("X_BEARER_TOKEN", "secret")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x")
    assert not {"X_BEARER_TOKEN", "CREDENTIALS_DIRECTORY", "HOME"} & set(sandbox._environment())


async def test_one_at_a_time() -> None:
    sandbox = Sandbox()
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, len(_children()))
            await asyncio.sleep(0.01)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(sandbox.read("shifts", str(n), series("FREQ=DAILY"), **AT) for n in range(4)))
    watching.cancel()
    assert most == 1


async def test_a_million_hosts_are_taken_in_without_holding_the_loop(tmp_path: Path) -> None:
    path = tmp_path / "feed.txt"
    path.write_text("".join(f"host{n}.example\n" for n in range(300_000)))
    found = Blocklists((path,))
    with lateness() as late:
        await found.refresh(Sandbox())
    assert found.named(("host299999.example",), ()) == ("host299999.example (feed)",)
    assert late[0] < LATE


async def test_a_list_that_was_refused_is_read_again_when_it_changed_and_not_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:  # fmt: skip
    path = tmp_path / "list.yaml"
    path.write_bytes(laughs())
    found, reads = Blocklists((path,)), list[Any]()
    sandbox = Sandbox()
    inner = sandbox._read

    async def counted(form: str, document: bytes | Path, options: dict[str, Any]) -> list[Any]:
        reads.append(form)
        return await inner(form, document, options)

    sandbox._read = counted  # type: ignore[method-assign]
    for _ in range(3):
        await found.refresh(sandbox)
    assert len(reads) == 1
    assert "YAML alias" in found.notes(NOW)[0]
    path.write_text("- url: evil.xyz\n")
    await found.refresh(sandbox)
    assert found.named(("evil.xyz",), ()) == ("evil.xyz (list)",)


async def test_what_was_over_a_limit_is_in_the_log_and_in_status(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with world(tmp_path) as w:
        w.service.sandbox.bounds = Bounds(seconds=0.01)
        with caplog.at_level(logging.WARNING), pytest.raises(OverLimitError):
            await w.service.sandbox.read("shifts", "the schedule", series("FREQ=DAILY"), **AT)
        assert "the schedule: not read: reading it took more than" in caplog.text
        assert "more than 0.01 s" in standing.notes(w.service.store)["the schedule"]


# --- the readers by themselves ------------------------------------------------------------------------


def test_a_series_that_a_shift_can_have_is_read() -> None:
    day = "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;BYHOUR=12;BYMINUTE=0;BYSECOND=0"
    assert shifts.look(series(day).decode(), NOW).names == ("a@acme.example",)
    assert shifts.look(series("FREQ=HOURLY", "19900101T000000Z").decode(), NOW).names == ("a@acme.example",)


_TREE = st.recursive(
    st.from_regex(r"[a-z]{3,8}\.[a-z]{2,4}", fullmatch=True),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["allow", "deny", "url", "x"]), inner, max_size=4),
    max_leaves=20,
)


@given(_TREE)
@settings(deadline=None)
def test_a_list_says_the_same_as_yaml_and_as_json(data: Any) -> None:
    text = json.dumps(data).encode()
    assert list(blocklist.read(text, Bounds(), ending=".yaml")) == list(blocklist.read(text, Bounds(), ending=".json"))


@given(st.binary(max_size=200), st.sampled_from([".txt", ".json", ".yaml", ".csv"]))
@settings(deadline=None)
def test_whatever_a_list_holds_it_is_read_or_refused_in_time(body: bytes, ending: str) -> None:
    with contextlib.suppress(Exception):
        assert all(isinstance(entry, str) and entry for entry in blocklist.read(body, Bounds(), ending=ending))


# --- what else must not stop the watch -----------------------------------------------------------------


async def test_names_are_looked_up_though_every_other_thread_is_busy() -> None:
    import threading

    from monitor.assembly import Resolver

    done, loop = threading.Event(), asyncio.get_running_loop()
    busy = [loop.run_in_executor(None, done.wait, 20) for _ in range(64)]
    resolver = Resolver()
    try:
        found = await asyncio.wait_for(resolver.resolve("localhost", 443), 5)
        assert {f["port"] for f in found} == {443}
        assert {f["hostname"] for f in found} == {"localhost"}
    finally:
        done.set()
        await resolver.close()
        await asyncio.gather(*busy)


async def test_a_port_that_somebody_else_has_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from monitor import daemon

    taken = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    async with world(tmp_path, extra=f"[metrics]\nport = {port}\n") as w, daemon._helpers(w.service, {}):
        w.x.post("acme", "We are hacked.")
        await w.run(3)
        assert w.slack.waking()
        assert f"metrics.port: {port} cannot be used" in caplog.text
        assert "nothing answers on /metrics" in standing.notes(w.service.store)["metrics"]
    taken.close()


async def test_figures_are_served_in_the_end_though_the_database_was_held_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from monitor import daemon

    monkeypatch.setattr(daemon, "METRICS_SECONDS", 0.01)
    taken = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
    port, held = taken.sockets[0].getsockname()[1], list[str]()

    def note(_: object, what: str, why: str) -> None:
        held.append(why)
        if len(held) < 3 or held.count("") == 1:
            raise sqlite3.OperationalError("database is locked")
        noted[what] = why

    noted = dict[str, str]()
    monkeypatch.setattr(standing, "note", note)
    async with world(tmp_path, extra=f"[metrics]\nport = {port}\n") as w, daemon._helpers(w.service, {}):
        assert await wait_for(lambda: "cannot be used" in noted.get("metrics", ""))
        taken.close()
        await taken.wait_closed()
        assert await wait_for(lambda: noted["metrics"] == "")
        (await asyncio.open_connection("127.0.0.1", port))[1].close()


async def test_what_ends_in_the_background_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fails() -> None:
        raise LookupError

    one = background.OneAtATime()
    one.begin(fails(), "an errand")
    assert one.busy
    await one.settle()
    assert not one.busy
    assert "an errand failed: LookupError" in caplog.text


def test_whoever_keeps_a_task_begins_it_where_its_end_is_logged() -> None:
    """Python itself tells of a task that failed only when nobody keeps it. These deal with its end themselves."""
    own = {"pager.py", "listener.py", "collector.py", "planned_pictures.py", "app.py", "api.py", "background.py"}
    for path in (Path(__file__).parent.parent / "monitor").rglob("*.py"):
        if path.name not in own and "simulator" not in path.parts:
            kept = [line for line in path.read_text().splitlines() if "create_task(" in line and ".wait())" not in line]
            assert not kept, f"{path.name}: {kept}"
