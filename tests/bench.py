"""`make bench`: the figures of DESIGN's Performance section, with what one would write instead in
the same run. Ratios travel between machines; absolute times do not.
"""

from __future__ import annotations

import asyncio
import difflib
import logging
import random
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from rapidfuzz import process

from monitor import rulebook
from monitor.model import Account, ApprovedPost, Company, Kind, Post, Severity
from monitor.verdict import judge
from monitor.verdict.approved import Queue
from monitor.verdict.rules import Phrases, Rule, Rules, phrase_regex
from monitor.verdict.text import canonical, skeleton
from tests.conftest import CONFIG, START, World, world

DICE = random.Random(11)
WORDS = ["market", "trade", "open", "week", "report", "team", "custody", "fees", "league", "account", "update", "launch", "summit", "growth", "Lisbon", "Berlin", "customer", "new", "support", "system", "security", "learn", "read", "join", "today", "product", "index", "futures", "options", "spot", "margin", "wallet", "app", "release"]  # fmt: skip
COMPANY = Company("Acme Exchange", ("acme.example",), (), ("acme",))
ACCOUNT = Account("x", "1", "acme")


def sentence() -> str:
    """A planned post: some words, a number, a link."""
    words = " ".join(DICE.choices(WORDS, k=DICE.randint(8, 25)))
    return f"{words.capitalize()} {DICE.randint(2, 99_999)}. https://acme.example/{DICE.randint(1, 99_999)}"


def rules(count: int) -> Rules:
    """The packaged rules, filled up with rules of five phrases each."""
    found = [s.rule for s in rulebook.load([]).sources]
    while len(found) < count:
        phrases = tuple(" ".join(DICE.choices(WORDS, k=3)) + f" {DICE.randint(1, 9999)}" for _ in range(5))
        match = Phrases(phrases, tuple(map(phrase_regex, phrases)))
        found.append(Rule(f"made-{len(found)}", 1, "Made up", Severity.PAGE, match))
    return Rules(tuple(found))


def post(text: str, number: int = 1) -> Post:
    """A post of now."""
    return Post(ACCOUNT.key, str(number), Kind.POST, text, START, str(number))


def times(function: Callable[[Any], object], inputs: list[Any], rounds: int = 1) -> list[float]:
    """Seconds for each input."""
    out = []
    for _ in range(rounds):
        for one in inputs:
            start = time.perf_counter()
            function(one)
            out.append(time.perf_counter() - start)
    return out


def line(what: str, seconds: list[float], base: float | None = None) -> float:
    """Print median and p99; returns the median."""
    median, p99 = statistics.median(seconds), sorted(seconds)[int(len(seconds) * 0.99)]
    ratio = f"  {median / base:8.1f} x ours" if base else ""
    print(f"{what:<62} median {median * 1e6:10.0f} µs   p99 {p99 * 1e6:10.0f} µs{ratio}")
    return median


def judging() -> None:
    """One post against a queue and rules, ours and what one would write."""
    book = rules(200)
    texts = [sentence() for _ in range(1_000)]
    window = (START - timedelta(hours=1), START + timedelta(hours=1))
    queue = Queue(ApprovedPost(n, ACCOUNT.key, Kind.POST, t, *window) for n, t in enumerate(texts, 1))
    unknown = [post(sentence(), n) for n in range(600)]
    known = [post(t, n) for n, t in enumerate(texts[:400])]
    mixed = unknown + known
    DICE.shuffle(mixed)
    ours = line("judge a post: 1,000 registered, 200 rules", times(lambda p: judge(p, ACCOUNT, COMPANY, queue, book), mixed, 3))
    patterns = [re.compile(r[2:]) for rule in book.rules for r in (rule.match.needs() or ()) if r[:2] in ("s:", "t:")]
    forms = [canonical(t) for t in texts]

    def naive(p: Post, score: Callable[[str], object]) -> None:
        text = skeleton(p.text)
        score(canonical(p.text))
        for pattern in patterns:
            pattern.search(text)

    few = mixed[:60]
    line("  instead: rapidfuzz over the queue, re one by one", times(lambda p: naive(p, lambda t: process.extractOne(t, forms)), few), ours)

    def by_difflib(text: str) -> float:
        return max(difflib.SequenceMatcher(None, text, form).quick_ratio() for form in forms)

    line("  instead: difflib over the queue, re one by one", times(lambda p: naive(p, by_difflib), few[:10]), ours)
    hostile(book, queue)


