"""Two monitors: one as witness of the other, or both at once in front of one Alertmanager."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

from monitor import backup, restore
from monitor.model import Human, State
from tests.conftest import World, world
from tests.receivers import Receiver

WITNESS = "[witness]\nafter_seconds = 60\n"
KEY = {"install_key": "0123456789abcdef" * 4}


async def both(first: World, second: World, seconds: float) -> None:
    """Let time pass for two monitors with one clock; the second looks without moving it."""
    for _ in range(round(seconds / 4)):
        await first._turn()
        first.clock.move(4)
        first.elapsed += 4
        second.elapsed = first.elapsed
        await second._turn()


async def test_a_witness_is_silent_while_the_first_monitor_does_its_work(tmp_path: Path) -> None:
    async with world(tmp_path / "a", secrets=KEY) as first, world(tmp_path / "b", extra=WITNESS, beside=first, secrets=KEY) as second:
        first.x.post("acme", "We are sold.")
        await both(first, second, 100)
        assert [(m.words(), m.metadata) for m in first.slack.roots()[1:]] == []
        assert len(second.service.store.incidents()) == 1, "the witness knows"
        await both(first, second, 6 * 60)
        assert ["escalated to step 1" in m.words() for m in first.slack.waking()] == [False, True], "each page once, from the first"
        with first.service.store.transaction():
            first.service.outbox.act(1, Human("acknowledge", "alice", "a test", first.clock(), user="U01ALICE"))
        await both(first, second, 15 * 60)
        assert len(first.slack.waking()) == 2, "an acknowledgement at the first counts for both"


async def test_a_witness_pages_when_the_first_monitor_does_not(tmp_path: Path) -> None:
    async with world(tmp_path / "a", secrets=KEY) as first, world(tmp_path / "b", extra=WITNESS, beside=first, secrets=KEY) as second:
        first.x.post("acme", "We are sold.")
        await second.run(58)
        assert first.slack.roots() == []
        await second.run(8)
        (page,) = first.slack.waking()
        assert "We are sold." in page.words()


async def test_what_a_witness_said_before_it_was_restored_does_not_keep_it_silent(tmp_path: Path) -> None:
    async with world(tmp_path / "a", secrets=KEY) as first:
        async with world(tmp_path / "b", extra=WITNESS, beside=first, secrets=KEY) as second:
            first.x.post("acme", "We are sold.")
            await second.run(66)  # the first is gone
            assert len(first.slack.waking()) == 1
            backup.make(second.config, str(tmp_path / "b.db"), None, "carla", first.clock())
        restore.put(second.config, restore.plan(second.config, tmp_path / "b.db"), "carla", first.clock())
        async with world(tmp_path / "b", extra=WITNESS, beside=first, secrets=KEY) as third:
            await third.run(5 * 60 + 70)
            assert len(first.slack.waking()) == 2, "it goes on paging every five minutes"


async def test_a_witness_takes_over_when_the_first_monitor_dies_after_its_page(tmp_path: Path) -> None:
    async with world(tmp_path / "a", secrets=KEY) as first, world(tmp_path / "b", extra=WITNESS, beside=first, secrets=KEY) as second:
        first.x.post("acme", "We are sold.")
        await both(first, second, 10)
        assert len(first.slack.waking()) == 1
        await second.run(15 * 60)  # the first is gone
        assert len(first.slack.waking()) >= 2
        assert {m.metadata["event_payload"]["dedupe_key"][:8] for m in first.slack.waking()} == {
            first.service.store.install,
            second.service.store.install,
        }


async def test_a_witness_pages_for_a_new_hijack_although_the_last_one_was_resolved(tmp_path: Path) -> None:
    async with world(tmp_path / "a", secrets=KEY) as first, world(tmp_path / "b", extra=WITNESS, beside=first, secrets=KEY) as second:
        first.x.post("acme", "We are sold.")
        await both(first, second, 70)
        for one in (first, second):
            with one.service.store.transaction():
                one.service.outbox.act(1, Human("resolve", "alice", "a test", first.clock()))
        await both(first, second, 30)
        first.x.post("acme", "And again.")
        await second.run(90)  # the first is gone
        assert "And again." in first.slack.waking()[-1].words()


async def test_a_witness_that_cannot_look_pages_by_its_own_routes(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        duty = await Receiver().start(stack)
        first = await stack.enter_async_context(world(tmp_path / "a", secrets=KEY))
        extra = f'{WITNESS}[pagerduty]\napi_base = "{duty.base}"\n'
        second = await stack.enter_async_context(world(tmp_path / "b", extra=extra, beside=first, secrets=KEY))
        first.x.post("acme", "We are sold.")
        first.slack.refuse |= {"conversations.history": "missing_scope", "chat.postMessage": "token_revoked"}
        await second.run(70)
        assert [b["event_action"] for b in duty.bodies if b["dedup_key"].endswith(":inc:1")] == ["trigger"]


async def test_two_monitors_before_one_alertmanager_make_one_alert(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        manager = await Receiver().start(stack)
        extra = f'fallback = ["alertmanager"]\n[alertmanager]\nurls = ["{manager.base}"]\n'
        first = await stack.enter_async_context(world(tmp_path / "a", extra=extra, secrets=KEY))
        second = await stack.enter_async_context(world(tmp_path / "b", extra=extra, beside=first, secrets=KEY))
        first.slack.refuse["chat.postMessage"] = "token_revoked"
        first.x.post("acme", "We are sold.")
        await both(first, second, 16)
        labels = [b[0]["labels"] for b in manager.bodies if b[0]["labels"]["alertname"] == "HijackMonitor"]
        assert len(labels) == 2
        assert labels[0] == labels[1]
        assert all(w.service.store.incidents()[0].state is State.OPEN for w in (first, second))
