"""The clock is set, or the machine sleeps: nothing that has to happen waits for the other clock, and no silence outlasts its length."""

from __future__ import annotations

import json
import logging
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor import daemon, steps
from monitor.model import Human, State
from monitor.steps import Steps
from monitor.store import Store
from tests.conftest import START, Clock, World, world
from tests.test_escalation import silence

BACK = [timedelta(seconds=-20), timedelta(hours=-3)]


def set_clock(w: World, by: timedelta) -> None:
    """Ours is set, as the pulse notices it; X's and Slack's are not."""
    w.service.mind_clock(1_000.0 + w.elapsed, w.clock())
    w.clock.now += by
    theirs = w.x.clock
    w.x.clock = w.slack.clock = lambda: theirs() - by
    w.service.mind_clock(1_000.0 + w.elapsed, w.clock())


@pytest.mark.parametrize("by", [*BACK, timedelta(hours=1)])
async def test_timelines_are_read_and_a_hijack_pages_within_seconds(by: timedelta, tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.run(10)
        set_clock(w, by)
        w.x.post("acme", "This is a hijack.")
        await w.run(6)
        assert any("This is a hijack." in m.words() for m in w.slack.waking())


@pytest.mark.parametrize("by", BACK)
async def test_a_silence_of_an_hour_ends_when_its_hour_is_over(by: timedelta, tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        number = silence(w, hours=1)
        await w.run(1_800)
        set_clock(w, by)
        await w.run(1_780)
        assert [s.id for s in w.service.store.silences(w.clock())] == [number]
        await w.run(40)
        assert w.service.store.silences(w.clock()) == ()


@pytest.mark.parametrize("by", BACK)
async def test_a_page_is_repeated_when_it_was_due(by: timedelta, tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.post("acme", "This is a hijack.")
        await w.run(240)
        assert len(w.slack.waking()) == 1
        set_clock(w, by)
        await w.run(66)
        assert len(w.slack.waking()) == 2, "five minutes after the first"


@pytest.mark.parametrize("by", BACK)
async def test_an_acknowledgement_ends_when_it_would_have(by: timedelta, tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.post("acme", "This is a hijack.")
        await w.run(10)
        with w.service.store.transaction():
            assert w.service.outbox.act(1, Human("acknowledge", "alice", "a test", w.clock())) == ""
        held = w.service.store.incidents()[0].held_until
        assert held
        left = (held - w.clock()).total_seconds()
        set_clock(w, by)
        await w.run(left + 20)
        assert w.service.store.incidents()[0].state is State.OPEN


@pytest.mark.parametrize("by", BACK)
async def test_who_cannot_be_read_is_told_of_as_soon_as_ever(by: timedelta, tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.run(10)
        set_clock(w, by)
        w.x.faults.add("html", "/2/", value=503, times=10_000)
        await w.run(80)
        assert any("Not being watched" in m.words() for m in w.slack.waking())


async def test_a_step_forward_is_no_blindness_but_ten_in_a_row_hide_none(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.run(10)
        set_clock(w, timedelta(hours=1))
        w.service.check_health()
        await w.run(20)
        assert not any("Not being watched" in m.words() for m in w.slack.messages.values())
        w.x.faults.add("html", "/2/", value=503, times=10_000)
        for _ in range(12):
            await w.run(10)
            set_clock(w, timedelta(seconds=40))
        assert any("Not being watched" in m.words() for m in w.slack.waking())


async def test_a_step_is_logged_over_two_seconds_and_told_over_thirty(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with world(tmp_path) as w:
        set_clock(w, timedelta(seconds=-1.5))
        assert "the clock was set" not in caplog.text
        with caplog.at_level(logging.WARNING):
            set_clock(w, timedelta(seconds=-20))
        assert "the clock was set by -20.0 s" in caplog.text
        await w.run(10)
        assert not w.slack.roots()
        set_clock(w, timedelta(hours=-3))
        await w.run(10)
        told = [m for m in w.slack.roots() if "The clock was set" in m.words()]
        assert "Back by 10800 s" in told[0].words()
        assert told[0] not in w.slack.waking()
        w.service.mind_clock(1_000.0 + w.elapsed + 700, w.clock() + timedelta(seconds=700))
        await w.run(10)
        assert w.service.store.open_incident("blind:step") is None, "and closes itself"


@given(st.lists(st.floats(-20_000, 20_000), max_size=6))
@settings(deadline=None)
def test_every_job_of_the_schedule_is_pulled_in(jumps: list[float]) -> None:
    scheduler = AsyncIOScheduler(timezone=UTC)
    now = datetime.now(UTC)
    for every in (0.25, 1, 60, 3600):
        scheduler.add_job(len, "interval", args=[""], seconds=every, next_run_time=now)
    for jump in jumps:
        for job in scheduler.get_jobs():
            job.modify(next_run_time=now + timedelta(seconds=jump))
        daemon.pull_in(scheduler, now)
        assert all(j.next_run_time - now <= j.trigger.interval + daemon.EARLY for j in scheduler.get_jobs())


def test_a_sleep_and_a_stop_are_told_apart_from_running_slowly() -> None:
    pace = Steps()
    assert pace.look(0.0, START) == steps.Step()
    assert pace.look(0.5, START + timedelta(seconds=0.6)) == steps.Step(), "a clock that is slewed is not set"
    assert pace.look(1.0, START + timedelta(seconds=3_601.1)).by == timedelta(hours=1), "a sleep, which the monotonic clock does not count"
    assert pace.look(31.0, START + timedelta(seconds=3_631.1)) == steps.Step(paused=30.0), "SIGSTOP stops both"


# --- across a restart ----------------------------------------------------------------------------------


async def test_across_a_restart_what_lies_ahead_is_pulled_in(tmp_path: Path) -> None:
    clock = Clock(START)
    async with world(tmp_path, clock=clock) as w:
        number = silence(w, hours=1)
        await w.run(10)
        steps.remember(w.service.store, w.clock())
        w.clock.now -= timedelta(hours=3)
        w.service.recover_clock()
        (left,) = w.service.store.silences(w.clock())
        assert left.id == number
        assert left.ends_at - w.clock() < timedelta(hours=1)


async def test_after_a_reboot_with_the_clock_set_back_no_silence_goes_on(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        silence(w, hours=1)
        w.service.store.keep("clock", f'["{(w.clock()).isoformat()}", "another boot", 5.0]')
        w.clock.now -= timedelta(hours=3)
        w.x.clock = w.slack.clock = lambda: w.clock() + timedelta(hours=3)  # theirs was not
        w.service.recover_clock()
        assert w.service.store.silences(w.clock()) == ()
        await w.run(10)
        w.x.post("acme", "This is a hijack.")
        await w.run(6)
        assert w.slack.waking()


async def test_a_clock_that_was_not_set_changes_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        store: Store = w.service.store
        w.service.recover_clock()
        steps.remember(store, w.clock())
        w.clock.now += timedelta(hours=3)
        assert steps.since_last(store, w.clock())[0] == timedelta()


async def test_a_step_that_cannot_be_written_down_is_written_down_later(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.post("acme", "We are sold.")
        await w.run(3)
        store, before = w.service.store, w.service.started
        store.sql.execute("UPDATE pages SET fallback_at = 'noon' WHERE id = 1")  # and one row that nobody can read changes nothing
        with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            for by in (timedelta(hours=-1), timedelta()):
                with pytest.raises(sqlite3.OperationalError, match="locked"):
                    set_clock(w, by)
        assert w.service.started == before - timedelta(hours=1), "what is in memory waits for nobody"
        set_clock(w, timedelta())
        (one,) = store.unresolved()
        assert one.last_paged_at
        assert one.last_paged_at <= w.clock()
        said = [json.loads(r[0])["seconds"] for r in store.sql.execute("SELECT detail FROM audit WHERE action = 'clock stepped'")]
        assert said == [-3600.0]
        set_clock(w, timedelta())
        assert store.unresolved() == (one,), "once"
