"""What a verdict changes, and when to page again. Pure: time is an argument, reasons come back.

One incident per subject while it is not resolved. More posts join it without paging again for
each; what makes it worse pages at once. An acknowledgement ends by itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from monitor.model import Human, Incident, PageKind, Paging, Severity, Silence, State

MOST_WAKING = timedelta(seconds=60)  # "worse" wakes at once the first time, then at most this often
MOST_WAKING_ACKNOWLEDGED = timedelta(minutes=5)  # and those who have it, at most this often
KEPT = 50  # hosts and texts remembered by an incident
REOPEN = timedelta(hours=24)
ROUNDS = 3  # of the last step, before the whole channel is woken
LONGEST_SILENCE = timedelta(hours=8)
SILENCE_ASKED = "Silence asked for"  # the headline of one that waits for a second person
SILENCE_MOST = 4  # posts that a silence covers over its whole length, of all accounts together: the fifth pages
LEAST_LETTERS = 4
_EVERYWHERE = ("http", "https", "with", "this", "that", "your", "from", "have", "more", "will", "para", "pour", "avec")
_LETTERS = re.compile(r"[^\W\d_]+")
_HOST = re.compile(r"\w\.\w")
NOT_OF_POSTS = ("blind:", "gap:", "drift:", "silence:")  # subjects that no post joins
DRILL = "replay::drill"
REPLIES = "replies:"  # before an account's key: notices about its replies with media, apart from its incidents
REPLIES_LAST = timedelta(hours=1)  # then the thread is closed, and the next one is another's


@dataclass(frozen=True, slots=True)
class Event:
    """Something that may open or join an incident, in our words except `hosts`, `skeleton` and `text`."""

    subject: str
    name: str
    severity: Severity
    headline: str
    reason: str
    at: datetime
    hosts: tuple[str, ...] = ()
    skeleton: str = ""
    text: str = ""
    silenceable: bool = True  # not a change of the profile, nor what a critical rule accuses
    accusation: str = ""  # of a rule, where nothing before it in the incident was accused


@dataclass(frozen=True, slots=True)
class Request:
    """A message to be written down. Waking ones mention people: `to`, or whoever is due by the steps."""

    kind: PageKind
    reason: str
    wakes: bool = False
    to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """The incident after the event (id 0 when new), what to say, and a notice it overtakes."""

    incident: Incident
    requests: tuple[Request, ...]
    overtakes: Incident | None = None


def absorb(
    event: Event, current: Incident | None, last: Incident | None, others: tuple[Incident, ...], silence: Silence | None = None
) -> Outcome:  # fmt: skip
    """Open an incident or join `current`.

    `last` is the newest resolved incident of the same subject, `others` the unresolved incidents of
    other subjects, `silence` the one that keeps this event from waking anybody. `event.severity` is NOTIFY or PAGE.
    """
    twin = _twin(event, others)
    if current is None or (event.severity > current.severity):
        return _opened(event, last, twin, current, silence)
    joined = replace(
        current,
        last_at=event.at,
        posts=current.posts + 1,
        hosts=_kept(current.hosts, event.hosts),
        skeletons=_kept(current.skeletons, (event.skeleton,) if event.skeleton else ()),
        silence=current.silence if silence else None,
    )
    said = event.reason if event.subject.startswith(NOT_OF_POSTS) else "another post"
    quiet = (Request(PageKind.SYNC, said), Request(PageKind.NOTE, said))
    worse = _worse(event, current, twin, silence) or (_once(silence) if silence and wakes_once(silence, event.subject) else "")
    if worse and event.severity is Severity.PAGE and (_may_wake(current, event.at) or current.silence is not joined.silence):
        return Outcome(joined, (Request(PageKind.REPEAT, worse, wakes=True), *quiet))
    if current.state is State.ACKNOWLEDGED and event.severity is Severity.PAGE and current.holder and _held_long(current, event.at):
        again = Request(PageKind.REPEAT, "another post since you acknowledged", wakes=True, to=(current.holder,))
        return Outcome(joined, (again, *quiet))
    return Outcome(joined, quiet)


def _opened(event: Event, last: Incident | None, twin: Incident | None, notice: Incident | None, silence: Silence | None) -> Outcome:
    follows = ""
    if last and last.resolved_at:
        follows = f"; follows INC-{last.id}, resolved {minutes(event.at - last.resolved_at)} ago"
    same = f"; the same text as in INC-{twin.id} on {twin.name}" if twin else ""
    overtakes = f"; overtakes the notice INC-{notice.id}" if notice else ""
    opened = Incident(
        0, event.subject, event.name, event.severity, event.headline, event.reason + same, event.at, event.at,
        posts=1, hosts=event.hosts[:KEPT], skeletons=(event.skeleton,) if event.skeleton else (),
        previous=notice.id if notice else last.id if last else None, since=event.at,
        silence=silence.id if silence else None,
    )  # fmt: skip
    quiet = f"; silenced until {silence.ends_at:%H:%M} UTC by {silence.who}: {silence.reason}" if silence else ""
    once = silence is not None and event.severity is Severity.PAGE and wakes_once(silence, event.subject)
    reason = f"first of this incident{follows}{same}{overtakes}{quiet}{f'; {_once(silence)}' if silence and once else ''}"
    wakes = event.severity is Severity.PAGE and (not silence or once)
    return Outcome(opened, (Request(PageKind.ROOT, reason, wakes=wakes),), notice)


def account_of(subject: str) -> str:
    """The account key, or whatever else the incident is about."""
    return subject.removeprefix(REPLIES)


def is_over(incident: Incident, now: datetime) -> bool:
    """Whether a thread about replies has lasted its hour; nobody has to resolve it. A clock that was set back ends it too."""
    return incident.subject.startswith(REPLIES) and abs(now - incident.opened_at) >= REPLIES_LAST


def _twin(event: Event, others: tuple[Incident, ...]) -> Incident | None:
    """An open incident of another account with the same text. A drill is nobody's twin."""
    if not event.skeleton or event.subject == DRILL:
        return None
    alike = (o for o in others if account_of(o.subject) not in (account_of(event.subject), DRILL) and event.skeleton in o.skeletons)
    return next(alike, None)


