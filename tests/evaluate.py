"""`make eval`: how well posts are told apart, on the corpora in ../shared/data when present.

Prints every figure of docs/figures.md about detection, with counts and 95 % intervals, and writes every
miss and every false accusation to build/eval/ for reading. Reads the corpora, never copies them.
"""

from __future__ import annotations

import json
import math
import random
import tracemalloc
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from monitor import rulebook, words
from monitor.foreign.picture import hash_of
from monitor.model import Account, ApprovedPost, Company, Exact, Kind, Near, Post, Severity, Verdict
from monitor.verdict import judge
from monitor.verdict.addresses import addresses, chain_of
from monitor.verdict.approved import Queue
from monitor.verdict.links import Place, hosts, place
from monitor.verdict.rules import Rules
from monitor.verdict.shown_pictures import SAME_PICTURE, SAME_SPOT, distance, spot
from monitor.verdict.text import read
from tests.alterations import DANGEROUS, DISGUISES, HARMLESS, SLIPS, altered, swapped
from tests.test_pictures import OURS, as_x_shows, enlarged, picture, poster, recoded, with_another_code

ROOT = Path(__file__).parent.parent
DATA = ROOT.parent / "shared" / "data"
BUILD = ROOT / "build" / "eval"
ACCOUNT = Account("x", "1", "acme", unapproved=((Kind.REPLY, Severity.RECORD),))
COMPANY = Company("Acme Exchange", ("acme.example",), (), ("acme",))
NOW = datetime(2026, 11, 21, tzinfo=UTC)
SAMPLE = 3_000  # benign posts that are registered and altered
CHAINS = {"dashcoin": "dash"}


def rows(name: str) -> Iterator[dict[str, Any]]:
    """The rows of a corpus."""
    with (DATA / name).open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def post(row: dict[str, Any], text: str | None = None) -> Post:
    """A corpus row as a post; its links count as reachable, but for X's own wrappers."""
    kind = Kind.REPOST if row["text"].startswith("RT @") else Kind.POST
    links = tuple(u for u in row.get("urls") or () if "//t.co/" not in u) if text is None else ()
    return Post(ACCOUNT.key, str(row["id"]), kind, row["text"] if text is None else text, NOW, str(row["id"]), links=links)


def interval(hits: int, total: int) -> str:
    """The share with its 95 % interval (Wilson)."""
    if not total:
        return "-"
    z, share = 1.96, hits / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return f"{share:7.2%}  [{max(0.0, middle - half):.2%}, {min(1.0, middle + half):.2%}]"


@dataclass
class Tally:
    """Hits by name, and what to read afterwards."""

    hits: Counter[str] = field(default_factory=Counter)
    total: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, note: str, *, hit: bool) -> None:
        """Count one; `note` is kept where the caller says it is worth reading."""
        self.total[name] += 1
        self.hits[name] += hit
        if note:
            self.notes.append(f"{name}: {' / '.join(note.split(chr(10)))}")

    def line(self, what: str) -> None:
        """The sum."""
        print(f"{what:<52} {self.hits.total():>6}/{self.total.total():<6} {interval(self.hits.total(), self.total.total())}")

    def lines(self, indent: str = "  ") -> None:
        """One for each name."""
        for name in self.total:
            print(f"{indent}{name:<50} {self.hits[name]:>6}/{self.total[name]:<6} {interval(self.hits[name], self.total[name])}")

    def write(self, name: str) -> None:
        """The notes, one a line."""
        (BUILD / f"{name}.txt").write_text("\n".join(self.notes) + "\n", encoding="utf-8")


def alone(row: dict[str, Any], rules: Rules, text: str | None = None) -> Verdict:
    """What the rules alone say."""
    return judge(post(row, text), ACCOUNT, COMPANY, None, rules)


def pages(verdict: Verdict) -> bool:
    """Whether somebody would be woken."""
    return verdict.severity is Severity.PAGE


def recall(core: list[dict[str, Any]], incidents: list[dict[str, Any]], rules: Rules) -> None:
    """Scam posts and posts of real hijacks, whole and disguised."""
    empty = Queue()
    queued = sum(pages(judge(post(r), ACCOUNT, COMPANY, empty, rules)) for r in incidents)
    print(f"{'incident posts that page with an empty queue':<52} {queued:>6}/{len(incidents)}")
    for name, group in (("scam core", core), ("incident posts", incidents)):
        tally = Tally()
        for row in group:
            hit = pages(alone(row, rules))
            tally.add(row["kind"], "" if hit else row["text"][:300], hit=hit)
        tally.line(f"{name} that the rules alone page")
        tally.lines()
        tally.write(f"missed-{name.replace(' ', '-')}")
    tally = Tally()
    for row in core:
        for name, text in altered(row["text"], DISGUISES):
            hit = pages(alone(row, rules, text))
            tally.add(name, "" if hit else text[:300], hit=hit)
    tally.line("scam core disguised, rules alone")
    tally.lines()
    tally.write("missed-disguised")


