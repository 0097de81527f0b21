"""What reading X costs: counted where it is read, compared with what the stand-in bills."""

from __future__ import annotations

import random
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from monitor import metrics, observed, spending, status
from monitor.model import State
from monitor.simulator.x import XWorld
from tests.conftest import START, World, world
from tests.test_streams import PUSH, hear

PRICES = spending.PRICES


def billed(x: XWorld) -> float:
    """Dollars, as the stand-in counts them."""
    return sum(len(ids) * PRICES[kind] for kinds in x.bills.values() for kind, ids in kinds.items())


@pytest.mark.parametrize(
    ("accounts", "posts", "dollars"),
    [(3, 5, 3.15), (3, 20, 9.90), (10, 5, 10.50), (10, 20, 33.00), (50, 5, 52.50), (50, 20, 165.00)],
)
def test_an_estimate_is_that_of_the_price_list(accounts: int, posts: float, dollars: float) -> None:
    assert spending.estimate(accounts, posts, PRICES) == pytest.approx(dollars)


def test_a_month_is_forecast_from_the_last_whole_days() -> None:
    days = {"2026-11-18": {"post": 10}, "2026-11-19": {"post": 200}, "2026-11-20": {"post": 400}, "2026-11-21": {"post": 100}}
    found = spending.bill(days, PRICES, START.replace(hour=12))
    assert found.today == pytest.approx(0.5)
    assert found.month == pytest.approx(3.55)
    assert found.a_day == pytest.approx(1.5), "the first day was not watched whole"
    assert found.forecast == pytest.approx(3.55 + 1.0 + 9 * 1.5)
    assert spending.bill({}, PRICES, START) == spending.Bill(0, 0, 0, 0)


@pytest.mark.parametrize(
    ("budget", "balance", "words", "urgent"),
    [(0, None, "", False), (100, None, "", False), (4, None, "are spent", False), (12, None, "will come to", False),
     (0, 9.0, "last 6.0 days", False), (0, 1.0, "last 0.7 days", True), (0, 90.0, "", False)],
)  # fmt: skip
def test_a_warning_comes_well_before_the_money_is_gone(budget: float, balance: float | None, words: str, urgent: bool) -> None:
    said, soon = spending.warning(spending.Bill(1.0, 3.5, 15.0, 1.5), budget, balance)
    assert words in said
    assert bool(said) is bool(words)
    assert soon is urgent


async def test_the_budget_and_the_balance_are_told_and_what_they_become(tmp_path: Path) -> None:
    async with world(tmp_path, extra="x: budget = 0.02\n") as w:
        await w.run(20)
        (notice,) = w.slack.roots()
        assert "X will cost too much" in notice.words()
    async with world(tmp_path / "two") as w:
        w.x.balance = 0.001
        await w.service.look_at_balance()
        await w.run(20)
        assert any("X's credits of $0.00 last" in m.words() for m in w.slack.waking())
        w.x.balance = 500.0
        await w.service.look_at_balance()
        await w.run(20)
        assert w.service.store.incidents()[0].state is State.RESOLVED


async def test_status_and_figures_say_what_was_spent_and_who_tells(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack, extra="x: budget = 40\n")
        w.x.balance = 12.0
        await w.service.look_at_balance()
        w.register("Word.")
        w.x.post("acme", "Word.")
        await w.run(40)
        found = status.standing(w.service.store, w.config, w.clock())
        assert found.wrong == []
        assert any(n.startswith("x: the Activity stream; without a stream an account is polled every 30 s") for n in found.notes)
        assert any("of a budget of $40.00; $12.00 of credits are left" in n for n in found.notes)
        assert found.spending["today"] == pytest.approx(billed(w.x))
        assert found.lines[0]["stream"]
        figures = metrics.Figures(w.service.store, w.clock, w.service.check, w.service.reads)
        values = {s.name: s.value for m in figures.collect() for s in m.samples if "dollars" in s.name or "billed" in s.name}
        assert values["hijack_monitor_spent_today_dollars"] == pytest.approx(billed(w.x))
        assert values["hijack_monitor_billed_resources_total"] >= 1
        w.clock.move(600)
        assert status.standing(w.service.store, w.config, w.clock()).wrong, "a stream that has said nothing for ten minutes proves nothing"


async def test_what_was_billed_survives_a_restart_and_is_counted_once(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        for number in range(5):
            w.x.post("acme", f"Word {number}.")
        await w.run(10)
        first = observed.days(w.service.store)
        assert first["2026-11-21"]["post"] == 6, "the baseline's post too"
        w.service.observed._known.clear()  # as a new process has it
        w.service.store.sql.execute("UPDATE accounts SET cursor = '1'")
        await w.run(10)
        assert observed.days(w.service.store) == first


async def test_a_day_of_floods_is_counted_once_and_not_kept_in_memory(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        seen = w.service.observed
        for number in range(30):
            for again in (number, max(0, number - 1)):
                seen.billed("post", [str(10_000 * number + n) for n in range(1_000)] + [str(10_000 * again + n) for n in range(1_000)])
            seen.flush()
        assert observed.days(w.service.store)["2026-11-21"]["post"] == 30_001, "and the baseline's"
        assert sum(map(len, seen._known.values())) < observed.MOST_COUNTED + 3_000


async def lived(w: World, dice: random.Random, days: int, posts: int) -> None:
    """So many days with posts at any hour, most of them planned."""
    for day in range(days):
        at = sorted(dice.uniform(0, 86_400) for _ in range(posts * len(w.service.watches)))
        begun = w.clock.now
        for number, second in enumerate(at):
            await w.skip((begun + timedelta(seconds=second) - w.clock.now).total_seconds())
            handle = dice.choice(w.service.watches).account.handle
            text = f"Day {day}, note {number} of @{handle}."
            w.register(text, handle, window=(w.clock() - timedelta(minutes=1), w.clock() + timedelta(hours=1)))
            w.x.post(handle, text)
            await w.skip(0.5)
            await w.skip(0.5)
            await w.skip(1)
        await w.skip((begun + timedelta(days=1) - w.clock.now).total_seconds())


@pytest.mark.slow
@pytest.mark.parametrize("push", ["auto", "none"])
async def test_ten_days_cost_a_third_of_what_the_formula_says_of_a_month_and_the_meter_agrees_with_the_bill(
    tmp_path: Path, push: str
) -> None:
    """Resources the stand-in bills in ten simulated days, across the end of a month: every post once, every profile once a day, and little beside."""
    data = PUSH | {
        "push": push,
        "poll_seconds": 1_800,
        "profile_seconds": 1_800,
        "accounts": [{"handle": f"brand{n}", "id": str(n + 1)} for n in range(3)],
    }
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack, data, extra="x: slow_seconds = 1800\n")
        w.every |= {"edits": 900.0, "health": 1_800.0} | dict.fromkeys(("listen", "slack", "beat", "drill"), 1e9)
        dice = random.Random(3)
        days, posts = 10, 5
        await lived(w, dice, days, posts)
        w.service.check_health()
        formula = spending.estimate(3, posts, PRICES) * days / 30 + 3 * PRICES["user"]  # from three o'clock on, ten days touch eleven
        assert billed(w.x) <= formula * 1.05
        assert billed(w.x) >= formula * 0.95, "it did read everything"
        metered = sum(spending.cost(counts, PRICES) for counts in observed.days(w.service.store).values())
        assert metered == pytest.approx(billed(w.x), rel=0.01)
        assert not w.slack.messages, "and nobody was woken"