def _worse(event: Event, current: Incident, twin: Incident | None, silence: Silence | None) -> str:
    """Why this post makes the incident worse, or an empty string."""
    if twin and event.skeleton not in current.skeletons:
        return f"the same text is now on a second account: INC-{twin.id} on {twin.name}"
    new = [h for h in event.hosts if h not in current.hosts]
    if new:
        return f"a new domain: {new[0]}"
    if event.accusation and not silence:  # taken for a slip of our own until now
        return f"nothing before it was accused, and this is: {event.accusation}"
    return "more than the silence covers" if current.silence and not silence else ""


def _may_wake(current: Incident, now: datetime) -> bool:
    """A flood of ever new domains must not become a flood of pages."""
    gap = MOST_WAKING_ACKNOWLEDGED if current.state is State.ACKNOWLEDGED else MOST_WAKING
    return current.pages <= 1 or current.last_paged_at is None or now - current.last_paged_at >= gap


def _held_long(current: Incident, now: datetime) -> bool:
    """Five minutes since they took it or were last woken: they may be in the middle of it."""
    last = max(filter(None, (current.acknowledged_at, current.last_paged_at)), default=None)
    return last is None or now - last >= MOST_WAKING_ACKNOWLEDGED


def _kept(known: tuple[str, ...], new: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*known, *new)))[-KEPT:]


# --- silences ------------------------------------------------------------------------------------


