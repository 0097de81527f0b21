"""The monitor proves that it works: what is wrong with it is told where it is not broken, and a drill wakes people."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import desk, drill, health, incidents, metrics, selfcheck, status
from monitor.foreign import shifts
from monitor.foreign.sandbox import Sandbox
from monitor.health import Vitals
from monitor.model import Company, Human, Severity, State
from monitor.oncall import Schedule, nobody_for
from monitor.rulebook import load
from monitor.simulator import x as stand_in
from monitor.sources import x as source
from monitor.store import Store
from monitor.verdict.rules import Rules
from tests import older
from tests.conftest import CONFIG, START, World, world
from tests.receivers import Receiver

GOOD = Vitals(disk_free_mb=10_000, connections=2, expected=2)


# --- the table of signals -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vitals", "subject", "severity"),
    [
        (replace(GOOD, late=11), "blind:monitor", Severity.NOTIFY),
        (replace(GOOD, late=61), "blind:monitor", Severity.PAGE),
        (replace(GOOD, disk_free_mb=400), "blind:disk", Severity.NOTIFY),
        (replace(GOOD, disk_free_mb=90), "blind:disk", Severity.PAGE),
        (replace(GOOD, slack="token_revoked", slack_seconds=60), "blind:slack", Severity.NOTIFY),
        (replace(GOOD, slack="token_revoked", slack_seconds=1_801), "blind:slack", Severity.PAGE),
        (replace(GOOD, deaf_seconds=181), "blind:buttons", Severity.NOTIFY),
        (replace(GOOD, connections=3), "blind:connections", Severity.NOTIFY),
        (replace(GOOD, nobody_on_call_seconds=86_400), "blind:oncall", Severity.NOTIFY),
        (replace(GOOD, engine="a known scam would not page"), "blind:engine", Severity.PAGE),
        (replace(GOOD, routes=(("smtp", 90),)), "blind:route-smtp", Severity.NOTIFY),
        (replace(GOOD, drill="nobody acknowledged INC-3"), "blind:drill", Severity.NOTIFY),
        (replace(GOOD, backup="the last good backup is of 3 Mar"), "blind:backup", Severity.NOTIFY),
    ],
)
def test_every_signal_has_its_incident(vitals: Vitals, subject: str, severity: Severity) -> None:
    (symptom,) = health.symptoms(vitals)
    assert (symptom.subject, symptom.severity) == (subject, severity)
    assert symptom.subject in health.OVER or symptom.subject.startswith("blind:route-"), "and its word when it is over"


def test_while_all_is_well_nothing_is_said() -> None:
    assert health.symptoms(GOOD) == ()
    assert health.symptoms(replace(GOOD, deaf_seconds=10_000, expected=0, connections=0)) == (), "without sockets nobody is deaf"


async def test_broken_slack_is_told_on_another_route_once_and_closes_itself(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        duty = await Receiver().start(stack)
        w = await stack.enter_async_context(world(tmp_path, extra=f'[pagerduty]\napi_base = "{duty.base}"\n'))
        w.slack.refuse |= {"auth.test": "token_revoked", "chat.postMessage": "token_revoked"}
        await w.run(200)
        (told,) = duty.bodies
        assert "Slack cannot be used: the monitor itself" in told["payload"]["summary"]
        assert told["payload"]["severity"] == "warning"
        await w.run(20 * 60)
        assert len(duty.bodies) == 1, "once, then quiet"
        await w.run(12 * 60)
        assert [b["payload"]["severity"] for b in duty.bodies if b["event_action"] == "trigger"][:2] == ["warning", "critical"], (
            "after half an hour it pages"
        )
        w.slack.refuse.clear()
        await w.run(70)
        assert duty.bodies[-1]["event_action"] == "resolve"
        assert all(i.state is State.RESOLVED for i in w.service.store.incidents())


async def test_blindness_closes_after_two_good_reads_and_says_which_gap_was_checked(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.run(10)
        w.x.faults.add("html", "", times=10_000, value=503)
        await w.run(90)
        root = w.slack.roots()[0]
        w.x.post("acme", "Posted while nobody looked.")
        w.x.faults.script.clear()
        await w.run(20)
        assert "Nothing was read from 03:00:10 to 03:01:" in root.words()
        assert "Everything posted in between that was not deleted again has been read and judged: 1 post(s), 1 paged" in root.words()
        assert any("Posted while nobody looked." in m.words() for m in w.slack.waking())


async def test_what_was_posted_and_deleted_while_nobody_looked_is_not_said_never_to_have_been(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.change("acme", protected=True)
        await w.run(90)
        w.x.delete("acme", w.x.post("acme", "For followers only: send BTC."))
        w.x.change("acme", protected=False)
        await w.run(30)
        (blind,) = [i for i in w.service.store.incidents() if i.subject.startswith("blind")]
        assert blind.state is State.RESOLVED
        assert "that was not deleted again has been read and judged: no post of that time is there" in blind.cause


async def test_an_account_that_is_hidden_and_shown_again_and_again_wakes_nobody_each_time(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.run(400, meanwhile=lambda elapsed: w.x.change("acme", protected=bool(elapsed // 25 % 2)))
        w.x.change("acme", protected=False)
        first, second = sorted((i for i in w.service.store.incidents() if i.subject.startswith("blind")), key=lambda i: i.id)
        assert (first.state, second.state) == (State.RESOLVED, State.OPEN)
        assert first.pages + second.pages <= 3, "one each, and one because nobody acknowledges"
        await w.run(330)
        cause = w.service.store.incidents_of(second.subject)[0].cause
        assert cause.startswith("Being read again since")
        assert "Reads failed again and again from 03:01:18 to 03:06:40 UTC" in cause


def test_what_of_a_gap_is_not_yet_checked_is_said() -> None:
    reading = health.Reading(
        "x::1",
        "@acme on X",
        START + timedelta(minutes=9),
        None,
        0,
        "",
        "",
        2,
        (START, START + timedelta(minutes=8)),
        "the rest is read next",
    )
    said = health.recovered("blind:x", ("@acme on X",), START, (reading,), START + timedelta(minutes=9))
    assert said.endswith(
        "Nothing was read from 03:00:00 to 03:08:00 UTC. Not yet checked: @acme on X: the rest is read next. Read so far: nothing"
    )
    assert health.recovered("blind:x", ("@acme on X",), START, (replace(reading, good=1),), START) == "", "one good read may be luck"


async def test_a_gap_that_x_no_longer_shows_pages_and_is_closed_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (source, stand_in):
        monkeypatch.setattr(module, "MOST_SHOWN", 1_200)  # it is 3,200, and the same there
    async with world(tmp_path) as w:
        await w.run(5)
        w.x.faults.add("html", "", times=10_000, value=503)
        for _ in range(1_300):
            w.x.post("acme", "Flooded.")
            w.clock.move(0.01)
        w.x.faults.script.clear()
        await w.run(8)
        assert w.service.store.sql.execute("SELECT count(*) FROM posts WHERE baseline = 0").fetchone()[0] == 1_200
        (gap,) = [i for i in w.service.store.incidents() if i.headline == "Not checked"]
        assert (
            "X shows only the newest 1,200 posts, so that what was posted from 2026-11-21 02:58:00 UTC to 2026-11-21 03:00:0" in gap.reason
        )
        assert gap.severity is Severity.PAGE
        await w.run(60)
        after = w.service.store.incident(gap.id)
        assert after
        assert after.state is State.OPEN, "by hand"


def _rules() -> Rules:
    return load([]).rules


def test_the_engine_is_tried_on_a_known_post_and_a_known_scam() -> None:
    company = Company("Acme", ("acme.example",))
    assert selfcheck.canary(company, _rules(), START) == ""
    assert "would not page" not in selfcheck.canary(company, Rules(()), START), "without any rule an unregistered post still pages"


def _crash(*_: object) -> str:
    raise TypeError("a bug")


@pytest.mark.parametrize("canary", [lambda *_: "a known scam would not page", _crash])
async def test_an_engine_that_judges_wrongly_or_fails_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, canary: Callable[..., str]
) -> None:
    async with world(tmp_path) as w:
        monkeypatch.setattr(selfcheck, "canary", canary)
        w.service.check.forget_engine()
        await w.run(6)
        assert "Posts are judged wrongly" in w.slack.waking()[0].words()


async def test_new_rules_are_tried_at_once_and_the_engine_once_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world(tmp_path) as w:
        tried: list[int] = []

        def canary(*_: object) -> str:
            tried.append(1)
            return ""

        monkeypatch.setattr(selfcheck, "canary", canary)
        await w.run(30)
        assert tried == []
        w.clock.move(24 * 3600)
        await w.run(12)
        assert tried == [1]
        w.service.check.forget_engine()
        await w.run(12)
        assert tried == [1, 1]


async def test_a_tick_that_ran_late_is_told_and_forgotten_after_a_minute(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        check = w.service.check
        check.ran(100.0, 1)
        check.ran(115.0, 1)
        await w.run(6)
        assert "pager ran 14 s late" in w.slack.roots()[0].words()
        await w.run(70)
        assert "It runs in time again" in w.slack.roots()[0].words()


async def test_a_clock_that_was_set_or_slept_is_written_down(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.service.mind_clock(100.0, w.clock())
        w.service.mind_clock(101.0, w.clock() + timedelta(hours=1))
        row = w.service.store.sql.execute("SELECT detail FROM audit WHERE action = 'clock stepped'").fetchone()
        assert json.loads(row[0]) == {"seconds": 3599.0}


# --- the dead-man's switch -------------------------------------------------------------------------------


DEADMAN = "[deadman]\nevery_seconds = 60\n"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ("UPDATE pages SET state = 'ready', fallback_at = '2020-01-01', next_at = '2099-01-01', sent_at = NULL", "page(s) overdue"),
        ("UPDATE incidents SET last_paged_at = '2020-01-01T00:00:00+00:00', since = '2020-01-01T00:00:00+00:00'", "INC-1 has no next step"),
        ("CREATE TRIGGER full BEFORE UPDATE ON meta BEGIN SELECT RAISE(ABORT, 'disk full'); END", "cannot be written"),
    ],
)
async def test_what_makes_the_audit_fail(spoil: str, said: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        outside = await Receiver().start(stack)
        w = await stack.enter_async_context(world(tmp_path, extra=DEADMAN, secrets={"deadman_url": f"{outside.base}/ping/p"}))
        w.x.post("acme", "We are sold.")
        await w.run(3)
        await w.service.beat()
        before = len(outside.got)
        w.service.store.sql.execute(spoil)
        await w.service.beat()
        path, body, *_ = outside.got[before]
        assert path == "/ping/p/fail"
        assert said in str(body)


async def test_opsgenie_and_alertmanager_know_us_alive_only_while_we_say_so(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        genie, manager = await Receiver().start(stack), await Receiver().start(stack)
        extra = f'[alertmanager]\nurls = ["{manager.base}"]\n[deadman]\nopsgenie_heartbeat = "hijack"\nopsgenie_base = "{genie.base}"\nalertmanager = true\n'
        w = await stack.enter_async_context(world(tmp_path, extra=extra, secrets={"opsgenie_key": "genie"}))
        manager.got.clear()
        genie.got.clear()
        await w.service.beat()
        path, _, headers, _ = genie.got[0]
        assert (path, headers["authorization"]) == ("/v2/heartbeats/hijack/ping", "GenieKey genie")
        alert = manager.bodies[0][0]
        assert alert["labels"]["alertname"] == "HijackMonitorAlive"
        assert alert["labels"]["monitor"] == w.service.store.install
        assert datetime.fromisoformat(alert["endsAt"]) == w.clock() + timedelta(seconds=180)
        w.service.store.sql.execute("CREATE TRIGGER full BEFORE UPDATE ON meta BEGIN SELECT RAISE(ABORT, 'disk full'); END")
        await w.service.beat()
        assert len(genie.got) == len(manager.got) == 1


async def test_an_outside_that_does_not_answer_breaks_nothing(tmp_path: Path) -> None:
    async with world(tmp_path, extra=DEADMAN, secrets={"deadman_url": "http://127.0.0.1:1/x"}) as w:
        await w.service.beat()
        w.x.post("acme", "We are sold.")
        await w.run(3)
        assert len(w.slack.waking()) == 1


# --- drills -------------------------------------------------------------------------------------------


async def test_a_drill_goes_the_real_path_needs_a_human_and_closes_itself(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        number = await w.service.begin_drill("alice")
        await w.run(2)
        root = w.slack.roots()[0]
        assert root.words().startswith("🔵 DRILL, not a hijack: @drill on replay · INC-1")
        assert "<!subteam^S0SOCIAL>" in root.words()
        assert "double" in root.words(), "the real rules speak"
        await w.run(5 * 60 + 4)
        assert len(w.slack.waking()) == 2, "it escalates like a real one"
        w.slack.say("U01ALICE", "ack", root.ts)
        await w.run(10)
        one = w.service.store.incident(number)
        assert one
        assert (one.state, one.outcome) == (State.RESOLVED, "over")
        assert "The drill is over: acknowledged after 5 min" in root.words()
        assert "paged after 0 s" in drill.words(w.service.store)
        assert "acknowledged after 5 min by alice" in drill.words(w.service.store)


async def test_a_real_hijack_during_a_drill_is_told_apart_even_with_the_drills_own_words(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.service.begin_drill("alice")
        await w.run(2)
        w.x.post("acme", drill.TEXT.format(who="alice"))
        await w.run(3)
        told = [m.words() for m in w.slack.waking()]
        assert told[0].startswith("🔵 DRILL")
        assert told[1].startswith("🔴 Unapproved post: @acme on X · INC-2")
        assert "the same text" not in told[1]
        assert "the same words" not in told[1]
        assert "DRILL, not a hijack" not in told[1]


async def test_a_drill_that_nobody_acknowledges_ends_after_an_hour_and_is_told(tmp_path: Path) -> None:
    async with world(tmp_path, extra="[drill]\nevery_days = 7\nhour = 23\n") as w:
        await w.service.begin_drill("alice")
        await w.run(61 * 60)
        assert "Nobody acknowledged the drill within an hour" in w.slack.roots()[0].words()
        assert any("The drill is overdue" in m.words() for m in w.slack.roots())
        await w.service.begin_drill("bob")
        await w.run(2)
        w.slack.say("U01ALICE", "ack", [m for m in w.slack.roots() if "DRILL, not" in m.words()][-1].ts)
        await w.run(20)
        assert any("A drill was acknowledged" in m.words() for m in w.slack.roots())


async def test_the_schedule_begins_one_drill_a_week(tmp_path: Path) -> None:
    async with world(tmp_path, extra='[drill]\nevery_days = 7\nweekday = "saturday"\nhour = 3\n') as w:
        await w.run(70)
        assert [i.subject for i in w.service.store.incidents()] == ["replay::drill"], "START is a Saturday at 03:00"
        await w.run(30 * 60)
        assert len(w.service.store.incidents()) == 1


@pytest.mark.parametrize(
    ("latest", "now", "weekday", "begins"),
    [
        (None, START, "", True),
        (None, START + timedelta(minutes=59), "", True),
        (None, START + timedelta(minutes=61), "", False),
        (None, START - timedelta(minutes=1), "", False),
        (None, START, "sunday", False),
        (START - timedelta(days=6), START, "", False),
        (START - timedelta(days=7), START, "", True),
        (START - timedelta(days=7) + timedelta(minutes=40), START, "saturday", True),
    ],
)
def test_when_a_drill_is_due(latest: datetime | None, now: datetime, weekday: str, begins: bool) -> None:
    assert drill.due(latest, now, 7, weekday, 3) is begins


async def test_a_drill_is_not_watched_like_an_account_and_can_be_recomputed(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.service.begin_drill("alice")
        await w.run(200)
        assert [i.subject for i in w.service.store.incidents()] == ["replay::drill"]
        standing = status.standing(w.service.store, w.config, w.clock())
        assert [line["account"] for line in standing.lines] == ["x::2244994945"]
        assert not [line for line in standing.wrong if "would page nobody" in line]
        (kept,) = w.service.store.posts("account = 'replay::drill'")
        assert desk.recompute(w.service.store, kept) == kept.verdict


# --- who is on call --------------------------------------------------------------------------------------


CALENDAR = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//schedule//EN
BEGIN:VEVENT
UID:1
DTSTART;TZID=Europe/Berlin:20261116T200000
DTEND;TZID=Europe/Berlin:20261117T080000
RRULE:FREQ=DAILY
SUMMARY:On call - Bob
ATTENDEE:mailto:bob@acme.example
END:VEVENT
BEGIN:VEVENT
UID:2
DTSTART:20261116T070000Z
DTEND:20261116T190000Z
RRULE:FREQ=DAILY
SUMMARY:On call U01ALICE by day
END:VEVENT
END:VCALENDAR
"""


