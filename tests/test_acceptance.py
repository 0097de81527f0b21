"""Twelve things a pager must get right, in one place. Some are told at length elsewhere; each is proven here too."""

from __future__ import annotations

import sqlite3
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from monitor.model import Human, State
from tests.conftest import Clock, World, wait_for, world
from tests.notifiers.test_slack import CORPUS, check_message
from tests.receivers import Receiver
from tests.test_slack_app import GROUPS, office, press

# 1 (killed at random moments) is tests/test_kill.py; 12 (checked from outside) is tests/interop.


async def hijack(w: World, text: str = "We are sold.") -> None:
    w.x.post("acme", text)
    await w.run(2)


async def with_pagerduty(folder: Path, stack: AsyncExitStack, clock: Clock | None = None) -> tuple[World, Receiver]:
    duty = await Receiver().start(stack)
    return await stack.enter_async_context(world(folder, extra=f'[pagerduty]\napi_base = "{duty.base}"\n', clock=clock)), duty


@pytest.mark.parametrize(("error", "within"), [("token_revoked", 3), ("channel_not_found", 3), ("ratelimited", 65), ("internal_error", 65)])
async def test_2_each_error_takes_its_route_in_its_time(error: str, within: float, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w, duty = await with_pagerduty(tmp_path, stack)
        w.slack.refuse["chat.postMessage"] = error
        await hijack(w)
        await w.run(within)
        assert [b["event_action"] for b in duty.bodies if b["dedup_key"].endswith(":inc:1")] == ["trigger"]


async def test_3_twenty_posts_in_two_minutes_are_one_root_few_edits_few_digests_one_mention(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        for number in range(20):
            w.x.post("acme", f"Part {number} of what we never planned.")
            await w.run(6)
        (root,) = w.slack.roots()
        digests = [m for m in w.slack.thread(root.ts) if "in all)" in m.words()]
        assert (len(w.slack.waking()), root.edits <= 24, 1 <= len(digests) <= 5) == (1, True, True)


async def test_4_slack_down_for_ten_minutes(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w, duty = await with_pagerduty(tmp_path, stack)
        w.slack.faults.add("hang", "/api/", times=3)
        w.slack.faults.add("html", "/api/", times=100_000, value=503)
        w.slack.faults.script.pop(0)  # a hang takes real seconds; a 503 says the same
        await hijack(w)
        await w.run(62)
        assert [b["event_action"] for b in duty.bodies if b["dedup_key"].endswith(":inc:1")] == ["trigger"]
        await w.run(9 * 60)
        w.slack.faults.script.clear()
        await w.run(70)
        assert len(w.slack.waking()) == 1
        assert w.service.store.pages.undelivered() == []


async def test_6_two_people_click_at_once(tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        await hijack(w)
        root = w.slack.roots()[0]
        for _ in range(4):
            for user in ("U01ALICE", "U02BOB"):
                await w.slack.apps.click(user, root, "acknowledge")
        await w.settled()
        rows = w.service.store.sql.execute("SELECT count(*) FROM audit WHERE action = 'acknowledge'").fetchone()
        assert rows[0] == 1
        assert len(w.slack.apps.ephemeral) == 7


async def test_7_a_click_before_the_receipt_is_stored(tmp_path: Path) -> None:
    async with office(tmp_path, extra=GROUPS) as w:
        w.slack.faults.add("drop_after", "postMessage")
        await hijack(w)
        assert w.service.store.pages.of(1)[0].receipt == ""
        await press(w, "U01ALICE", w.slack.roots()[0], "acknowledge")
        assert w.service.store.incidents()[0].state is State.ACKNOWLEDGED


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(hours=-1), timedelta(minutes=10)])
async def test_8_the_clock_jumps_or_the_machine_sleeps(jump: timedelta, tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await hijack(w)
        w.clock.now += jump
        w.x.clock = w.slack.clock = lambda: w.clock() - jump  # theirs did not
        await w.run(10)
        w.x.post("acme", "And this after the jump.")
        await w.run(70)
        assert any("And this after the jump." in m.words() for m in w.slack.messages.values())
        if jump > timedelta():
            assert any("late by" in m.words() for m in w.slack.waking()), "it pages, and says how late"
        with w.service.store.transaction():
            assert w.service.outbox.act(1, Human("acknowledge", "alice", "a test", w.clock())) == ""


async def test_8_a_page_put_off_before_the_clock_was_set_back_is_not_put_off_by_as_much(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.slack.faults.add("html", "postMessage", times=3, value=503)
        await hijack(w)
        assert w.slack.messages == {}
        w.clock.now -= timedelta(hours=1)
        await w.run(20)
        assert len(w.slack.waking()) >= 1


@pytest.mark.parametrize("text", [t for t in CORPUS if t], ids=lambda t: repr(t)[:16])
async def test_9_hostile_text_never_leaves_its_place(text: str, tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await hijack(w, text.replace("\ud800", "?"))
        w.x.post("acme", f"{text.replace(chr(0xD800), '?')[:1_000]} and more")
        await w.run(40)
        assert w.slack.messages
        for message in w.slack.messages.values():
            check_message({"text": message.text, "blocks": message.blocks, "parse": "none", "link_names": False})


async def test_10_a_restart_with_an_overdue_escalation_pages_at_once_and_says_how_late(tmp_path: Path) -> None:
    clock = Clock()
    async with world(tmp_path, clock=clock) as w:
        await hijack(w)
        clock.move(12 * 60)
        slack = w.slack
        async with world(tmp_path, beside=w) as again:
            await again.run(2)
        page = slack.waking()[-1]
        assert "escalated to step 1 of 2 (late by 7 min: the monitor was not running)" in page.words()


async def test_11_a_full_disk_is_told_to_every_route_from_memory(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w, duty = await with_pagerduty(tmp_path, stack)
        w.service.store.sql.execute("CREATE TRIGGER full BEFORE INSERT ON posts BEGIN SELECT RAISE(FAIL, 'database or disk is full'); END")
        pages = w.service.store.sql.execute("PRAGMA page_count").fetchone()[0]
        w.service.store.sql.execute(f"PRAGMA max_page_count = {pages}")
        for number in range(40):
            w.x.post("acme", f"Part {number}: {'we are sold ' * 300}")
        await w.run(3)
        assert await wait_for(lambda: bool(w.service.broken))  # it is shouted beside the schedule, over real HTTP
        assert "cannot write to" in duty.bodies[0]["payload"]["summary"]
        assert any("cannot write to" in m.text for m in w.slack.messages.values())


def test_what_is_acknowledged_was_written_down_durably(tmp_path: Path) -> None:
    from monitor.store import Store

    store = Store(tmp_path / "monitor.db")
    assert store.sql.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert isinstance(store.sql, sqlite3.Connection)
