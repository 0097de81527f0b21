"""What an account usually does, learned from its own posts, and what is unlike it.

Counts that halve every sixty days: hours, languages, linked names, cashtags. A signal adds a reason
and weight to a rule; nothing usual ever excuses a post.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitor.model import Kind, Post, Signal
from monitor.verdict.addresses import addresses
from monitor.verdict.links import hosts, registered_name

HALF_LIFE = timedelta(days=60)
KNOWN_FROM = 20  # posts; an account seen less has no habits
KEPT = 400  # counts; the smallest go first
BURST = timedelta(minutes=10)
_REPOSTS = 4  # within BURST
_POSTS = 5  # within BURST, where the account usually writes less than one in that time
_SEEN = 0.01  # what is left of one sighting after a year is still a sighting
_CASHTAG = re.compile(r"\$[A-Za-z]{2,10}\b")
_NO_LANGUAGE = frozenset({"", "und", "zxx", "qme", "qst", "qht", "qam", "qct", "art"})  # X's words for "none" and "cannot tell"


@dataclass(frozen=True, slots=True)
class Habits:
    """Decayed counts by name (`hour:13`, `lang:en`, `domain:acme.example`, `cashtag:$btc`, `posts`, ...) as of a time."""

    counts: Mapping[str, float]
    as_of: datetime | None = None


def _traits(post: Post) -> Iterable[str]:
    """Everything about a post that is counted."""
    yield "posts"
    yield f"hour:{post.created_at.hour}"
    if post.lang not in _NO_LANGUAGE:
        yield f"lang:{post.lang}"
    for name in sorted({registered_name(h) for h in hosts(post.text, post.links)}):
        yield f"domain:{name}"
    for tag in sorted({t.lower() for t in _CASHTAG.findall(post.text[:5_000])})[:10]:
        yield f"cashtag:{tag}"
    if addresses(post.text):
        yield "address"
    if post.poll:
        yield "poll"
    if post.reply_settings in ("", "everyone"):
        yield "open replies"


def learn(habits: Habits, post: Post) -> Habits:
    """The habits after one more post of which nobody complained."""
    age = max(timedelta(0), post.created_at - habits.as_of) if habits.as_of else timedelta(0)
    fade = 0.5 ** (age / HALF_LIFE)
    counts = {name: count * fade for name, count in habits.counts.items() if count * fade >= _SEEN}
    for trait in _traits(post):
        counts[trait] = counts.get(trait, 0.0) + 1
    kept = sorted(counts, key=lambda name: (name.startswith(("domain:", "cashtag:")), -counts[name], name))[:KEPT]
    return Habits({name: round(counts[name], 4) for name in sorted(kept)}, max(filter(None, (habits.as_of, post.created_at))))


def signals(post: Post, habits: Habits, recent: tuple[tuple[datetime, Kind], ...], *, own: bool) -> tuple[tuple[Signal, str], ...]:
    """What is unlike this account, each with its reason. `recent` are its other posts of the last minutes; `own`
    says that it reposts a post of ours of which nobody complained, which no burst counts.
    """
    found = [*_bursts(post, habits, recent, own=own)]
    total = habits.counts.get("posts", 0.0)
    if total >= KNOWN_FROM:
        found += _unlike(post, habits.counts, total)
    return tuple(found)


def _bursts(post: Post, habits: Habits, recent: tuple[tuple[datetime, Kind], ...], *, own: bool) -> Iterable[tuple[Signal, str]]:
    kinds = [kind for when, kind in recent if abs(post.created_at - when) <= BURST]
    if post.kind is Kind.REPOST and not own and kinds.count(Kind.REPOST) + 1 >= _REPOSTS:
        yield Signal.REPOST_BURST, f"{kinds.count(Kind.REPOST) + 1} reposts within ten minutes"
    written = sum(k in (Kind.POST, Kind.QUOTE) for k in kinds) + 1
    total = habits.counts.get("posts", 0.0)
    a_day = total / 86.6  # the sum of a count that halves every sixty days, per day
    if post.kind in (Kind.POST, Kind.QUOTE) and written >= _POSTS and total >= KNOWN_FROM and a_day < 144:
        yield Signal.TEMPO, f"{written} posts within ten minutes; usually about {a_day:.1f} a day"


def _unlike(post: Post, counts: Mapping[str, float], total: float) -> Iterable[tuple[Signal, str]]:
    traits = list(_traits(post))
    around = sum(counts.get(f"hour:{(post.created_at.hour + d) % 24}", 0.0) for d in (-1, 0, 1))
    if around < total * 0.01:
        yield Signal.OFF_HOURS, f"posted at {post.created_at:%H:%M} UTC, when it hardly ever posts"
    lang = next((t for t in traits if t.startswith("lang:")), "")
    if lang and lang not in counts and any(n.startswith("lang:") for n in counts):
        yield Signal.NEW_LANGUAGE, f"the first post in {lang[5:]!r}"
    if any(t.startswith("domain:") and t not in counts for t in traits):
        yield Signal.NEW_DOMAIN, "a link to a name it never linked to"
    if any(t.startswith("cashtag:") and t not in counts for t in traits):
        yield Signal.FIRST_CASHTAG, "a cashtag it never used"
    if "address" in traits and "address" not in counts:
        yield Signal.FIRST_ADDRESS, "its first wallet address"
    if "poll" in traits and "poll" not in counts:
        yield Signal.FIRST_POLL, "its first poll"
    if "open replies" not in traits and counts.get("open replies", 0.0) > total * 0.9:
        yield Signal.REPLIES_LIMITED, f"replies limited to {post.reply_settings!r}, which it hardly ever does"
