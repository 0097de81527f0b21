"""What a rule would have done to everything stored, and which words of the rules ever occurred."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from monitor import counters
from monitor.model import Company, Finding, Post, ProfileChange, Redacted
from monitor.post_rows import Kept
from monitor.record import stamp
from monitor.rulebook import Source
from monitor.store import Store
from monitor.verdict import examine, readable
from monitor.verdict.rules import Rules, Subject, alternatives, occurring

_AGO = re.compile(r"(\d{1,4})\s*([hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


@dataclass(frozen=True, slots=True)
class Coverage:
    """One rule: how many posts it accused, on which UTC day last, and which of its words never occurred in a stored post, where that was asked."""

    rule: str
    status: str
    fired: int
    last: str
    words: int = 0
    silent: tuple[str, ...] = ()


def since(text: str, now: datetime) -> datetime:
    """`30d`, `12h`, `2w` or an ISO date. Raises ValueError."""
    ago = _AGO.fullmatch(text.strip())
    if ago:
        return now - int(ago[1]) * _UNITS[ago[2]]
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"--since: found {text!r}, expected 30d, 12h, 2w or a date like 2026-11-01") from None
    return when if when.tzinfo else when.replace(tzinfo=now.tzinfo)


def replay(store: Store, source: Source, company: Company, start: datetime) -> Iterator[tuple[Kept, Finding | None]]:
    """Every stored post since `start` whose content is still there, with what this rule says of it, whatever its status is."""
    rules = Rules((source.rule,))
    for kept in _stored(store, start):
        if not isinstance(kept.post, Redacted):
            found = rules.accuse(_subject(kept, company, rules), _about(kept))
            yield kept, found[0] if found else None


def coverage(store: Store, sources: tuple[Source, ...], start: datetime) -> list[Coverage]:
    """Every rule, those that never fired first: what was counted when posts were judged, baseline and drills left out, in whole days."""
    fired = counters.rules(store.sql, start)
    found = [Coverage(s.rule.id, s.rule.status, *fired.get(s.rule.id, (0, ""))) for s in sources]
    return sorted(found, key=lambda c: (c.fired, c.rule))


def with_words(
    found: list[Coverage], store: Store, sources: tuple[Source, ...], company: Company, start: datetime
) -> list[Coverage]:  # fmt: skip
    """The same with each rule's words: reads every post since then."""
    rules = Rules(tuple(s.rule for s in sources))
    heard: dict[str, set[str]] = {s.rule.id: set() for s in sources}
    for kept in _stored(store, start):
        if not isinstance(kept.post, Redacted):
            subject = _subject(kept, company, rules)
            for source in sources:
                heard[source.rule.id].update(occurring(source.rule, subject))
    words = {s.rule.id: alternatives(s.rule) for s in sources}
    return [replace(c, words=len(words[c.rule]), silent=tuple(w for w in words[c.rule] if w not in heard[c.rule])) for c in found]


def _stored(store: Store, start: datetime) -> Iterator[Kept]:
    """Posts and profile changes in the order of their times, a page at a time: years of them fit."""
    position, seen = stamp(start) or "", 0
    while rows := store.posts("created_at >= ? AND kind != 'unreadable'", (position,), 1_000 + seen):
        yield from rows[seen:]
        if len(rows) < 1_000 + seen:
            return
        newest = stamp(rows[-1].post.created_at) or ""
        seen = sum(stamp(r.post.created_at) == newest for r in rows)
        position = newest


def _about(kept: Kept) -> str:
    return "profile" if isinstance(kept.post, ProfileChange) else "post"


def _subject(kept: Kept, company: Company, rules: Rules) -> Subject:
    if isinstance(kept.post, Post):
        return examine(readable(kept.post), kept.post.links, company, rules, context=kept.context)
    change = kept.post
    return examine(getattr(change, "after", ""), (), company, rules, getattr(change, "field", ""), kept.context)
