"""`make eval`: how well posts are told apart, on the corpora in ../shared/data when present.

Prints every figure that the README claims about detection. Reads, never copies.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from monitor import rulebook
from monitor.model import Account, Company, Kind, Post, Severity, Verdict
from monitor.verdict import judge
from monitor.verdict.addresses import chain_of
from monitor.verdict.approved import Queue
from monitor.verdict.links import hosts
from monitor.verdict.text import skeleton

DATA = Path(__file__).parent.parent.parent / "shared" / "data"
ACCOUNT = Account("x", "1", "acme", unapproved=((Kind.REPLY, Severity.RECORD),))
COMPANY = Company("Acme Exchange", ("acme.example",), (), ("acme",))


def rows(name: str) -> Iterator[dict[str, Any]]:
    """The rows of a corpus."""
    with (DATA / name).open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def post(row: dict[str, Any]) -> Post:
    """A corpus row as a post; its links count as reachable."""
    kind = Kind.REPOST if row["text"].startswith("RT @") else Kind.POST
    links = tuple(u for u in row.get("urls") or () if "//t.co/" not in u)
    return Post(ACCOUNT.key, row["id"], kind, row["text"], datetime(2026, 11, 21, tzinfo=UTC), links=links)


def main() -> None:
    """Print the table."""
    if not DATA.is_dir():
        print(f"no corpora at {DATA}: nothing to measure")
        return
    rules = rulebook.load([]).rules

    def verdict(row: dict[str, Any], queue: Queue | None) -> Verdict:
        # Benign rows belong to many companies: their own domain stands in for ours.
        return judge(post(row), ACCOUNT, COMPANY, queue, rules)

    incidents = list(rows("incident_posts_dev.jsonl"))
    paged = sum(verdict(r, Queue()).severity is Severity.PAGE for r in incidents)
    print(f"incident posts that page with an empty queue   {paged}/{len(incidents)}")
    accused = [r for r in incidents if verdict(r, None).accusations]
    print(f"incident posts that a rule accuses             {len(accused)}/{len(incidents)}")
    corpus = list(rows("dev.jsonl"))
    core = [r for r in corpus if r["label"] == "scam" and r.get("scope") == "core"]
    print(f"scam core that a rule accuses                  {sum(bool(verdict(r, None).accusations) for r in core)}/{len(core)}")
    _benign([r for r in corpus if r["label"] == "benign"], verdict)
    vectors = [r for r in rows("unicode_adversarial.jsonl") if r["attack"]]
    seen = sum(r["expect_contains"] in skeleton(r["text"]) for r in vectors)
    print(f"disguised words seen through                   {seen}/{len(vectors)}")
    links = list(rows("url_extraction_tests.jsonl"))
    print(f"link extraction cases                          {sum(set(hosts(r['text'])) == set(r['hosts']) for r in links)}/{len(links)}")
    _addresses(list(rows("address_vectors.jsonl")))
    if "--misses" in sys.argv:
        for row in incidents:
            if row not in accused:
                print("  not accused:", row["kind"], "|", row["text"][:120])


def _benign(benign: list[dict[str, Any]], verdict: Any) -> None:
    total: Counter[str] = Counter(r["kind"] for r in benign)
    pages: Counter[str] = Counter()
    rules: Counter[str] = Counter()
    for row in benign:
        found = [f for f in verdict(row, None).accusations if f.severity is Severity.PAGE]
        pages[row["kind"]] += bool(found)
        rules.update(f.rule for f in found)
        if found and "--false" in sys.argv:
            print("  ", row["kind"], [f.rule for f in found], found[0].evidence, "|", row["text"][:140].replace("\n", " "))
    print(f"benign posts accused at page level             {pages.total()}/{total.total()} ({pages.total() / total.total():.2%})")
    for kind, count in total.most_common():
        print(f"  {kind:<30} {pages[kind]:>5}/{count}")
    for rule, count in rules.most_common():
        print(f"  by {rule:<27} {count:>5}")


def _addresses(vectors: list[dict[str, Any]]) -> None:
    chains = ("bitcoin", "litecoin", "dogecoin", "tron", "solana", "ripple", "ethereum", "none")
    for chain in chains:
        valid = [r for r in vectors if r["chain"] == chain and r["valid"]]
        invalid = [r for r in vectors if r["chain"] == chain and not r["valid"]]
        hit, false = (sum(bool(chain_of(r["value"])) for r in group) for group in (valid, invalid))
        print(f"addresses: {chain:<10} found {hit}/{len(valid)}, falsely {false}/{len(invalid)}")


if __name__ == "__main__":
    main()
