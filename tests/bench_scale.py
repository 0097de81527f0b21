"""`make bench`, second part: from a post to its verdict, by number of accounts, simulated against X's limits.

The real collector, listener, rounds and store on a clock that is moved, HTTP and streams on loopback to the stand-in with the
limits of X's documentation. What is measured is the platform's pace and ours, not the machine.
"""

from __future__ import annotations

import asyncio
import math
import random
import statistics
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from monitor import record, spending
from monitor.simulator.x import LIMIT
from monitor.simulator.x_push import PUBLIC
from tests.conftest import CONFIG, World, world

BUILD = Path(__file__).parent.parent / "build"
SIZES = (10, 100, 1_000, 10_000)
MODES = ("polls only", "stream and polls", "stream cut every hour")
STEP = 0.25
ENTERPRISE = 75_000  # subscriptions; self-serve has 1,500


@dataclass
class Run:
    """One simulation."""

    accounts: int
    mode: str
    mean: float
    p99: float
    missed: int
    posts: int
    requests: dict[str, int]
    minutes: float
    interval: float
    dollars: float
    formula: float
    seconds: float  # of real time


def _subscribed(w: World, accounts: int) -> None:
    """What a monitor that has run for days has: making 75,000 subscriptions takes days at X's pace."""
    fits = [(e, str(n + 1)) for e in PUBLIC if e not in ("broadcast.end", "spaces.end") for n in range(accounts)][:ENTERPRISE]
    w.x.push.most_subscriptions = ENTERPRISE
    for number, (event, user) in enumerate(fits):
        one = {
            "subscription_id": str(number),
            "event_type": event,
            "filter": {"user_id": user},
            "tag": f"hijack-monitor {w.service.store.install}",
        }
        w.x.push.subscriptions[str(number)] = one


async def simulate(accounts: int, mode: str, minutes: float) -> Run:
    """So many accounts for so long, with a post about every two seconds or twenty a day each, whichever is more."""
    dice, began = random.Random(accounts), time.perf_counter()
    listed = [{"handle": f"brand{n}", "id": str(n + 1), "paging": '[accounts.unapproved]\npost = "record"\n'} for n in range(accounts)]
    data = CONFIG | {"accounts": listed, "poll_seconds": 5, "profile_seconds": 60, "push": "none" if mode == MODES[0] else "auto"}
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            extra = f"x: subscriptions = {ENTERPRISE}\n"
            w = await stack.enter_async_context(world(Path(folder), data, extra, before=lambda x: setattr(x, "limit", 10**9)))
            _subscribed(w, accounts)
            await _baseline(w)
            day, lost = w.clock(), 0
            w.x.bills.clear()
            w.x.requests.clear()
            posts = 0
            rate = max(0.5, accounts * 20 / 86_400) * STEP
            for step in range(int(minutes * 60 / STEP)):
                if mode == MODES[2] and step == int(minutes * 60 / STEP / 2):
                    w.x.push.cut()
                for _ in range(int(dice.random() < rate % 1) + int(rate)):
                    w.x.post(f"brand{dice.randrange(accounts)}", f"Note {posts}.")
                    posts += 1
                await _turn(w, step)
            interval = w.service.collectors["x"].interval()
            for step in range(int(4 * max(60.0, 2.5 * interval))):  # what was posted last is read too
                if step % 40 == 0 and len(_lags(w)) == posts:
                    break
                await _turn(w, step)
            lags = _lags(w)
            lost = posts - len(lags)
            billed = sum(len(ids) * spending.PRICES[kind] for kinds in w.x.bills.values() for kind, ids in kinds.items())
            hours, lasted = (w.clock() - day) / timedelta(hours=24), (w.clock() - day) / timedelta(minutes=1)
            formula = posts * spending.PRICES["post"] + accounts * spending.PRICES["user"] * max(1, math.ceil(hours))
            counts = Counter(
                r.split("?")[0].replace("/2/", "").split("/")[0] + ("/tweets" if "/tweets?" in r and "users" in r else "")
                for r in w.x.requests
            )
            return Run(accounts, mode, statistics.mean(lags), sorted(lags)[int(len(lags) * 0.99)], lost, posts, dict(counts), lasted, interval,
                       billed, formula, time.perf_counter() - began)  # fmt: skip


async def _baseline(w: World) -> None:
    """Everybody has been seen once; then X's limits begin to count."""
    collector = w.service.collectors["x"]
    while not all(watch.intake.polled_at for watch in collector.watches.values()):
        await w.run(1)
    await w.service.look_at_profiles()
    w.x.limit, w.x.used, w.x.window = LIMIT, 0, w.clock()
    w.x.other_used.clear()
    collector.rounds._per_second, collector.rounds._budget = LIMIT * 0.9 / 900, 1.0
    every = collector.interval()
    for number, place in enumerate(collector.rounds._places.values()):
        place.due_at = w.clock() + timedelta(seconds=every * number / len(collector.watches))


