"""What a verdict changes, and when to page again. Pure: time is an argument, reasons come back.

One incident per subject while it is not resolved. More posts join it without paging again for
each; what makes it worse pages at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from monitor.model import Human, Incident, PageKind, Paging, Severity, State

MOST_WAKING = timedelta(seconds=60)  # "worse" wakes at once the first time, then at most this often
MOST_WAKING_ACKNOWLEDGED = timedelta(minutes=5)  # and those who have it, at most this often
KEPT = 50  # hosts and texts remembered by an incident


@dataclass(frozen=True, slots=True)
class Event:
    """Something that may open or join an incident, in our words except `hosts` and `skeleton`."""

    subject: str
    name: str
    severity: Severity
    headline: str
    reason: str
    at: datetime
    hosts: tuple[str, ...] = ()
    skeleton: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """A message to be written down. Waking ones mention people."""

    kind: PageKind
    reason: str
    wakes: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """The incident after the event (id 0 when new), what to say, and a notice it overtakes."""

    incident: Incident
    requests: tuple[Request, ...]
    overtakes: Incident | None = None


def absorb(event: Event, current: Incident | None, last: Incident | None, others: tuple[Incident, ...]) -> Outcome:
    """Open an incident or join `current`.

    `last` is the newest resolved incident of the same subject, `others` the unresolved incidents of
    other subjects. `event.severity` is NOTIFY or PAGE.
    """
    twin = _twin(event, others)
    if current is None or (event.severity > current.severity):
        return _opened(event, last, twin, current)
    joined = replace(
        current,
        last_at=event.at,
        posts=current.posts + 1,
        hosts=_kept(current.hosts, event.hosts),
        skeletons=_kept(current.skeletons, (event.skeleton,) if event.skeleton else ()),
    )
    quiet = (Request(PageKind.SYNC, "another post"), Request(PageKind.NOTE, "another post"))
    worse = _worse(event, current, twin)
    if worse and event.severity is Severity.PAGE and _may_wake(current, event.at):
        return Outcome(joined, (Request(PageKind.REPEAT, worse, wakes=True), *quiet))
    return Outcome(joined, quiet)


def _opened(event: Event, last: Incident | None, twin: Incident | None, notice: Incident | None) -> Outcome:
    follows = ""
    if last and last.resolved_at:
        follows = f"; follows INC-{last.id}, resolved {_minutes(event.at - last.resolved_at)} ago"
    same = f"; the same text as in INC-{twin.id} on {twin.name}" if twin else ""
    overtakes = f"; overtakes the notice INC-{notice.id}" if notice else ""
    opened = Incident(
        0, event.subject, event.name, event.severity, event.headline, event.reason + same, event.at, event.at,
        posts=1, hosts=event.hosts[:KEPT], skeletons=(event.skeleton,) if event.skeleton else (),
        previous=notice.id if notice else last.id if last else None,
    )  # fmt: skip
    reason = f"first of this incident{follows}{same}{overtakes}"
    return Outcome(opened, (Request(PageKind.ROOT, reason, wakes=event.severity is Severity.PAGE),), notice)


def _twin(event: Event, others: tuple[Incident, ...]) -> Incident | None:
    """An open incident of another account with the same text."""
    if not event.skeleton:
        return None
    return next((o for o in others if o.subject != event.subject and event.skeleton in o.skeletons), None)


def _worse(event: Event, current: Incident, twin: Incident | None) -> str:
    """Why this post makes the incident worse, or an empty string."""
    if twin and event.skeleton not in current.skeletons:
        return f"the same text is now on a second account: INC-{twin.id} on {twin.name}"
    new = [h for h in event.hosts if h not in current.hosts]
    return f"a new domain: {new[0]}" if new else ""


def _may_wake(current: Incident, now: datetime) -> bool:
    """A flood of ever new domains must not become a flood of pages."""
    gap = MOST_WAKING_ACKNOWLEDGED if current.state is State.ACKNOWLEDGED else MOST_WAKING
    return current.pages <= 1 or current.last_paged_at is None or now - current.last_paged_at >= gap


def _kept(known: tuple[str, ...], new: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*known, *new)))[-KEPT:]


# --- time ----------------------------------------------------------------------------------------


def next_page(incident: Incident, now: datetime, paging: Paging) -> Request | None:
    """The page that is due because nobody acknowledged, with its reason, or None."""
    if incident.state is not State.OPEN or incident.severity is not Severity.PAGE:
        return None
    waited = now - incident.opened_at
    steps = escalated(incident, now, paging)
    late = _late(incident, now, paging)
    if steps > incident.steps:
        reason = f"nobody acknowledged for {_minutes(waited)}: escalated to step {steps} of {len(paging.escalate)}"
        return Request(PageKind.REPEAT, reason + late, wakes=True)
    last = incident.last_paged_at or incident.opened_at
    if now - last >= timedelta(minutes=paging.repeat_minutes):
        return Request(PageKind.REPEAT, f"nobody acknowledged for {_minutes(waited)}{late}", wakes=True)
    return None


def next_due(incident: Incident, paging: Paging) -> datetime | None:
    """When `next_page` will next have something to say if nobody acts."""
    if incident.state is not State.OPEN or incident.severity is not Severity.PAGE:
        return None
    repeat = (incident.last_paged_at or incident.opened_at) + timedelta(minutes=paging.repeat_minutes)
    steps = [incident.opened_at + timedelta(minutes=m) for m, _ in paging.escalate[incident.steps :]]
    return min([repeat, *steps])


def escalated(incident: Incident, now: datetime, paging: Paging) -> int:
    """How many escalation steps are due by now."""
    return sum(now - incident.opened_at >= timedelta(minutes=minutes) for minutes, _ in paging.escalate)


def mentions(paging: Paging, steps: int) -> tuple[str, ...]:
    """Whom a page wakes at this escalation step: the first group, and everybody added since."""
    added = [m for _, who in paging.escalate[:steps] for m in who]
    return tuple(dict.fromkeys([*paging.mention, *added]))


def _late(incident: Incident, now: datetime, paging: Paging) -> str:
    due = next_due(incident, paging)
    late = now - due if due else timedelta()
    return f" (late by {_minutes(late)}: the monitor was not running)" if late > timedelta(minutes=1) else ""


def _minutes(delta: timedelta) -> str:
    seconds = max(0, int(delta.total_seconds()))
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


# --- people --------------------------------------------------------------------------------------


def act(incident: Incident, human: Human) -> tuple[Incident, tuple[Request, ...]] | str:
    """The incident after what somebody did, or the reason why nothing changed."""
    if incident.state is State.RESOLVED:
        when = f"{incident.resolved_at:%Y-%m-%d %H:%M} UTC" if incident.resolved_at else "earlier"
        return f"INC-{incident.id} was resolved by {incident.resolved_by} at {when}"
    if human.verb == "acknowledge":
        if incident.state is State.ACKNOWLEDGED:
            return f"INC-{incident.id} was already acknowledged by {incident.acknowledged_by}"
        taken = replace(incident, state=State.ACKNOWLEDGED, acknowledged_by=human.who, acknowledged_at=human.at)
        took = _minutes(human.at - incident.opened_at)
        return taken, _said(f"{human.who} acknowledged after {took} ({human.via})")
    closed = replace(incident, state=State.RESOLVED, resolved_by=human.who, resolved_at=human.at, cause=human.note or "no cause given")
    return closed, _said(f"{human.who} resolved it ({human.via}): {human.note or 'no cause given'}")


def _said(sentence: str) -> tuple[Request, ...]:
    return Request(PageKind.SYNC, sentence), Request(PageKind.NOTE, sentence)