def test_whose_shift_it_is_by_repeating_events_in_their_own_zones() -> None:
    assert shifts.look(CALENDAR, START).names == ("bob@acme.example",), "03:00 UTC is 04:00 in Berlin"
    assert shifts.look(CALENDAR, START.replace(hour=12)).names == ("U01ALICE",)


class Calendar(Receiver):
    """Serves a calendar."""

    text: str = CALENDAR

    async def _take(self, request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
        return aiohttp.web.Response(text=self.text, status=self.status)


async def test_the_person_on_call_is_looked_up_and_named_first(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        calendar = await Calendar(status=200).start(stack)
        w = await stack.enter_async_context(world(tmp_path, extra="[oncall]\n", secrets={"oncall_url": f"{calendar.base}/secret.ics"}))
        await w.service.look_at_schedule()
        assert w.service.outbox.oncall == ("U02BOB",)
        told = "on call now: bob@acme.example (U02BOB) (read 2026-11-21 03:00 UTC)"
        assert told in w.service.standing()
        assert told in status.standing(w.service.store, w.config, w.clock()).notes
        w.x.post("acme", "We are sold.")
        await w.run(2)
        assert "<@U02BOB>" in w.slack.waking()[0].words()
        calendar.status = 500
        w.clock.move(9 * 3600)
        await w.service.look_at_schedule()
        assert w.service.outbox.oncall == ("U01ALICE",), "the last good copy goes on being right"
        w.clock.move(3 * 86_400)
        await w.service.look_at_schedule()
        assert not w.service.outbox.oncall, "and then the group is paged"
        assert "on call now: not known: no copy of the schedule can be read" in w.service.standing()[-2]


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "BEGIN:VCALENDAR\nEND:VCALENDAR", "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:x\n", CALENDAR.replace("bob@", "nobody@")],
)
async def test_a_schedule_that_says_nothing_leaves_the_group(text: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        calendar = Calendar(status=200)
        calendar.text = text
        await calendar.start(stack)
        w: World = await stack.enter_async_context(world(tmp_path))
        session = await stack.enter_async_context(aiohttp.ClientSession())

        async def lookup(address: str) -> str:
            return {"bob@acme.example": "U02BOB"}.get(address, "")

        schedule = Schedule(f"{calendar.base}/x.ics", w.service.store, session, lookup, Sandbox())
        assert await schedule.now(START) == ()
        assert await schedule.now(START + timedelta(hours=24)) == ()
        was_read = text in ("BEGIN:VCALENDAR\nEND:VCALENDAR", CALENDAR.replace("bob@", "nobody@"))
        assert nobody_for(w.service.store, START + timedelta(hours=24)) == (timedelta(days=1) if was_read else timedelta())
        assert schedule.duty.unknown == (("nobody@acme.example",) if "nobody@" in text else ())
        calendar.text = CALENDAR
        assert await schedule.now(START) == ("U02BOB",)
        assert not nobody_for(w.service.store, START + timedelta(hours=24))


# --- figures -------------------------------------------------------------------------------------------


async def test_prometheus_and_healthz_on_loopback(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await stack.enter_async_context(world(tmp_path))
        w.x.post("acme", "Send 1 BTC and get double back <script>")
        await w.run(3)
        with w.service.store.transaction():
            w.service.outbox.act(1, Human("acknowledge", "alice", "a test", w.clock() + timedelta(seconds=40)))
        figures = metrics.Figures(w.service.store, w.clock, w.service.check, w.service.reads)
        port = await metrics.serve(figures, 0, stack)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        said = await (await session.get(f"http://127.0.0.1:{port}/metrics")).text()
        for line in ('hijack_monitor_account_lag_seconds{account="x::2244994945",handle="acme"}', 'hijack_monitor_pages{kind="root",route="slack",state="sent"} 1.0',
                     'hijack_monitor_time_to_acknowledge_seconds_count{drill="no"} 1.0', 'hijack_monitor_time_to_page_seconds_bucket{drill="no",le="1.0"} 1.0',
                     "hijack_monitor_healthy 1.0", "hijack_monitor_tick_lateness_seconds", 'hijack_monitor_rule_hits_total{rule="'):  # fmt: skip
            assert line in said, line
        assert 'hijack_monitor_read_age_seconds{name="@acme on X",of="x::2244994945",read="profile"} 0.0' in said
        good = await session.get(f"http://127.0.0.1:{port}/healthz")
        assert (good.status, await good.json()) == (200, {"ok": True, "wrong": [], "unread": []})
        w.service.store.sql.execute("UPDATE pages SET state = 'ready', fallback_at = '2020-01-01', sent_at = NULL")
        w.service.audit()
        bad = await session.get(f"http://127.0.0.1:{port}/healthz")
        assert (bad.status, (await bad.json())["wrong"]) == (503, [f"{len(w.service.store.pages.of(1))} page(s) overdue"])
        before = w.service.store.sql.total_changes
        w.clock.move(61)
        stale = await session.get(f"http://127.0.0.1:{port}/healthz")
        assert (stale.status, (await stale.json())["wrong"]) == (503, ["the audit has not run for 61 s"])
        await session.get(f"http://127.0.0.1:{port}/metrics")
        assert w.service.store.sql.total_changes == before, "whoever asks writes nothing"
        foreign = await session.get(f"http://127.0.0.1:{port}/metrics", headers={"Host": "evil.example"})
        assert foreign.status == 403


async def test_how_often_rules_accused_is_right_after_a_restart_and_an_upgrade(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.post("acme", "Send 1 BTC and get double back")
        w.x.post("acme", "Send 2 BTC and get double back")
        await w.service.begin_drill("alice")
        await w.run(2)
        store = w.service.store
        posts = [k.verdict.findings for k in store.posts("baseline = 0 AND account != ?", ("replay::drill",))]
        counted = store.hits.by_rule()
        assert counted == Counter(f.rule for findings in posts for f in findings)
        assert 2 in counted.values()
        older.unpack(store.sql)
        store.sql.execute("DROP TABLE rule_hits")
        store.sql.execute("DELETE FROM _sqlite_migrations WHERE name = '0014_rule_hits'")
        older.upgrade(store.path)
        again = Store(store.path)
        assert again.hits.by_rule() == counted, "an older database is counted once"
        again.close()


async def test_a_monitor_that_hangs_in_the_middle_of_the_loop_is_seen_by_nobody_being_told(tmp_path: Path) -> None:
    async with world(tmp_path, CONFIG) as w:
        w.service.pager.ticked_at -= timedelta(seconds=40)
        wrong: Any = w.service.check.audit()
        assert wrong == ("the pager does not run",)
        await asyncio.sleep(0)


# --- over is what was proven --------------------------------------------------------------------------


@given(
    st.sampled_from(sorted(health.OVER)), st.one_of(st.none(), st.integers(-600, 600)), st.sets(st.sampled_from(sorted(health.OVER))),
)  # fmt: skip
def test_nothing_of_ours_is_over_before_it_was_proven_since_it_began(subject: str, proven: int | None, gone: set[str]) -> None:
    what = subject.removeprefix("blind:")
    well = {} if proven is None else {what: START + timedelta(seconds=proven)}
    said = health.over(subject, START, replace(GOOD, well=well, gone=frozenset(g.removeprefix("blind:") for g in gone)))
    if subject in gone:
        assert said == "No longer configured; not checked"
    else:
        assert bool(said) is (proven is not None and proven > 0)


NEEDS_NOTHING = {"disk", "database", "rules", "engine"}  # looked at by ourselves, at once
NOT_CONFIGURED = {"buttons", "connections", "drill", "canary", "oncall", "stream", "misses"}


async def test_a_restart_closes_only_what_it_has_looked_at(tmp_path: Path) -> None:
    async with world(tmp_path) as first:
        outbox = first.service.outbox
        for subject in health.OVER:
            outbox.happened(incidents.Event(subject, health.OURSELVES, Severity.NOTIFY, "Wrong", "once", first.clock()), first.clock())
        first.clock.move(1)
    first.slack.refuse |= {"auth.test": "token_revoked"}
    async with world(tmp_path, beside=first) as w:
        await w.run(20)
        store = w.service.store
        still = {i.subject.removeprefix("blind:") for i in store.unresolved()}
        assert still == {"monitor", "slack", "targets", "step", "backup", "chain"}, "nobody has looked at those yet"
        causes = {i.subject.removeprefix("blind:"): i.cause for i in store.incidents() if i.state is State.RESOLVED}
        assert {name for name, cause in causes.items() if cause == "No longer configured; not checked"} == NOT_CONFIGURED
        assert set(causes) - NOT_CONFIGURED == NEEDS_NOTHING | {"self-check", "clock", "money"}
        w.slack.refuse.clear()
        await w.run(70)
        assert {i.subject.removeprefix("blind:") for i in store.unresolved()} == {"step", "backup", "chain"}, (
            "that takes ten minutes, a backup, and a look at all acts"
        )


async def test_a_page_about_slack_outlives_a_restart(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        duty = await Receiver().start(stack)
        extra = f'[pagerduty]\napi_base = "{duty.base}"\n'
        async with world(tmp_path, extra=extra) as first:
            first.slack.refuse |= {"auth.test": "token_revoked", "chat.postMessage": "token_revoked"}
            await first.run(35 * 60)
            (page,) = [i for i in first.service.store.unresolved() if i.severity is Severity.PAGE]
        w = await stack.enter_async_context(world(tmp_path, extra=extra, beside=first))
        await w.run(300)
        one = w.service.store.incident(page.id)
        assert one
        assert one.state is not State.RESOLVED
        assert len(w.service.store.incidents_of("blind:slack")) == 2, "the notice that it overtook, and the page"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            "UPDATE pages SET state = 'superseded' WHERE route = 'pagerduty'",
            "No page waits for it any more; whether it takes pages again is not known",
        ),
        ("UPDATE pages SET state = 'sent', sent_at = '2099-01-01T00:00:00.000000+00:00' WHERE route = 'pagerduty'", "It takes pages again"),
        ("UPDATE pages SET state = 'ready', created_at = '2026-11-21T03:03:00.000000+00:00' WHERE route = 'pagerduty'", ""),
    ],
)
async def test_a_route_takes_pages_again_when_it_took_one(tmp_path: Path, spoil: str, said: str) -> None:
    async with world(tmp_path, extra='[pagerduty]\napi_base = "http://127.0.0.1:1"\n') as w:
        w.x.post("acme", "We are sold.")
        w.slack.refuse["chat.postMessage"] = "channel_not_found"
        await w.run(150)
        (told,) = w.service.store.incidents_of("blind:route-pagerduty")
        w.service.store.sql.execute(spoil)
        w.service.check_health()
        one = w.service.store.incident(told.id)
        assert one
        assert (one.state is State.RESOLVED, one.cause) == (bool(said), said)


async def test_a_route_that_was_taken_out_is_said_to_be_no_longer_configured(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        event = incidents.Event("blind:route-smtp", health.OURSELVES, Severity.NOTIFY, "smtp takes no pages", "it waits", w.clock())
        w.service.outbox.happened(event, w.clock())
        await w.run(10)
        assert [i.cause for i in w.service.store.incidents_of("blind:route-smtp")] == ["No longer configured; not checked"]