def hostile(book: Rules, queue: Queue) -> None:
    """Every 25,000-character horror, and the worst of them."""
    from tests.verdict.test_text import HOSTILE

    worst = 0.0
    for name, text in HOSTILE.items():
        seconds = min(times(lambda p: judge(p, ACCOUNT, COMPANY, queue, book), [post(text[:25_000])], 3))
        worst = max(worst, seconds)
        print(f"  hostile, 25,000 characters of {name:<33} {seconds * 1e3:10.1f} ms")
    print(f"{'worst hostile post':<62} {worst * 1e3:17.1f} ms   (limit 50 ms)")


def loading() -> None:
    """Rules, start, memory."""
    print(f"{'packaged rules loaded and compiled':<62} {statistics.median(times(rulebook.load, [[]] * 7)) * 1e3:17.0f} ms   (limit 300 ms)")
    command = [sys.executable, "-m", "monitor", "--help"]
    start = statistics.median(times(lambda c: subprocess.run(c, check=True, capture_output=True), [command] * 7))
    bare = statistics.median(times(lambda c: subprocess.run(c, check=True), [[sys.executable, "-c", "pass"]] * 7))
    print(f"{'hijack-monitor --help':<62} {start * 1e3:17.0f} ms   (limit 300 ms; python alone {bare * 1e3:.0f} ms)")


async def _path(w: World, rounds: int) -> list[float]:
    """From the platform's answer read to Slack's API called, database commit included."""
    out = []
    store, watch = w.service.store, w.service.watches[0]
    for number in range(rounds):
        w.x.post("acme", sentence())
        batch = await watch._source.read(watch.account, store.account(watch.account.key, "acme")["cursor"])
        before = len(w.slack.calls)
        start = time.perf_counter()
        watch.accept(batch)
        w.service.tick()
        while len(w.slack.calls) == before:  # noqa: ASYNC110 - an event would be measured too
            await asyncio.sleep(0)
        out.append(time.perf_counter() - start)
        await w.service.pager.settle()
        for incident in store.unresolved():
            store.sql.execute("UPDATE incidents SET state = 'resolved', resolved_at = opened_at WHERE id = ?", [incident.id])
        store.sql.execute("UPDATE pages SET state = 'superseded' WHERE state = 'ready'")
        w.clock.move(61 + number % 3)
    return out


async def paging() -> None:
    """The whole path, over HTTP, into the stand-in."""
    with tempfile.TemporaryDirectory() as folder:
        async with world(Path(folder), CONFIG) as w:
            line("answer read -> Slack's API called, commit included", (await _path(w, 200))[5:])
            await w.run(30)
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            print(f"{'this process, stand-ins and benchmark included':<62} {memory / 1024:17.0f} MiB")


def idle_memory() -> None:
    """What the idle daemon keeps resident: everything `run` imports and builds."""
    code = (
        "import asyncio,sys,pathlib,tempfile;from monitor import config,service;import tweepy,slack_sdk,apscheduler.schedulers.asyncio\n"
        "async def main():\n"
        "  folder=pathlib.Path(tempfile.mkdtemp());text=pathlib.Path('systemd/hijack-monitor.toml').read_text()\n"
        "  file=folder/'c.toml';file.write_text(text.replace('/var/lib/hijack-monitor',str(folder)))\n"
        "  async with service.opened(config.load(file),{'x_bearer_token':'a','slack_bot_token':'b'}):\n"
        "    print([l for l in open('/proc/self/status') if l.startswith('VmRSS')][0].split()[1])\n"
        "asyncio.run(main())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=Path(__file__).parent.parent)
    print(f"{'idle daemon, resident':<62} {int(done.stdout or 0) / 1024:17.0f} MiB  (limit 90 MiB){done.stderr[-200:]}")


if __name__ == "__main__":
    logging.disable()
    judging()
    loading()
    asyncio.run(paging())
    idle_memory()