def covering(event: Event, silences: tuple[Silence, ...], current: Incident | None, muted: int = 0) -> Silence | None:
    """The silence that keeps this event from waking anybody (the first under a wide one excepted), or None.

    It breaks through when the post leads to a host that the silence does not name, or is the fifth that it would cover.
    `muted` are the account's posts that any silence covered in the last 8 hours: one silence after another is one.
    A silence never covers our own blindness, a changed profile, nor what a critical rule accuses.
    """
    if event.subject.startswith(("blind:", "silence:", "drift:")) or event.subject == DRILL or not event.silenceable:
        return None
    if current and current.severity is Severity.PAGE and current.silence is None:
        return None  # it broke through, or was there before the silence began
    found = next((s for s in silences if matches(s, event)), None)
    if found is None:
        return None
    named = found.words.casefold()
    foreign = [h for h in event.hosts if not (named and (h.casefold() == named or h.casefold().endswith(f".{named}")))]
    return None if foreign or max(muted, sum(count for _, count in found.told)) >= SILENCE_MOST else found


def is_wide(words: str) -> bool:
    """Whether a silence about these words is one about the whole account.

    Without words; with none of four letters that not most posts hold; or when they name a host, which would excuse where a post leads.
    """
    telling = [w for w in _LETTERS.findall(words.casefold()) if len(w) >= LEAST_LETTERS and w not in _EVERYWHERE]
    return not telling or bool(_HOST.search(words))


def wakes_once(silence: Silence, subject: str) -> bool:
    """Whether this is the first post of the account under a silence: it is told aloud, so that no hijack begins unheard. Words
    do not change that: one responder may choose them, and a hijacker who knows them writes them into every post.
    """
    return dict(silence.told).get(subject, 0) == 0


def _once(silence: Silence) -> str:
    return f"the first post under silence {silence.id} wakes once; the next ones wake nobody, the fifth does"


def matches(silence: Silence, event: Event) -> bool:
    """Whether the silence speaks of this account and these words, at this time."""
    if silence.ended_by or silence.waits or not silence.starts_at <= event.at < silence.ends_at:
        return False
    said = "\n".join((event.text, *event.hosts)).casefold()
    return silence.account in ("", event.subject) and silence.words.casefold() in said


# --- time ----------------------------------------------------------------------------------------


def next_page(incident: Incident, now: datetime, paging: Paging, oncall: tuple[str, ...] = ()) -> Request | None:
    """The page that is due because nobody acknowledged or could be reached, with its reason, or None."""
    if incident.state is not State.OPEN or incident.severity is not Severity.PAGE or incident.silence:
        return None
    waited = now - began(incident)
    steps = escalated(incident, now, paging, oncall)
    late = _late(incident, now, paging)
    if steps > incident.steps:
        lost = reaches_nobody(paging, incident.steps, oncall)
        why = "whom it was to wake cannot be reached" if lost else f"nobody acknowledged for {minutes(waited)}"
        reason = f"{why}: escalated to step {steps} of {len(paging.escalate)}"
        return Request(PageKind.REPEAT, reason + late, wakes=True)
    last = incident.last_paged_at or incident.opened_at
    set_back = last - now > timedelta(minutes=1)  # the clock was: rather a page too many
    if set_back or now - last >= _patience(incident, paging):
        return Request(PageKind.REPEAT, f"nobody acknowledged for {minutes(waited)}{late}", wakes=True)
    return None


def lapsed(incident: Incident, now: datetime) -> tuple[Incident, Request] | None:
    """An acknowledgement that ran out: it is open again, at the same step, and who had it is asked first."""
    held = incident.state is State.ACKNOWLEDGED and incident.severity is Severity.PAGE and incident.held_until is not None
    if not held or (incident.held_until and now < incident.held_until):
        return None
    ago = minutes(now - incident.acknowledged_at) if incident.acknowledged_at else "a while"
    again = replace(incident, state=State.OPEN, since=now, held_until=None)
    reason = f"{incident.acknowledged_by} acknowledged {ago} ago and it is not resolved: still on it?"
    return again, Request(PageKind.REPEAT, reason, wakes=True, to=(incident.holder,) if incident.holder else ())


def limited(incident: Incident, now: datetime, paging: Paging) -> Incident | None:
    """An acknowledgement of a version in which none ended: from now on it counts for as long as every other."""
    if incident.state is not State.ACKNOWLEDGED or incident.severity is not Severity.PAGE or incident.held_until:
        return None
    return replace(incident, held_until=now + timedelta(minutes=paging.acknowledge_minutes))