async def _turn(w: World, step: int) -> None:
    """A quarter of a second of what the daemon does, the pager left out."""
    w.x.push.tick()
    await w.service.pulse()
    await w.heard()
    await w.service.pulse()
    await w.asked()
    tasks = w.service.round()
    if tasks:
        await asyncio.wait(tasks)
    if step % 4 == 0:
        await w.service.sweep()
        w.service.observed.flush()
    w.clock.move(STEP)


def _lags(w: World) -> list[float]:
    rows = w.service.store.sql.execute("SELECT created_at, seen_at FROM posts WHERE baseline = 0 AND kind = 'post'")
    return [(b - a).total_seconds() for r in rows if (a := record.moment(r[0])) and (b := record.moment(r[1]))]


def told(run: Run) -> str:
    """One line of the table."""
    reads, others = run.requests.get("users/tweets", 0), sum(run.requests.values()) - run.requests.get("users/tweets", 0)
    per = 15 / run.minutes
    return (
        f"{run.accounts:>7,}  {run.mode:<22} {run.mean:7.2f} {run.p99:8.2f}   {run.posts:>6,} {run.missed:>6}   {run.interval:8.1f}"
        f"   {reads * per:9,.0f} {others * per:8,.0f}   {run.dollars / run.formula:6.3f}   {run.seconds:6.0f}"
    )


def table(runs: list[Run]) -> str:
    """Everything, for people."""
    head = (
        "accounts  told by                mean s    p99 s    posts missed   poll every   timelines   others   billed   real s\n"
        "                                                                  (no stream)    in 15 min          /formula"
    )
    return "\n".join([head, *map(told, runs)])


def plot(runs: list[Run]) -> None:
    """Mean and p99 by accounts and mode, on logarithmic axes: build/scale.svg."""
    colours = dict(zip(MODES, ("#c33", "#0b6", "#06c"), strict=True))
    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="660" height="400" font-family="sans-serif" font-size="12">',
           '<rect width="660" height="400" fill="white"/><text x="60" y="20">seconds from a post to its verdict, by watched accounts (mean: line, p99: dashed)</text>']  # fmt: skip
    for power in range(5):
        out.append(f'<line x1="60" x2="480" y1="{340 - 70 * power}" y2="{340 - 70 * power}" stroke="#ddd"/>')
        out.append(f'<text x="8" y="{344 - 70 * power}">{("0.1 s", "1 s", "10 s", "100 s", "1,000 s")[power]}</text>')
    out += [f'<text x="{60 + 140 * p - 10}" y="365">{10 ** (p + 1):,}</text>' for p in range(4)]
    for number, mode in enumerate(MODES):
        mine = [r for r in runs if r.mode == mode]
        for name, dashes in (("mean", ""), ("p99", ' stroke-dasharray="5 4"')):
            path = " ".join(
                f"{60 + 140 * (math.log10(r.accounts) - 1):.0f},{340 - 70 * (math.log10(max(getattr(r, name), 0.1)) + 1):.0f}" for r in mine
            )
            out.append(f'<polyline points="{path}" fill="none" stroke="{colours[mode]}" stroke-width="2"{dashes}/>')
        out.append(f'<text x="490" y="{60 + 20 * number}" fill="{colours[mode]}">{mode}</text>')
    BUILD.mkdir(exist_ok=True)
    (BUILD / "scale.svg").write_text("\n".join([*out, "</svg>"]), encoding="utf-8")
    print(f"drawn in {BUILD / 'scale.svg'}")


def main(sizes: tuple[int, ...] = SIZES, modes: tuple[str, ...] = MODES) -> None:
    """All of it."""
    runs = []
    for accounts in sizes:
        minutes: dict[str, float] = dict.fromkeys(MODES, 30 if accounts < 10000 else 20)
        if accounts == 10_000:  # polls have to come round once; a stream shows in minutes what it can do
            minutes |= {MODES[1]: 4, MODES[2]: 4}
        minutes[MODES[2]] = 60 if accounts < 1_000 else minutes[MODES[2]]
        for mode in modes:
            runs.append(asyncio.run(simulate(accounts, mode, minutes[mode])))
            print(told(runs[-1]), flush=True)
    print(table(runs))
    plot(runs)


def _args() -> Any:
    import sys

    return tuple(int(a) for a in sys.argv[1:]) or SIZES


if __name__ == "__main__":
    import logging

    logging.disable()
    main(_args())
