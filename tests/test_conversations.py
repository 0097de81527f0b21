"""Threads come in order; answers, reposts and quotes are registered by where they stand and whom they name."""

from __future__ import annotations

from pathlib import Path

from monitor import desk
from monitor.model import Kind, Severity
from tests.conftest import World, world

PARTS = ("Five things we learned this year.", "First: uptime is a feature.", "Second: tell people early.")


def severities(w: World) -> list[Severity]:
    return [k.verdict.severity for k in w.service.store.posts("baseline = 0 AND kind != 'profile'")]


async def test_a_thread_goes_by_in_order_however_the_tool_numbers_it(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register(PARTS[0], more=PARTS[1:])
        first = w.x.post("acme", f"{PARTS[0]} 1/3")
        await w.run(2)
        second = w.x.reply("acme", f"(2/3) {PARTS[1]}", under=first)
        await w.run(2)
        w.x.reply("acme", PARTS[2], under=second)
        await w.run(3)
        assert severities(w) == [Severity.CLEAR] * 3


async def test_a_thread_that_is_read_in_one_batch_is_in_order_too(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register(PARTS[0], more=PARTS[1:])
        first = w.x.post("acme", PARTS[0])
        w.clock.move(0.01)
        second = w.x.reply("acme", PARTS[1], under=first)
        w.clock.move(0.01)
        w.x.reply("acme", PARTS[2], under=second)
        await w.run(3)
        assert severities(w) == [Severity.CLEAR] * 3


async def test_a_part_without_the_part_before_it_pages_and_says_so(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register(PARTS[0], more=PARTS[1:])
        w.x.post("acme", PARTS[2])
        await w.run(3)
        kept = w.service.store.posts("baseline = 0")[0]
        assert kept.verdict.severity is Severity.PAGE
        assert "part 3 of a thread (registered post #3), but part 2 was not posted before it" in kept.verdict.reason


async def test_a_part_below_another_post_pages(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register(PARTS[0], more=PARTS[1:])
        w.register("Good morning, Lisbon and everybody else.")
        other = w.x.post("acme", "Good morning, Lisbon and everybody else.")
        await w.run(1)
        w.x.post("acme", PARTS[0])
        await w.run(2)
        w.x.reply("acme", PARTS[1], under=other)
        await w.run(3)
        kept = w.service.store.posts("baseline = 0")[-1]
        assert "but not below part 1" in kept.verdict.reason


async def test_numbers_of_another_thread_are_not_ours(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register(PARTS[0], more=PARTS[1:])
        w.x.post("acme", f"{PARTS[0]} 1/4")
        await w.run(3)
        assert severities(w) == [Severity.PAGE]


async def test_answers_under_a_registered_post_are_quiet_until_they_lead_away(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register("", kind=Kind.REPLY, conversation="555")
        for text in ("We are looking into it.", "Thank you for waiting!", "Try it here: https://acme-help.xyz/a"):
            w.x.reply("acme", text, under="555")
            await w.run(2)
        kept = w.service.store.posts("baseline = 0")
        assert [k.verdict.severity for k in kept] == [Severity.RECORD, Severity.RECORD, Severity.PAGE]
        assert "answers under a registered post" in kept[0].verdict.reason
        assert w.service.store.posts("baseline = 0")[0].verdict.match.words is False  # type: ignore[union-attr]


async def test_reposts_and_quotes_are_registered_by_author_and_nobody_else_is(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register("", kind=Kind.REPOST, author="Partner")
        w.register("", kind=Kind.QUOTE, author="partner")
        text = w.register("So glad to do this together.", kind=Kind.QUOTE)
        w.x.repost("acme", "partner", "We open a shop with Acme")
        await w.run(2)
        w.x.quote("acme", "So glad to do this together.", "partner", "1700000000000000001")
        await w.run(3)
        assert severities(w) == [Severity.CLEAR, Severity.CLEAR]
        assert [desk.standing(one, w.clock()) for one in desk.registrations(w.service.store) if one.id != text] == ["open", "open"]
        w.x.repost("acme", "bandit", "We open a shop with Acme")
        await w.run(2)
        w.x.quote("acme", "So glad to do this together.", "bandit", "1700000000000000002")
        await w.run(2)
        w.x.quote("acme", "Claim the airdrop, connect your wallet", "partner", "1700000000000000003")
        await w.run(3)
        assert severities(w)[2:] == [Severity.PAGE] * 3
        assert [p for p in w.x.requests if "expansions=author_id" in p]


async def test_a_quoted_author_that_cannot_be_asked_for_is_not_the_registered_one(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register("", kind=Kind.QUOTE, author="partner")
        w.x.faults.add("status", "/2/tweets", 9, 503)
        w.x.quote("acme", "So glad to do this together.", "partner", "1700000000000000001")
        await w.run(3)
        assert severities(w) == [Severity.PAGE]


async def test_withdrawing_ends_it(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        number = w.register("", kind=Kind.REPOST, author="partner")
        desk.withdraw(w.service.store, number, "comms", w.clock())
        w.x.repost("acme", "partner", "We open a shop with Acme")
        await w.run(3)
        assert severities(w) == [Severity.PAGE]
