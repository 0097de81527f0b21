"""The daemon as a whole: blindness, full disks, reloads, limits, hostile answers, a clock that jumps."""

from __future__ import annotations

import asyncio
import base64
import inspect
import logging
import os
import random
import signal
import socket
import sqlite3
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path
from string import ascii_letters
from typing import cast

import aiohttp
import pytest
from aiohttp import web
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from monitor import assembly, desk, health, journal, preflight
from monitor.collector import Collector
from monitor.config import ConfigError
from monitor.daemon import schedule
from monitor.lock import locked
from monitor.model import Kind, Severity, State
from monitor.planning import Plan
from monitor.simulator import story as stories
from monitor.simulator import x as stand_in
from monitor.simulator.demo import now, serve
from monitor.simulator.slack import SlackWorld
from monitor.simulator.x import XWorld
from monitor.sources.interface import SourceError, Trouble
from monitor.store import Store
from monitor.tables import AccountTable
from monitor.verifying import verified
from tests.conftest import CONFIG, START, Clock, World, wait_for, world

OWN_RULE = (
    "id: own-rule\nversion: 1\ntitle: Our own\nstatus: live\nseverity: page\nwhy: Because we say so.\ndo: Look at it, please.\n"
    "match: {phrases: [bananas]}\ntests:\n  - {text: bananas, matches: true}\n  - {text: apples, matches: false}\n"
)


@pytest.mark.parametrize(
    ("kind", "value", "words", "seconds"),
    [
        ("json", (402, stand_in.UNFUNDED, {}), "credits are used up", 10),
        ("json", (401, stand_in.UNAUTHORIZED, {}), "refused the bearer token", 15),
        ("html", 503, "answered 503", 75),
        ("drop_before", None, "could not be reached", 75),
    ],
)
async def test_being_blind_pages_says_why_and_closes_itself_when_the_gap_is_read(
    tmp_path: Path, kind: str, value: object, words: str, seconds: float
) -> None:
    async with world(tmp_path) as w:
        await w.run(2)
        w.x.faults.add(kind, "/2/" if kind == "json" else "tweets", times=100_000, value=value)
        await w.run(seconds)
        (page,) = w.slack.waking()
        assert "Not being watched: @acme on X" in page.words()
        assert words in page.words()
        assert "would page nobody" in page.words()
        w.x.post("acme", "We are sold.")
        w.x.faults.script.clear()
        await w.run(75)
        blind = w.service.store.incident(1)
        assert blind
        assert blind.state is State.RESOLVED
        assert "Being read again" in blind.cause
        assert "1 post(s), 1 paged (INC-2)" in blind.cause, "what the gap contained"
        assert any("We are sold." in m.words() for m in w.slack.waking()), "the gap was judged"


async def test_an_outage_of_many_accounts_is_one_page_that_names_them(tmp_path: Path) -> None:
    data = CONFIG | {"accounts": [{"handle": f"brand{n}", "id": str(n + 1)} for n in range(12)]}
    async with world(tmp_path, data) as w:
        await w.run(2)
        w.x.faults.add("html", "tweets", times=100_000, value=503)
        await w.run(80)
        (page,) = w.slack.waking()
        assert "Not being watched: 12 accounts" in page.words()
        assert "@brand0 on X, @brand1 on X" in page.words()
        w.x.faults.script.clear()
        await w.run(10)
        assert w.service.store.unresolved() == ()


async def test_an_account_that_goes_blind_later_pages_again(tmp_path: Path) -> None:
    data = CONFIG | {"accounts": [{"handle": "acme", "id": "1"}, {"handle": "acmesupport", "id": "2"}]}
    async with world(tmp_path, data) as w:
        await w.run(2)
        w.x.faults.add("html", "/1/tweets", times=100_000, value=503)
        await w.run(80)
        assert "@acme on X" in w.slack.waking()[0].words()
        w.x.faults.add("html", "/2/tweets", times=100_000, value=503)
        await w.run(80)
        assert "Not being watched: 2 accounts" in w.slack.waking()[1].words(), "now it is the platform"
        assert "a hijack of @acme on X, @acmesupport on X would page nobody" in w.slack.waking()[1].words()


