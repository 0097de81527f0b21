"""`make bench`: the figures of DESIGN's Performance section, with what one would write instead in
the same run. Ratios travel between machines; absolute times do not.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import io
import logging
import math
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
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import yara_x
from rapidfuzz import fuzz, process
from thefuzz import process as fuzzy

from monitor import rulebook, words
from monitor.model import Account, ApprovedPost, Company, Kind, Post, Severity
from monitor.verdict import examine, judge
from monitor.verdict.approved import Queue
from monitor.verdict.rules import Phrases, Rule, Rules, Subject, alternatives, phrase_regex
from monitor.verdict.text import canonical, skeleton
from tests.conftest import CONFIG, START, World, world

DICE = random.Random(11)
WORDS = ["market", "trade", "open", "week", "report", "team", "custody", "fees", "league", "account", "update", "launch", "summit", "growth", "Lisbon", "Berlin", "customer", "new", "support", "system", "security", "learn", "read", "join", "today", "product", "index", "futures", "options", "spot", "margin", "wallet", "app", "release"]  # fmt: skip
VOCABULARY = ["".join(random.Random(n).choices("abcdefghijklmnopqrstuvwxyz", k=3 + n % 8)) for n in range(6_000)]
WEIGHTS = [1 / (n + 1) for n in range(len(VOCABULARY))]
BUILD = Path(__file__).parent.parent / "build"
COMPANY = Company("Acme Exchange", ("acme.example",), (), ("acme",))
ACCOUNT = Account("x", "1", "acme")


def sentence() -> str:
    """A planned post: common and rare words as in a language; most have a number and a link, some a handle, some neither."""
    words = [*DICE.choices(VOCABULARY, WEIGHTS, k=DICE.randint(6, 18)), *DICE.choices(WORDS, k=DICE.randint(2, 8))]
    DICE.shuffle(words)
    text, kind = " ".join(words).capitalize(), DICE.random()
    if kind < 0.6:
        return f"{text} {DICE.randint(2, 99_999)}. https://acme.example/{DICE.randint(1, 9_999_999)}"
    return f"{text} @{DICE.choice(VOCABULARY)}" if kind < 0.8 else text


def rules(count: int) -> Rules:
    """The packaged rules, filled up with rules of five phrases each."""
    found = [s.rule for s in rulebook.load([]).sources][:count]
    while len(found) < count:
        phrases = tuple(" ".join(DICE.choices(VOCABULARY, k=3)) for _ in range(5))
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
    print(f"{what:<62} median {median * 1e6:10.1f} µs   p99 {p99 * 1e6:10.1f} µs{ratio}")
    return median


def words_of(rule: Rule) -> list[str]:
    """Every phrase and pattern of a rule as a regular expression on its own."""
    return [r[2:] for r in rule.match.needs() or () if r[:2] in ("s:", "t:")]


def queue_of(texts: list[str]) -> Queue:
    """Open registrations."""
    window = (START - timedelta(hours=1), START + timedelta(hours=1))
    return Queue((ApprovedPost(n, ACCOUNT.key, Kind.POST, t, *window) for n, t in enumerate(texts, 1)), vocabulary=words.load())


def slipped(text: str) -> str:
    """Two letters swapped somewhere."""
    at = DICE.randrange(len(text) - 2)
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def posts_for(texts: list[str]) -> list[Post]:
    """Unknown, registered and nearly registered posts, shuffled."""
    found = [sentence() for _ in range(600)] + DICE.choices(texts, k=400) + [slipped(t) for t in DICE.choices(texts, k=200)]
    DICE.shuffle(found)
    return [post(t, n) for n, t in enumerate(found)]


def _judge(queue: Queue, book: Rules, one: Post) -> object:
    return judge(one, ACCOUNT, COMPANY, queue, book)


def _brute(forms: list[str], one: Post) -> object:
    return process.extractOne(canonical(one.text), forms, scorer=fuzz.ratio)


def _one_by_one(patterns: list[re.Pattern[str]], subject: Subject) -> object:
    return [p.search(subject.reading.words) for p in patterns]


def judging() -> None:
    """One post against a queue and rules, ours and what one would write."""
    book, texts = rules(200), [sentence() for _ in range(1_000)]
    queue, forms = queue_of(texts), [canonical(t) for t in texts]
    mixed = posts_for(texts)
    ours = line("judge a post: 1,000 registered, 200 rules (limits 150, 1,000)", times(partial(_judge, queue, book), mixed, 3))
    patterns = [re.compile(r) for rule in book.rules for r in words_of(rule)]

    def naive(p: Post, score: Callable[[str], object]) -> None:
        text = skeleton(p.text)
        score(canonical(p.text))
        for pattern in patterns:
            pattern.search(text)

    few = mixed[:40]
    line(
        "  instead: thefuzz over the queue, re one by one", times(lambda p: naive(p, lambda t: fuzzy.extractOne(t, forms)), few[:10]), ours
    )
    by_ratio = lambda t: process.extractOne(t, forms, scorer=fuzz.ratio)  # noqa: E731 - said once
    line("  instead: rapidfuzz ratio over the queue, re one by one", times(lambda p: naive(p, by_ratio), few), ours)

    def by_difflib(text: str) -> float:
        return max(difflib.SequenceMatcher(None, text, form).quick_ratio() for form in forms)

    line("  instead: difflib over the queue, re one by one", times(lambda p: naive(p, by_difflib), few[:10]), ours)
    hostile(book, queue)


def against_yara() -> list[tuple[int, float, float, float]]:
    """The rules alone, on texts already folded: ours, YARA-X, re one by one. Rows for the plot."""
    rows = []
    texts = [sentence() for _ in range(400)]
    for count in (50, 200, 1_000, 5_000):
        start = time.perf_counter()
        book = rules(count)
        loaded = time.perf_counter() - start
        subjects = [examine(t, (), COMPANY, book) for t in texts]
        ours = line(
            f"rules alone: {count} (compiled in {loaded:.2f} s)",
            times(partial(_accuse, book), subjects, 2),
        )
        scanner = yara_x.Scanner(yara_x.compile(_yara(book)))
        encoded = [f" {s.reading.words} \n{s.text}".encode() for s in subjects]
        theirs = line("  instead: YARA-X, the same words", times(scanner.scan, encoded, 2), ours)
        patterns = [re.compile(r) for rule in book.rules for r in words_of(rule)]
        single = times(partial(_one_by_one, patterns), subjects[: 40 if count < 5_000 else 4])
        rows.append((count, ours, theirs, line("  instead: re, one by one", single, ours)))
    return rows


def _accuse(book: Rules, subject: Subject) -> object:
    subject.hits = book.hits(subject)
    return book.accuse(subject, "post")


def _yara(book: Rules) -> str:
    """Every phrase and pattern of every rule as YARA-X takes it: phrases between blanks, flags behind the slash."""
    out = []
    for number, rule in enumerate(book.rules):
        forms = []
        for word in alternatives(rule):
            if word.startswith("(?"):
                flags, _, rest = word[2:].partition(")")
                forms.append(f"/{rest.replace('/', chr(92) + '/')}/{'i' if 'i' in flags else ''}{'s' if 's' in flags else ''}")
            elif word.isascii():
                forms.append("/" + phrase_regex(word).replace("(?:^| )", " ").replace("(?: |$)", " ").replace("(?:", "(") + "/")
        strings = [f"$s{n} = {form}" for n, form in enumerate(forms) if _compiles(form)]
        if strings:
            out.append(f"rule r{number} {{ strings: {' '.join(strings)} condition: any of them }}")
    return "\n".join(out)


@lru_cache(maxsize=20_000)
def _compiles(form: str) -> bool:
    if form.endswith(" /"):  # a phrase: words and blanks
        return True
    try:
        yara_x.compile(f"rule r {{ strings: $s = {form} condition: $s }}")
    except yara_x.CompileError:
        return False
    return True


def growing() -> list[tuple[int, float, float]]:
    """The queue from ten registrations to a hundred thousand. Rows for the plot."""
    rows = []
    book = rules(200)
    for count in (10, 1_000, 10_000, 100_000):
        texts = [sentence() for _ in range(count)]
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.perf_counter()
        queue = queue_of(texts)
        built = time.perf_counter() - start
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        mixed = posts_for(texts)
        limit = " (limits 200, 2,000)" if count == 100_000 else ""
        judged = times(partial(_judge, queue, book), mixed)
        line(f"judge: {count} registered{limit}", judged)
        ours = line(f"  the queue alone (built in {built:.1f} s, {grown:.0f} MiB)", times(queue.match, mixed))
        forms = [canonical(t) for t in texts]
        brute = times(partial(_brute, forms), mixed[: 200 if count < 50_000 else 20])
        rows.append((count, ours, line("  instead: rapidfuzz ratio over all of them", brute, ours)))
    return rows


def _across(count: int) -> float:
    return 60 + 110 * (math.log10(count) - 1)


def _up(seconds: float) -> float:
    return 360 - 50 * math.log10(seconds * 1e6)


def plot(queue: list[tuple[int, float, float]], book: list[tuple[int, float, float, float]]) -> None:
    """How time grows, ours and theirs, on logarithmic axes: build/bench.svg."""
    series = [
        ("queue, ours", "#0b6", [(n, a) for n, a, _ in queue]), ("queue, rapidfuzz", "#c33", [(n, b) for n, _, b in queue]),
        ("rules, ours", "#06c", [(n, a) for n, a, _, _ in book]), ("rules, YARA-X", "#a0a", [(n, b) for n, _, b, _ in book]),
        ("rules, re", "#e80", [(n, c) for n, _, _, c in book]),
    ]  # fmt: skip
    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="660" height="400" font-family="sans-serif" font-size="12">',
           '<rect width="660" height="400" fill="white"/><text x="60" y="20">median time for one post, by registrations or rules (both axes logarithmic)</text>']  # fmt: skip
    for power in range(7):
        out.append(f'<line x1="60" x2="520" y1="{360 - 50 * power}" y2="{360 - 50 * power}" stroke="#ddd"/>')
        out.append(f'<text x="8" y="{364 - 50 * power}">{("1 µs", "10 µs", "100 µs", "1 ms", "10 ms", "100 ms", "1 s")[power]}</text>')
    out += [f'<text x="{60 + 110 * p - 10}" y="380">{10 ** (p + 1):,}</text>' for p in range(5)]
    for number, (name, colour, points) in enumerate(series):
        path = " ".join(f"{_across(n):.0f},{_up(s):.0f}" for n, s in points)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out.append(f'<text x="530" y="{60 + 20 * number}" fill="{colour}">{name}</text>')
    BUILD.mkdir(exist_ok=True)
    (BUILD / "bench.svg").write_text("\n".join([*out, "</svg>"]), encoding="utf-8")
    print(f"growth drawn in {BUILD / 'bench.svg'}")


def hostile(book: Rules, queue: Queue) -> None:
    """Every 25,000-character horror, and the worst of them."""
    from tests.verdict.test_text import HOSTILE

    worst = worst_first = 0.0
    for name, text in HOSTILE.items():
        first, *more = times(partial(_judge, queue, book), [post(text[:25_000])], 4)
        worst, worst_first = max(worst, min(more)), max(worst_first, first)
        print(f"  hostile, 25,000 characters of {name:<33} {min(more) * 1e3:10.1f} ms, the first time {first * 1e3:.1f} ms")
    print(f"{'worst hostile post':<62} {worst * 1e3:17.1f} ms   (limit 50 ms; characters never seen before: {worst_first * 1e3:.1f} ms)")


def loading() -> None:
    """Rules, start, memory."""

    def anew(folders: list[Path]) -> rulebook.Rulebook:
        rulebook._made_of.cache_clear()
        return rulebook.load(folders)

    print(f"{'packaged rules loaded and compiled':<62} {statistics.median(times(anew, [[]] * 7)) * 1e3:17.0f} ms   (limit 300 ms)")
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
        await watch.accept(batch)
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


async def load() -> None:
    """A thousand incidents open and ten thousand pages due, for ten minutes of the moved clock, repeats included."""
    from tests.test_load import flood

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        async with world(Path(folder), CONFIG) as w:
            flood(w)
            ticks, memory = [], []
            for second in range(600):
                start = time.perf_counter()
                w.service.tick()
                ticks.append(time.perf_counter() - start)
                await w.service.pager.settle()
                w.clock.move(1)
                if second % 100 == 99:
                    memory.append(_resident())
            line("tick, 1,000 incidents open and 10,000 pages due", ticks)
            print(f"{'  the worst tick (limit 1 s: it comes every second)':<62} {max(ticks) * 1e3:17.0f} ms")
            print(
                f"{'  memory after 100 s and after 600 s':<62} {memory[0]:10.0f} / {memory[-1]:.0f} MiB, the stand-in's {len(w.slack.messages)} messages included"
            )


def _resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def idle_memory() -> None:
    """What the idle daemon keeps resident at its first start, with the migrations done: everything `run` imports and builds."""
    code = (
        "import asyncio,sys,pathlib,tempfile;from monitor import config,wiring;from monitor import daemon;import tweepy,slack_sdk,apscheduler.schedulers.asyncio\n"
        "async def main():\n"
        "  folder=pathlib.Path(tempfile.mkdtemp());text=pathlib.Path('systemd/hijack-monitor.toml').read_text()\n"
        "  file=folder/'c.toml';file.write_text(text.replace('/var/lib/hijack-monitor',str(folder)))\n"
        "  async with wiring.opened(config.load(file),{'x_bearer_token':'a','slack_bot_token':'b'}):\n"
        "    print([l for l in open('/proc/self/status') if l.startswith('VmRSS')][0].split()[1])\n"
        "asyncio.run(main())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=Path(__file__).parent.parent)
    print(f"{'idle daemon, resident (limit 90 MiB)':<62} {int(done.stdout or 0) / 1024:17.0f} MiB{done.stderr[-200:]}")


if __name__ == "__main__":
    logging.disable()
    judging()
    drawn = growing()
    plot(drawn, against_yara())
    loading()
    asyncio.run(paging())
    asyncio.run(load())
    idle_memory()