def precision(benign: list[dict[str, Any]], rules: Rules) -> None:
    """Benign posts: what would wake and what would tell somebody, per ten thousand."""
    for severity in (Severity.PAGE, Severity.NOTIFY):
        tally, by = Tally(), Counter[str]()
        for row in benign:
            verdict = alone(row, rules)
            hit = verdict.severity is severity
            found = [f for f in verdict.accusations if f.severity is severity] if hit else []
            by.update(f.rule for f in found)
            tally.add(row["kind"], f"{[(f.rule, f.evidence) for f in found]} {row['text'][:200]}" if hit else "", hit=hit)
        share = 10_000 * tally.hits.total() / tally.total.total()
        tally.line(f"benign posts at {severity.word} level ({share:.1f} per 10,000)")
        tally.lines()
        print("   by", ", ".join(f"{rule} {count}" for rule, count in by.most_common()) or "nothing")
        tally.write(f"false-{severity.word}")


def near_match(benign: list[dict[str, Any]]) -> None:
    """Registered, then altered: harmlessly must be excused, a slip is noticed where it can be, dangerously never."""
    sample = random.Random(3).sample([r for r in benign if not r["text"].startswith("RT @")], SAMPLE)
    window = NOW - timedelta(hours=1), NOW + timedelta(hours=1)
    harmless, slips, dangerous = Tally(), Tally(), Tally()
    for row in sample:
        queue = Queue([ApprovedPost(1, ACCOUNT.key, Kind.POST, row["text"], *window)], vocabulary=words.load())
        for name, text in altered(row["text"], HARMLESS):
            match = queue.match(post(row, text))
            hit = isinstance(match, Exact)
            harmless.add(name, "" if hit else text[:200], hit=hit)
        for name, text in altered(row["text"], SLIPS):
            match = queue.match(post(row, text))
            hit = isinstance(match, Near | Exact)
            slips.add(name, "" if hit else text[:200], hit=hit)
        turned = [("a pair of the attacks", text) for text in swapped(row["text"], attacks())]
        for name, text in [*altered(row["text"], DANGEROUS), *turned]:
            match = queue.match(post(row, text))
            hit = isinstance(match, Exact | Near)
            dangerous.add(name, f"{match} {row['text'][:150]} -> {text[:150]}" if hit else "", hit=hit)
    harmless.line("harmless alterations excused")
    harmless.lines()
    slips.line("slips of the hand noticed")
    slips.lines()
    dangerous.line("dangerous alterations excused or only noticed")
    dangerous.lines()
    for tally, name in ((harmless, "harmless-not-excused"), (slips, "slips-not-noticed"), (dangerous, "dangerous-excused")):
        tally.write(name)


@cache
def attacks() -> tuple[tuple[str, str], ...]:
    """Pairs of real words with which registered texts were attacked."""
    found = ROOT.parent / "shared" / "cases" / "attacks" / "word_pairs.json"
    return tuple((one, other) for one, other, _ in json.loads(found.read_text())) if found.is_file() else ()


def list_of_words() -> None:
    """What the list of words takes: bytes in the wheel, and of memory while it is read and afterwards."""
    words.load.cache_clear()
    tracemalloc.start()
    loaded = words.load()
    assert loaded is not None
    loaded.size("a word that is none")  # unpacks the large list
    kept, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    packed = sum(path.stat().st_size for path in words.FILE.parent.iterdir())
    print(f"{'MB of the list of words in the wheel (at most 5)':<52} {packed / 1e6:>6.2f}   {words.version()}")
    print(f"{'MiB of memory it takes, while it is read (at most 10)':<52} {kept / 2**20:>6.2f}, {most / 2**20:.2f}")