def unsilenced(incident: Incident, now: datetime, silence: Silence | None) -> tuple[Incident, Request] | None:
    """A silence that ended while the incident is open: now it pages."""
    if incident.silence is None or incident.state is State.RESOLVED or (silence and not silence.ended_by and now < silence.ends_at):
        return None
    reason = "the silence has ended and this is still open"
    wakes = incident.state is State.OPEN and incident.severity is Severity.PAGE
    return replace(incident, silence=None, since=now), Request(PageKind.REPEAT if wakes else PageKind.NOTE, reason, wakes=wakes)


def next_due(incident: Incident, paging: Paging) -> datetime | None:
    """When `next_page` or `lapsed` will next have something to say if nobody acts."""
    if incident.state is State.RESOLVED or incident.severity is not Severity.PAGE or incident.silence:
        return None
    if incident.state is State.ACKNOWLEDGED:
        return incident.held_until
    repeat = (incident.last_paged_at or incident.opened_at) + _patience(incident, paging)
    steps = [began(incident) + timedelta(minutes=m) for m, _ in paging.escalate[incident.steps :]]
    return min([repeat, *steps])


def _patience(incident: Incident, paging: Paging) -> timedelta:
    """How long a page waits for somebody to acknowledge: less where it woke one person alone."""
    return timedelta(minutes=min(paging.alone_minutes, paging.repeat_minutes) if incident.alone else paging.repeat_minutes)


def began(incident: Incident) -> datetime:
    """When the present call for help began."""
    return incident.since or incident.opened_at


def escalated(incident: Incident, now: datetime, paging: Paging, oncall: tuple[str, ...] = ()) -> int:
    """How many escalation steps are due by now; a step once taken stays. One whose people cannot be reached is followed by the next at once."""
    due = sum(now - began(incident) >= timedelta(minutes=after) for after, _ in paging.escalate)
    steps = max(due, min(incident.steps, len(paging.escalate)))
    while steps < len(paging.escalate) and reaches_nobody(paging, steps, oncall):
        steps += 1
    return steps


def _everybody(paging: Paging, steps: int, oncall: tuple[str, ...]) -> list[str]:
    return [*oncall, *paging.mention, *(m for _, who in paging.escalate[:steps] for m in who)]


def reaches_nobody(paging: Paging, steps: int, oncall: tuple[str, ...] = ()) -> bool:
    """Whether whoever is to be woken after so many steps cannot be reached. Not where nobody is to be woken by name."""
    everybody = _everybody(paging, steps, oncall)
    return bool(everybody) and paging.nobody.issuperset(everybody)