async def test_a_short_outage_wakes_nobody(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.faults.add("html", "tweets", times=20, value=503)
        await w.run(60)
        assert not w.slack.messages


async def test_an_account_that_is_suspended_pages(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.run(2)
        w.x.named("acme").state = "suspended"
        await w.run(10)
        assert "X says the account is suspended" in w.slack.waking()[0].words()


async def test_a_proxy_of_the_environment_is_asked_for_x_and_for_slack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passed: list[str] = []

    async def forwarded(request: web.BaseRequest) -> web.StreamResponse:
        passed.append(request.url.path)
        headers = {k: v for k, v in request.headers.items() if k.lower() in ("authorization", "content-type")}
        async with direct.request(request.method, request.url, headers=headers, data=await request.read()) as answer:
            kept = {k: v for k, v in answer.headers.items() if k.lower() in ("content-type", "date")}
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)

    proxy = await asyncio.get_running_loop().create_server(web.Server(forwarded), "127.0.0.1", 0)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
    async with aiohttp.ClientSession() as direct, world(tmp_path) as w:
        w.x.post("acme", "Take your BTC and run.")
        await w.run(8)
        proxy.close()
        assert len(w.slack.waking()) == 1
        assert {path.rsplit("/", 1)[-1] for path in passed} >= {"tweets", "chat.postMessage"}


async def test_a_login_of_the_environment_is_used_for_the_proxy_and_not_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str | None] = []

    async def answered(request: web.BaseRequest) -> web.Response:
        asked.append(request.headers.get("Proxy-Authorization"))
        return web.Response()

    server = await asyncio.get_running_loop().create_server(web.Server(answered), "127.0.0.1", 0)
    here = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    monkeypatch.setenv("http_proxy", f"http://acme:p%40ss@{here}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    async with assembly.http_session() as session:
        for address in ("http://x.example/", f"http://{here}/"):
            async with session.get(address) as answer:
                assert answer.status == 200
    server.close()
    assert asked == ["Basic " + base64.b64encode(b"acme:p@ss").decode(), None]


async def test_logins_of_a_netrc_are_not_sent_to_anybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await asyncio.to_thread((tmp_path / ".netrc").write_text, "default login somebody password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    async with world(tmp_path / "world") as w:
        w.x.post("acme", "Take your BTC and run.")
        await w.run(8)
        assert len(w.slack.waking()) == 1


async def test_a_rate_limit_is_waited_for_and_the_others_go_on(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        reset = str(int((w.clock() + timedelta(seconds=20)).timestamp()))
        headers = {"x-rate-limit-remaining": "0", "x-rate-limit-reset": reset}
        w.x.faults.add("json", "tweets", value=(429, stand_in.RATE_LIMITED, headers))
        await w.run(2)
        before = len([r for r in w.x.requests if "tweets" in r])
        await w.run(15)
        assert len([r for r in w.x.requests if "tweets" in r]) == before
        w.x.post("acme", "We are sold.")
        await w.run(8)
        assert len(w.slack.waking()) == 1


async def test_a_handle_that_cannot_be_looked_up_holds_up_no_other_account(tmp_path: Path) -> None:
    data = CONFIG | {"accounts": [{"handle": "acme", "id": "1"}, {"handle": "acmesupport", "id": "2"}]}
    async with world(tmp_path, data, extra='[[accounts]]\nplatform = "x"\nhandle = "acmelater"\n') as w:
        assert [a.account.handle for a in w.service.watches] == ["acme", "acmesupport"]
        await w.run(70)
        assert "Not being watched: @acmelater on X" in w.slack.waking()[0].words()
        w.x.user("acmelater", "3")
        w.x.post("acmelater", "We were sold unseen.")
        await w.run(1)
        await w.service.look_up()
        await w.run(10)
        assert any("We were sold unseen." in m.words() for m in w.slack.waking()), "it was posted while we wanted to watch"
        assert len(w.service.watches) == 3
        blind = [i.state for i in w.service.store.incidents() if i.headline == "Not being watched"]
        assert set(blind) == {State.RESOLVED}
        w.x.post("acmelater", "We are sold.")
        await w.run(3)
        assert any("We are sold." in m.words() for m in w.slack.messages.values())


async def test_a_database_that_another_process_writes_to_is_waited_for(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.service.store.sql.execute("PRAGMA busy_timeout = 1")
        other = sqlite3.connect(w.config.database, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        w.x.post("acme", "We are sold.")
        await w.service.poll(w.service.watches[0])
        w.service.tick()
        other.execute("ROLLBACK")
        other.close()
        assert w.service.broken == ""
        await w.run(3)
        assert len(w.slack.waking()) == 1


async def test_a_full_disk_is_said_from_memory_and_ends_the_daemon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with world(tmp_path) as w:
        pages = w.service.store.sql.execute("PRAGMA page_count").fetchone()[0]
        w.service.store.sql.execute(f"PRAGMA max_page_count = {pages}")
        for number in range(30):
            w.x.post("acme", f"We are sold {number}. {''.join(random.Random(number).choices(ascii_letters, k=9_000))}")
        await w.run(2)
        assert "database or disk is full" in w.service.broken
        (shout,) = [m.text for m in w.slack.messages.values() if "cannot write to" in m.text]
        assert "nobody registered this post: “We are sold 0." in shout, "told from memory"
        assert "cannot write to" in capsys.readouterr().err


async def test_one_post_that_cannot_be_written_down_pages_and_the_next_is_judged(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        poison = w.x.reply("acme", "@jo poison")
        w.service.store.sql.execute(
            f"CREATE TRIGGER poison BEFORE INSERT ON posts WHEN NEW.id = '{poison}' AND NEW.kind != 'unreadable'"
            " BEGIN SELECT RAISE(ABORT, 'poison'); END"
        )
        w.x.reply("acme", "@jo fine")
        await w.run(3)
        assert "could not be written down" in w.slack.waking()[0].words()
        assert len(w.service.store.posts("kind = 'reply'")) == 1


async def test_accepting_a_batch_twice_or_a_post_twice_in_it_changes_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        watch = w.service.watches[0]
        w.x.post("acme", "We are sold.")
        batch = await watch._source.read(watch.account, "0")
        doubled = replace(batch, items=(*batch.items, *batch.items))
        await watch.accept(doubled)
        await watch.accept(doubled)
        await w.run(3)
        assert len(w.service.store.posts("baseline = 0")) == 1
        assert len(w.slack.waking()) == 1


async def test_a_transaction_that_is_rolled_back_leaves_no_trace_in_the_queue(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register("Fees fall on Monday.")
        w.x.post("acme", "Fees fall on Monday.")
        w.service.store.sql.execute("CREATE TRIGGER full BEFORE UPDATE OF last_ok ON accounts BEGIN SELECT RAISE(ROLLBACK, 'full'); END")
        with pytest.raises(sqlite3.IntegrityError):
            await w.service.watches[0].poll()
        w.service.store.sql.execute("DROP TRIGGER full")
        w.register("Fees rise on Tuesday.")
        w.x.post("acme", "Fees rise on Tuesday.")
        await w.run(3)
        assert not w.slack.messages, "both registrations are known, and neither is used up by what never happened"


async def test_a_lookup_that_is_refused_does_not_hold_up_the_timeline(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.run(2)
        post = w.x.reply("acme", "@jo hello")
        await w.run(2)
        reset = str(int((w.clock() + timedelta(minutes=14)).timestamp()))
        headers = {"x-rate-limit-remaining": "0", "x-rate-limit-reset": reset}
        w.x.faults.add("json", "/2/tweets", times=50, value=(429, stand_in.RATE_LIMITED, headers))
        w.x.delete("acme", post)
        await w.run(2)
        w.x.post("acme", "We are sold.")
        await w.run(3)
        assert len(w.slack.waking()) == 1


async def test_evidence_of_an_unreadable_post_is_kept_too(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        bad = w.x.post("acme", "We are sold.")
        w.x.named("acme").posts[bad]["id"] = bad
        w.x.named("acme").posts[bad]["referenced_tweets"] = "nonsense"
        await w.run(3)
        (kept,) = w.service.store.posts("kind = 'unreadable'")
        row = w.service.store.evidence(kept.evidence)
        assert b"We are sold." in (row or b"")
        assert "could not be read" in w.slack.waking()[0].words()


async def test_rules_reload_whole_or_not_at_all(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    async with world(tmp_path) as w:
        w.config.path.write_text(w.config.path.read_text().replace("[company]", f'rules = ["{rules}"]\n[company]'))
        count = len(w.service.judge.rulebook.sources)
        good = OWN_RULE
        (rules / "own.yaml").write_text(good)
        w.service.reload()
        assert len(w.service.judge.rulebook.sources) == count + 1
        (rules / "own.yaml").write_text(good.replace("phrases", "phrazes"))
        w.service.reload()
        assert len(w.service.judge.rulebook.sources) == count + 1, "the old rules stay"
        (rules / "own.yaml").write_text(good.replace("text: bananas", "text: cherries"))
        w.service.reload()
        assert len(w.service.judge.rulebook.sources) == count + 1, "a rule whose own tests fail is no rule"
        await w.run(6)
        (notice,) = w.slack.roots()
        assert "Configuration was not reloaded" in notice.words()
        assert "rules/own" in notice.words(), "whoever changed it learns which file"
        (rules / "own.yaml").write_text(good)
        w.service.reload()
        await w.run(6)
        assert w.service.store.unresolved() == ()
        w.x.reply("acme", "@jo bananas")
        await w.run(3)
        assert "Our own" in w.slack.waking()[0].words()


async def test_a_reload_while_another_process_holds_the_database_ends_and_is_done_when_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    said.bind(str(tmp_path / "notify"))
    said.settimeout(5)
    async with world(tmp_path) as w:
        w.service.store.sql.execute("PRAGMA busy_timeout = 1")
        before = w.service.judge.digest
        w.config.path.write_text(w.config.path.read_text().replace("[company]", f'rules = ["{tmp_path / "rules"}"]\n[company]'))
        (tmp_path / "rules").mkdir()
        (tmp_path / "rules" / "own.yaml").write_text(OWN_RULE)
        other = sqlite3.connect(w.config.database, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        w.service.reload()
        assert [said.recv(999).partition(b"=")[0] for _ in range(2)] == [b"RELOADING", b"READY"]
        assert w.service.judge.digest == before, "what judges is what verdicts can be computed again by"
        other.execute("ROLLBACK")
        monkeypatch.delenv("NOTIFY_SOCKET")
        await w.run(6)
        assert w.service.judge.digest != before
        assert not w.slack.roots(), "what mended itself is nobody's business"
    said.close()


@pytest.mark.parametrize("hours", [-1, 1, 12])
async def test_a_clock_that_jumps_loses_nothing(tmp_path: Path, hours: float) -> None:
    async with world(tmp_path) as w:
        w.x.post("acme", "We are sold.")
        await w.run(2)
        w.clock.move(hours * 3600)
        w.x.post("acme", "Sold again.") if hours > 0 else None
        await w.run(20)
        assert len(w.service.store.posts("baseline = 0")) == (2 if hours > 0 else 1)
        assert len(w.slack.roots()) <= 2
        if hours > 0:
            assert len(w.slack.waking()) >= 2
            assert "late by" in w.slack.waking()[1].words()


def test_the_watchdog_is_fed_by_progress_and_not_by_being_alive() -> None:
    fresh, old = START - timedelta(seconds=1), START - timedelta(minutes=5)
    assert health.progressing({"a": fresh}, fresh, 0, START, 5) == ""
    assert "no poll of a" in health.progressing({"a": old}, fresh, 0, START, 5)
    assert "the pager has not run" in health.progressing({"a": fresh}, old, 0, START, 5)
    assert "overdue" in health.progressing({"a": fresh}, fresh, 2, START, 5)


async def test_two_daemons_cannot_share_a_data_directory(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(ConfigError, match="another hijack-monitor is running"), locked(tmp_path):
        pass


async def test_the_audit_chain_shows_that_somebody_changed_it(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register("Fees fall on Monday.")
        w.x.post("acme", "We are sold.")
        await w.run(2)
        store = w.service.store
        assert store.broken_audit() is None
        store.sql.execute("UPDATE audit SET actor = 'nobody' WHERE id = 2")
        assert store.broken_audit() == 2


async def test_every_commit_survives_a_power_cut(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        sql = w.service.store.sql
        assert sql.execute("PRAGMA synchronous").fetchone()[0] == 2
        assert sql.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


async def test_evidence_is_the_answer_as_received_with_its_hash(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.post("acme", "We are sold & gone.")
        await w.run(2)
        w.x.change("acme", name="Tesla")
        await w.run(3)
        change = w.service.store.posts("kind = 'profile'")[0]
        shown = w.service.store.evidence(change.evidence)
        assert b"Tesla" in (shown or b"")
        (kept,) = w.service.store.posts("baseline = 0 AND kind = 'post'")
        row = w.service.store.evidence(kept.evidence)
        assert b"We are sold &amp; gone." in (row or b"")


async def test_logs_are_journal_entries_with_fields_and_one_line_each(tmp_path: Path) -> None:
    heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    heard.bind(str(tmp_path / "journal"))
    handler = journal.JournalHandler(str(tmp_path / "journal"))
    try:
        raise ValueError("secret words")
    except ValueError:
        record = logging.LogRecord("monitor.watch", logging.ERROR, "f", 1, "page \n\x1b[31m INC-%d", (7,), sys.exc_info())
    record.account, record.post = "x::1", "12\nEVIL=1"
    handler.emit(record)
    fields = dict(line.split("=", 1) for line in heard.recv(4096).decode().splitlines())
    handler.close()
    heard.close()
    assert fields["PRIORITY"] == "3"
    assert fields["MONITOR_ACCOUNT"] == "x::1"
    assert fields["MONITOR_POST"] == "12 EVIL=1"
    assert fields["MESSAGE"].startswith("page [31m INC-7 [ValueError at test_service")
    assert "secret" not in str(fields)
    assert "EVIL" not in fields


# --- the process --------------------------------------------------------------------------------------


class Stuck:
    """What cannot be closed."""

    async def close(self) -> None:
        raise RuntimeError


async def test_whatever_ends_it_streams_are_closed_and_what_was_billed_is_written_down(tmp_path: Path) -> None:
    asking = asyncio.create_task(asyncio.sleep(60))

    async def begun() -> None:
        async with world(tmp_path) as w:
            w.service.observed._new[("2026-11-21", "odd")] = {"1", "2"}
            w.service.collectors["x"].asking = asking
            w.service.collectors = {"stuck": cast("Collector", Stuck()), **w.service.collectors}
            raise LookupError("the start failed half-way")

    with pytest.raises(LookupError):
        await begun()
    await asyncio.sleep(0)
    assert asking.cancelled()
    spent = sqlite3.connect(tmp_path / "data" / "monitor.db").execute("SELECT resources FROM spending WHERE kind = 'odd'").fetchall()
    assert spent == [(2,)]


class Mail:
    """A route with a transport of its own, which an ordinary stop does not close."""

    def __init__(self) -> None:
        self.shouted: list[str] = []

    async def shout(self, text: str) -> None:
        self.shouted.append(text)


async def test_an_ordinary_stop_in_the_middle_of_reading_tells_nobody_that_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mail = Mail()
    async with world(tmp_path, CONFIG | {"accounts": [{"handle": f"brand{n}", "id": str(n + 1)} for n in range(4)]}) as w:
        monkeypatch.setattr(w.service.pager, "notifiers", lambda: {"mail": mail})
        collector = w.service.collectors["x"]
        for path, fault in (("/users/1/", "hang"), ("/users/2/", "latency"), ("/users/3/", "latency")):
            w.x.faults.add(fault, path, times=9, value=0.2)
        before = len(w.x.requests)
        collector.hurry()
        for _ in range(9):
            w.clock.move(1)
            w.service.round()
        collector.asking = asyncio.create_task(asyncio.sleep(60))
        assert await wait_for(lambda: len(w.x.requests) >= before + 1)
        reading = list(collector._reading)
        assert reading
    assert all(task.done() for task in (*reading, collector.asking))
    w.service.emergency.stop_for("Cannot operate on a closed database.")
    assert not w.service.emergency._shouting, "nothing is on its way to anybody"
    assert mail.shouted == []
    assert not w.service.broken


@pytest.mark.slow
async def test_the_process_tells_systemd_pages_and_stops_at_sigterm(tmp_path: Path) -> None:
    """Real time, real process, real signals."""
    async with AsyncExitStack() as stack:
        x, slack = XWorld(now), SlackWorld(now)
        x_base, slack_base = await serve(x.app(), stack), await serve(slack.app(), stack)
        stories.Story(CONFIG, x, slack, now()).set_up()
        file, log = tmp_path / "hijack-monitor.toml", tmp_path / "log"
        file.write_text(stories.config_text(CONFIG, x_base, f"{slack_base}/api/", tmp_path / "data"))
        heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        heard.bind(str(tmp_path / "notify"))
        heard.setblocking(False)
        credentials = tmp_path / "credentials"
        credentials.mkdir()
        (credentials / "x_bearer_token").write_text("x-token\n")
        (credentials / "slack_bot_token").write_text("xoxb-token\n")
        environment = os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify"), "CREDENTIALS_DIRECTORY": str(credentials)}
        with log.open("w") as stderr:
            command = (sys.executable, "-m", "monitor", "--config", str(file), "run")
            daemon = await asyncio.create_subprocess_exec(*command, env=environment, stderr=stderr)
        said: list[str] = []

        def listening(word: str) -> bool:
            while True:
                try:
                    said.append(heard.recv(4096).decode())
                except BlockingIOError:
                    return any(word in s for s in said)

        assert await wait_for(lambda: listening("READY=1")), log.read_text()
        assert await wait_for(lambda: any("tweets" in r for r in x.requests))
        await asyncio.sleep(0.2)
        x.post("acme", "We are sold. <secret words>")
        assert await wait_for(lambda: bool(slack.waking()))
        assert await wait_for(lambda: listening("WATCHDOG=1"))
        daemon.send_signal(signal.SIGHUP)
        assert await wait_for(lambda: listening("RELOADING=1"))
        slack.faults.add("hang", "postMessage", times=10)
        x.change("acme", name="Tesla", url=None)
        assert await wait_for(lambda: len([m for m, _ in slack.calls if m == "chat.postMessage"]) > 1)
        daemon.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(daemon.wait(), 5) == 0, "a send that hangs does not hold up the stop"
        heard.close()
        written = log.read_text()
        assert "the secret slack_app_token is not there" in written, "it starts without, and says so"
        assert "secret words" not in written, "ids, not bodies"
        assert "x-token" not in written
        assert "xoxb" not in written
        assert sqlite3.connect(tmp_path / "data" / "monitor.db").execute("SELECT count(*) FROM incidents").fetchone()[0] == 1


@pytest.mark.slow
async def test_a_drill_pages_through_the_running_daemon_and_waits_for_the_acknowledgement(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with world(tmp_path, clock=Clock(now())) as w:
        command = asyncio.create_task(asyncio.to_thread(lambda: preflight.drill(Store(w.config.database), w.config, "alice", 20)))
        assert await wait_for(lambda: bool(w.service.store.incidents()))
        w.clock.now = now()
        await w.run(1)
        (page,) = w.slack.waking()
        assert "DRILL, not a hijack" in page.words()
        assert "this was posted nowhere" in page.words()
        w.slack.say("U02BOB", "ack", page.ts)
        await w.run(3)
        assert await command == 0
    said = capsys.readouterr().out
    assert "accepted by the channel after" in said
    assert "acknowledged by bob (U02BOB)" in said


async def test_every_job_runs_late_instead_of_never(tmp_path: Path) -> None:
    async with world(tmp_path, clock=Clock(now())) as w:
        scheduler = AsyncIOScheduler(timezone=UTC)
        schedule(scheduler, w.service)
        scheduler.start(paused=True)
        jobs = scheduler.get_jobs()
        assert all(job.misfire_grace_time is None and job.max_instances == 1 and job.coalesce for job in jobs)
        assert {"_round", "Service.pulse", "Service.sweep", "_tick", "_health"} <= {job.name for job in jobs}
        assert [job.name for job in jobs if not inspect.iscoroutinefunction(job.func)] == [], "it would run in another thread"
        scheduler.shutdown(wait=False)


async def test_the_schedule_itself_verifies_the_audit_chain(tmp_path: Path) -> None:
    async with world(tmp_path, clock=Clock(now())) as w:
        scheduler = AsyncIOScheduler(timezone=UTC)
        schedule(scheduler, w.service)
        scheduler.start(paused=True)
        for job in scheduler.get_jobs():
            if job.name != "Verifying.look":
                job.remove()
        scheduler.resume()
        assert await wait_for(lambda: verified(w.service.store).at is not None)
        assert verified(w.service.store).mark.id > 0
        assert w.service.emergency.broken == ""
        scheduler.shutdown(wait=False)


async def test_a_duty_that_raises_again_is_told_until_it_ends_well(tmp_path: Path) -> None:
    async with world(tmp_path, clock=Clock(now())) as w:
        scheduler, ended, service = AsyncIOScheduler(timezone=UTC), list[object](), w.service
        schedule(scheduler, service)
        scheduler.add_listener(ended.append, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
        scheduler.start(paused=True)
        job = scheduler.get_job("Service.search")
        for other in scheduler.get_jobs():
            if other.id != job.id:
                other.remove()
        scheduler.resume()
        whole, service.collectors = service.collectors, None  # type: ignore[assignment]
        assert await wait_for(lambda: len(ended) == 1)
        assert service.check.failing == {}, "once is no news"
        job.modify(next_run_time=now())
        assert await wait_for(lambda: len(ended) == 2)
        service.collectors = whole
        await w.run(20)
        (notice,) = w.slack.roots()
        assert "checks and duties fail: Service[.]search (AttributeError); what they would do is not done" in notice.words()
        assert not w.slack.waking()
        job.modify(next_run_time=now())
        assert await wait_for(lambda: len(ended) == 3)
        await w.run(15)
        assert {i.state for i in service.store.incidents() if i.subject == "blind:self-check"} == {State.RESOLVED}
        scheduler.shutdown(wait=False)


async def test_what_was_registered_before_the_first_start_goes_by_and_an_open_one_too(tmp_path: Path) -> None:
    def registered(_: object) -> None:
        store = Store(tmp_path / "data" / "monitor.db")
        plan = Plan("x::@acme", Kind.POST, "Our spring sale begins today.", START - timedelta(hours=1), START + timedelta(hours=1))
        desk.register(store, plan, "carla", START - timedelta(hours=1))
        repost = replace(plan, kind=Kind.REPOST, text="", author="partner")
        desk.register(store, repost, "carla", START - timedelta(hours=1))
        store.close()

    async with world(tmp_path, before=registered) as w:
        assert {one.account for one in desk.registrations(w.service.store)} == {w.service.watches[0].account.key}
        w.x.post("acme", "Our spring sale begins today.")
        await w.run(2)
        assert [k.verdict.severity for k in w.service.store.posts("baseline = 0")] == [Severity.CLEAR]
        acts = w.service.store.sql.execute("SELECT subject, detail FROM audit WHERE action = 'account resolved'").fetchall()
        assert [tuple(act) for act in acts] == [("x::2244994945", '{"handle": "acme", "registrations": 2}')]


@pytest.mark.parametrize("handles", [("later", "gone"), ("gone", "later")])
async def test_why_an_id_is_not_known_is_said_of_each_account_and_one_that_may_come_is_waited_for(
    tmp_path: Path, handles: tuple[str, ...]
) -> None:
    async with world(tmp_path) as w:
        unknown(w, *handles)
        await w.service.watch_accounts()
        found = {r.name: r.error for r in w.service.readings()}
        assert {name: "try later" in why for name, why in found.items()} == {"@later on X": True, "@gone on X": False}


async def test_a_start_that_can_watch_nothing_tells_every_route_before_it_ends(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        unknown(w, "gone", "lost")
        for _ in range(2):
            with pytest.raises(ConfigError, match=r"@gone: .* no such account; @lost: .* no such account"):
                await w.service.watch_accounts()
        (told,) = [m.words() for m in w.slack.messages.values() if "cannot watch anything" in m.words()]
        assert "@gone: its id could not be looked up" in told
        assert "set the `id` of ours" in told


def unknown(w: World, *handles: str) -> None:
    """As if it began with these alone, none of which X knows now."""

    async def resolve(wanted: tuple[str, ...]) -> dict[str, SourceError]:
        waits = {"later": SourceError(Trouble.UNAVAILABLE, "try later")}
        return {handle: waits.get(handle, SourceError(Trouble.GONE, "no such account")) for handle in wanted}

    file = w.config.file.model_copy(update={"accounts": [AccountTable(platform="x", handle=handle) for handle in handles]})
    w.service.config = replace(w.service.config, file=file)
    w.service.sources["x"].resolve = resolve  # type: ignore[method-assign, assignment]
    w.service.watches.clear()
