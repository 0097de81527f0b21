"""How long everything is kept: what `[retention]` says, as moments before which it may go. Pure; `pruning` does it.

Content goes, and its digest stays: ids, times, severities and rules are known for ever, so that nothing that was read before is news.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

REMEMBERED = timedelta(days=120)  # a verdict depends on registrations that ended so long before it, see `registrations`
OF_X = 30  # days: what X shows no longer may not be kept for ever (developer agreement, IV.B)
AGREED = 60.0  # seconds that a platform's clock and ours may differ by
DATED = timedelta(minutes=10)  # so lately it must have said its time


@dataclass(frozen=True, slots=True)
class Days:
    """The keys of `[retention]`; 0 keeps without end."""

    deleted_days: int
    evidence_days: int
    posts_days: int
    registrations_days: int
    inbox_days: int
    own_incidents_days: int
    incidents_days: int

    @property
    def answers_days(self) -> int:
        """An answer holds its posts: it is kept for no longer than they are."""
        return _sooner(self.evidence_days, self.posts_days)

    @property
    def gone_days(self) -> int:
        """What the platform no longer shows is kept for no longer than what it shows."""
        return _sooner(self.deleted_days, self.posts_days)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is older than these may go; None: nothing of it."""

    gone: datetime | None
    answers: datetime | None
    posts: datetime | None
    registrations: datetime | None
    inbox: datetime | None
    own_incidents: datetime | None
    incidents: datetime | None


def plan(days: Days, now: datetime) -> Plan:
    """The plan of this moment."""
    kept = (days.gone_days, days.answers_days, days.posts_days, days.registrations_days, days.inbox_days,
            days.own_incidents_days, days.incidents_days)  # fmt: skip
    return Plan(*(now - timedelta(days=d) if d else None for d in kept))


def distrusted(skew: float, dated: timedelta | None, step: float) -> str:
    """Why our clock is not to be trusted with removing anything, or an empty string.

    `skew` is by how many seconds the platform's is ahead, `dated` how long ago it last said so, `step` by how much ours was set lately.
    A clock that is years ahead would remove everything at once.
    """
    if step:
        return f"our clock was set by {step:.0f} s a short while ago"
    if dated is None or not timedelta() <= dated <= DATED:
        return "no platform has said lately what time it is"
    return f"our clock and the platform's differ by {abs(skew):.0f} s" if abs(skew) > AGREED else ""


def described(days: Days) -> str:
    """The plan in one line."""
    said = (
        ("deleted posts", days.gone_days), ("platform answers", days.answers_days), ("posts", days.posts_days),
        ("registrations", days.registrations_days), ("clicks", days.inbox_days), ("incidents about the monitor", days.own_incidents_days),
        ("incidents with their posts", days.incidents_days),
    )  # fmt: skip
    return ", ".join(f"{what} {f'{count} days' if count else 'without end'}" for what, count in said)


def warnings(days: Days, *, watches_x: bool) -> Iterator[str]:
    """What is not as it looks, or not as X asks for."""
    if watches_x and not 0 < days.gone_days <= OF_X:
        kept = f"for {days.gone_days} days" if days.gone_days else "without end"
        yield f"[retention] deleted_days keeps {kept} what X no longer shows: X's developer agreement wants it gone soon; set it to {OF_X} or less"
    if days.evidence_days != days.answers_days:
        kept = f"= {days.evidence_days} is longer than" if days.evidence_days else "= 0 keeps answers without end, and"
        yield f"[retention] evidence_days {kept} posts_days = {days.posts_days}: an answer holds its posts, so {days.answers_days} days count"
    if days.registrations_days and (not days.posts_days or days.registrations_days < days.posts_days):
        until = f"{days.posts_days + REMEMBERED.days} days" if days.posts_days else "ever"
        yield f"[retention] registrations_days = {days.registrations_days}: verdicts that are kept need them, so they stay for {until}"


def _sooner(days: int, other: int) -> int:
    return min(filter(None, (days, other)), default=0)