def parts() -> None:
    """Text, links, addresses and look-alike names, each on its own."""
    disguised = Tally()
    for row in rows("unicode_adversarial.jsonl"):
        if row["attack"]:
            disguised.add("disguised words seen through", "", hit=row["expect_contains"] in read(row["text"]).skeleton)
        else:
            reading = read(row["text"])
            disguised.add("other languages left readable", "", hit=not reading.disguises and reading.skeleton != "")
    disguised.lines("")
    links = Tally()
    for row in rows("url_extraction_tests.jsonl"):
        links.add("link extraction cases", "", hit=set(hosts(row["text"])) == set(row["hosts"]))
    links.lines("")
    valid, invalid = Tally(), Tally()
    for row in rows("address_vectors.jsonl"):
        chain = CHAINS.get(row["chain"], row["chain"])
        found = chain in {a.chain for a in addresses(f"Send it to {row['value']} now")} and chain_of(row["value"]) == chain
        if row["valid"]:
            valid.add(chain, "" if found else row["value"], hit=found)
        else:
            any_chain = found if chain != "none" else bool(addresses(f"Send it to {row['value']} now"))
            invalid.add(chain, row["value"] if any_chain else "", hit=any_chain)
    valid.line("addresses found")
    valid.lines()
    invalid.line("invalid addresses taken for valid ones")
    valid.write("addresses-missed")
    invalid.write("addresses-false")
    look_alikes()
    same_pictures()


def same_pictures() -> None:
    """How far making a picture smaller moves its hash, and another code in its corner."""
    seeds = range(60)
    planned = [hash_of(picture(n)) for n in seeds]
    smaller = [distance(planned[n], hash_of(recoded(picture(n)))) for n in seeds]
    swapped = [distance(planned[n], hash_of(recoded(with_another_code(picture(n), n)))) for n in seeds]
    spots = [
        spot(hash_of(one), hash_of(as_x_shows(one))) or 0
        for n in seeds
        for one in (picture(n), enlarged(picture(n), (1800, 1350)), enlarged(picture(n), (1500, 500)))
    ]
    written = [
        spot(hash_of(poster(OURS)), hash_of(as_x_shows(poster(OURS[:n] + ("9" if OURS[n] != "9" else "c") + OURS[n + 1 :])))) or 0
        for n in range(4, 42)
    ]
    print(f"{'of 255, the spot that differs most, as X shows it: at most':<52} {max(spots):>6}   (bound {SAME_SPOT})")
    print(
        f"{'of 255, with another letter in an address: at least':<52} {min(written):>6}   ({sum(d <= SAME_SPOT for d in written)}/{len(written)} within the bound)"
    )
    print(f"{'bits of 256, pictures made smaller: at most':<52} {max(smaller):>6}   (bound {SAME_PICTURE})")
    print(
        f"{'bits of 256, another code in the corner: at least':<52} {min(swapped):>6}   ({sum(d <= 31 for d in swapped)}/60 within PDQ's 31)"
    )


def look_alikes() -> None:
    """Scam hosts that play on a name, seen from the company that owns it; and the hosts of honest posts."""
    names = ("coinbase", "binance", "uniswap", "metamask", "kraken", "tesla", "phantom", "opensea", "ledger", "solana")
    tally = Tally()
    for row in rows("scam_hosts_dev.jsonl"):
        for name in names:
            if name in row["host"]:
                tally.add("scam hosts with our name in them are look-alikes", row["host"], hit=_like(row["host"], name))
    tally.lines("")
    honest = {h for r in rows("dev.jsonl") if r["label"] == "benign" for h in hosts("", tuple(r.get("urls") or ()))}
    quiet = Tally()
    for name in names:
        for host in honest:
            if name not in host:
                quiet.add("honest hosts taken for look-alikes", host, hit=_like(host, name))
    quiet.lines("")


def _like(host: str, name: str) -> bool:
    return place(host, Company(name, (f"{name}.com",))) is Place.LOOKALIKE


def main() -> None:
    """Print the tables."""
    if not DATA.is_dir():
        print(f"no corpora at {DATA}: nothing to measure")
        return
    BUILD.mkdir(parents=True, exist_ok=True)
    rules = rulebook.load([]).rules
    corpus = list(rows("dev.jsonl"))
    benign = [r for r in corpus if r["label"] == "benign"]
    core: Iterable[dict[str, Any]] = [r for r in corpus if r["label"] == "scam" and r.get("scope") == "core"]
    recall(list(core), list(rows("incident_posts_dev.jsonl")), rules)
    precision(benign, rules)
    near_match(benign)
    list_of_words()
    parts()
    print(f"what was missed and what was accused falsely: {BUILD}")


if __name__ == "__main__":
    main()