def mentions(paging: Paging, incident: Incident, now: datetime, oncall: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Whom a page wakes: the person on call, then the group too, then everybody added by the steps,
    and after three rounds of the last step, or when none of them can be reached, the whole channel.
    """
    if oncall and incident.pages <= 1 and not incident.steps and not paging.nobody.issuperset(oncall):
        return oncall
    everybody = _everybody(paging, incident.steps, oncall)
    last = paging.escalate[-1][0] if paging.escalate else 0
    over = incident.steps == len(paging.escalate) and now - began(incident) >= timedelta(minutes=last + ROUNDS * paging.repeat_minutes)
    if over or reaches_nobody(paging, incident.steps, oncall):
        everybody.append("channel")
    return tuple(dict.fromkeys(everybody))


def _late(incident: Incident, now: datetime, paging: Paging) -> str:
    due = next_due(incident, paging)
    late = now - due if due else timedelta()
    return f" (late by {minutes(late)}: the monitor was not running)" if late > timedelta(minutes=1) else ""


def minutes(delta: timedelta) -> str:
    """A duration as people say it: 41 s, 5 min, 3 h."""
    seconds = max(0, int(delta.total_seconds()))
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


# --- people --------------------------------------------------------------------------------------


def act(incident: Incident, human: Human, paging: Paging) -> tuple[Incident, tuple[Request, ...]] | str:
    """The incident after what somebody did, or the reason why nothing changed."""
    if human.verb == "reopen":
        return _reopened(incident, human)
    if incident.state is State.RESOLVED:
        when = f"{incident.resolved_at:%Y-%m-%d %H:%M} UTC" if incident.resolved_at else "earlier"
        return f"INC-{incident.id} was resolved by {incident.resolved_by} at {when}"
    match human.verb:
        case "acknowledge" | "hold":
            return _taken(incident, human, human.at + timedelta(minutes=paging.acknowledge_minutes))
        case "escalate":
            return _escalated(incident, human, paging)
        case "resolve":
            return _resolved(incident, human)
    raise ValueError(f"unknown verb {human.verb!r}")


def _taken(incident: Incident, human: Human, until: datetime | None) -> tuple[Incident, tuple[Request, ...]] | str:
    """Somebody has it, or has it still."""
    if incident.state is State.OPEN:
        if incident.severity is not Severity.PAGE:
            until = None  # a notice woke nobody, and is not going to
        taken = replace(
            incident, state=State.ACKNOWLEDGED, acknowledged_by=human.who, acknowledged_at=human.at, held_until=until,
            holder=human.user, silence=None,
        )  # fmt: skip
        return taken, _said(f"{human.who} acknowledged after {minutes(human.at - incident.opened_at)} ({human.via})")
    if human.verb == "acknowledge":
        return f"INC-{incident.id} was already acknowledged by {incident.acknowledged_by}"
    if incident.severity is not Severity.PAGE or until is None:
        return f"INC-{incident.id} is a notice; nobody is asked again"
    return replace(incident, held_until=until), _said(f"{human.who} is still on it, until {until:%H:%M} UTC ({human.via})")


def _escalated(incident: Incident, human: Human, paging: Paging) -> tuple[Incident, tuple[Request, ...]] | str:
    if incident.severity is not Severity.PAGE:
        return f"INC-{incident.id} is a notice; there is nobody to escalate it to"
    step = min(incident.steps + 1, len(paging.escalate))
    raised = replace(incident, state=State.OPEN, steps=step, since=human.at, held_until=None, silence=None)
    said = f"{human.who} escalated to step {step} of {len(paging.escalate)} ({human.via})"
    return raised, (Request(PageKind.REPEAT, said, wakes=True), Request(PageKind.SYNC, said))


def _resolved(incident: Incident, human: Human) -> tuple[Incident, tuple[Request, ...]]:
    cause = ": ".join(filter(None, (human.cause, human.note))) or "no cause given"
    closed = replace(
        incident, state=State.RESOLVED, resolved_by=human.who, resolved_at=human.at, cause=cause, outcome=human.cause,
        held_until=None, silence=None,
    )  # fmt: skip
    return closed, _said(f"{human.who} resolved it ({human.via}): {cause}. {durations(closed)}")


def _reopened(incident: Incident, human: Human) -> tuple[Incident, tuple[Request, ...]] | str:
    if incident.state is not State.RESOLVED or incident.resolved_at is None:
        return f"INC-{incident.id} is not resolved"
    if human.at - incident.resolved_at > REOPEN:
        return f"INC-{incident.id} was resolved more than 24 h ago; a new post opens a new incident"
    again = replace(
        incident, state=State.OPEN, since=human.at, resolved_by="", resolved_at=None, cause="", outcome="", acknowledged_by="",
        acknowledged_at=None, holder="",
    )  # fmt: skip
    said = f"{human.who} reopened it ({human.via})"
    if incident.severity is not Severity.PAGE:
        return again, _said(said)
    return again, (Request(PageKind.REPEAT, said, wakes=True), Request(PageKind.SYNC, said))


def durations(incident: Incident) -> str:
    """Time to acknowledge and to resolve, in words."""
    parts = []
    if incident.acknowledged_at:
        parts.append(f"acknowledged after {minutes(incident.acknowledged_at - incident.opened_at)}")
    if incident.resolved_at:
        parts.append(f"resolved after {minutes(incident.resolved_at - incident.opened_at)}")
    return ", ".join(parts)


def _said(sentence: str) -> tuple[Request, ...]:
    return Request(PageKind.SYNC, sentence), Request(PageKind.NOTE, sentence)
