"""Writes down what the pure decisions of `incidents` ask for. Runs inside the caller's transaction.

Written first, sent later: nothing here talks to a channel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from monitor import incidents
from monitor.incidents import Event, Request
from monitor.model import Human, Incident, PageKind, Paging, Severity, State
from monitor.pages import LAST_RESORT
from monitor.store import Store

SYNC_GAP = timedelta(seconds=5)  # the root is edited at most this often while posts pour in
_BROKEN = ("blind:slack", "blind:route-")  # what cannot be told where it is broken
_AS_SHOWN = "before the database was restored, as a message of ours in Slack shows"
_VERBS = {State.ACKNOWLEDGED: "acknowledge", State.RESOLVED: "resolve"}
NOTE_GAP = timedelta(seconds=30)  # and the thread is told of further posts at most this often


class Outbox:
    """Incidents and pages as rows. `special` holds the paging of accounts that have their own.

    `oncall` are the people on call now, where a schedule says so.
    """

    def __init__(self, store: Store, paging: Paging, special: dict[str, Paging] | None = None) -> None:
        self._store = store
        self.usual = paging
        self.special = special if special is not None else {}
        self.oncall: tuple[str, ...] = ()
        self.unreached: Callable[[tuple[str, ...]], frozenset[str]] = lambda _: frozenset()  # on these routes: see `Paging.nobody`
        self.delay = timedelta()  # a witness gives the first monitor so much time
        self.runbook = 0  # messages that tell the runbook file
        self.reads_pictures = False  # whether words and codes in the pictures of an incident are read

    def paging(self, subject: str) -> Paging:
        """Whom, where and when, for an incident of this subject.

        That Slack is broken is told elsewhere; about everything else that is ours, the usual way.
        """
        chosen = self.special.get(incidents.account_of(subject), self.usual)
        if nobody := self.unreached(chosen.routes):
            chosen = replace(chosen, nobody=nobody)
        if subject.startswith(_BROKEN):
            broken = subject.removeprefix("blind:").removeprefix("route-")
            others = tuple(
                r for r in (*chosen.routes, *chosen.fallback) if r != broken and not (broken == "slack" and r.startswith("slack:"))
            )
            return replace(chosen, routes=others or (LAST_RESORT,), fallback=())
        return chosen

    def happened(self, event: Event, now: datetime) -> int:
        """Open or join an incident and write its pages; returns its number."""
        self._close_threads(now)
        unresolved = self._store.unresolved()
        current = next((i for i in unresolved if i.subject == event.subject), None)
        last = self._store.last_resolved(event.subject)
        muted = self._store.muted(event.subject, now - incidents.LONGEST_SILENCE)
        silence = incidents.covering(event, self._store.silences(now), current, muted)
        if current and event.accusation and self._is_accused(current):
            event = replace(event, accusation="")
        outcome = incidents.absorb(event, current, last, unresolved, silence)
        if outcome.overtakes:  # before the insert: one open incident per subject is an index
            self._close(outcome.overtakes, now, "overtaken by a page")
        if silence and event.severity is Severity.PAGE:
            self._store.silenced(silence.id, event.subject)
        number = self._store.save_incident(outcome.incident)
        if number != outcome.incident.id:
            self._store.audit(now, "monitor", "incident opened", f"INC-{number}", reason=event.reason)
        self.say(replace(outcome.incident, id=number), outcome.requests, now, new_posts=True)
        if number != outcome.incident.id:
            self._begin_thread(replace(outcome.incident, id=number), now)
        return number

    def _is_accused(self, incident: Incident) -> bool:
        """Whether a rule has accused one of its posts so that it paged."""
        return any(f.severity is Severity.PAGE for k in self._store.told(incident.id) for f in k.verdict.accusations)

    def _close_threads(self, now: datetime) -> int:
        """Threads about replies whose hour is over; how many."""
        over = [i for i in self._store.unresolved() if incidents.is_over(i, now)]
        for incident in over:
            self._close(incident, now, "its hour is over; the next reply with a picture or video begins another thread")
            self._store.audit(now, "monitor", "hour over", f"INC-{incident.id}")
        return len(over)

    def _begin_thread(self, incident: Incident, now: datetime) -> None:
        """The first answers: what was seen, and what to do. On channels that have threads."""
        kinds = [PageKind.EVIDENCE] if not incident.subject.startswith(incidents.NOT_OF_POSTS) else []
        kinds += [PageKind.RUNBOOK] * self.runbook if incident.severity is Severity.PAGE else []
        for number, kind in enumerate(kinds, 1):
            step = self._store.pages.next_step(incident.id, kind)
            reason = f"part {number - kinds.index(kind)}" if kind is PageKind.RUNBOOK else "the first answers"
            for route in self.paging(incident.subject).routes:
                self._store.pages.enqueue(incident.id, route, kind, reason, now, step=step)

    def act(self, number: int, human: Human) -> str:
        """What somebody did; returns why nothing changed, or an empty string."""
        incident = self._store.incident(number)
        if incident is None:
            return f"there is no INC-{number}"
        newer = self._store.open_incident(incident.subject)
        if human.verb == "reopen" and newer and newer.id != number:
            return f"INC-{newer.id} of the same account is open; use that one"
        result = incidents.act(incident, human, self.paging(incident.subject))
        if isinstance(result, str):
            return result
        self._changed(*result, human.at)
        detail = {"via": human.via, "note": human.note, "cause": human.cause, "user": human.user}
        self._store.audit(
            human.at, human.who, human.verb, f"INC-{number}", **{k: v for k, v in detail.items() if v or k in ("via", "note")}
        )
        return ""

    def _changed(self, changed: Incident, requests: tuple[Request, ...], now: datetime) -> None:
        self._store.save_incident(changed)
        if changed.state is not State.OPEN:
            self._store.pages.cancel_waking(changed.id, self.paging(changed.subject).routes)
        self.say(changed, requests, now)
        if changed.state is State.RESOLVED and changed.subject.startswith("silence:"):
            self._store.end_silence(int(changed.subject.partition(":")[2]), changed.resolved_by)

    def take_over(self, incident: Incident, state: State, at: datetime, now: datetime) -> None:
        """Our own message shows that it came to this state, later than the database knows. What cannot follow stays as it is."""
        if state is incident.state:
            return
        if state is State.OPEN and incident.state is State.ACKNOWLEDGED:  # the acknowledgement ran out, or was taken back
            self._store.save_incident(replace(incident, held_until=min(at, incident.held_until or at)))
        else:
            verb = "reopen" if incident.state is State.RESOLVED else _VERBS[state]
            newer = self._store.open_incident(incident.subject)
            result = incidents.act(incident, Human(verb, "somebody", _AS_SHOWN, at), self.paging(incident.subject))
            if isinstance(result, str) or (newer and newer.id != incident.id):
                return
            self._changed(*result, now)
        self._store.audit(now, "monitor", "taken over", f"INC-{incident.id}", state=state.value, shown_at=str(at))

    def mention(self, number: int, sentence: str, now: datetime) -> None:
        """Say something in the thread of an incident."""
        incident = self._store.incident(number)
        if incident:
            self.say(incident, (Request(PageKind.NOTE, sentence),), now)

    def due(self, now: datetime) -> int:
        """Write the pages that are due because nobody acknowledged; returns how many."""
        written = self._close_threads(now)
        for incident in self._store.unresolved():
            request = self._due(incident, now)
            written += request
        return written

    def _due(self, incident: Incident, now: datetime) -> bool:
        silence = self._store.silence(incident.silence) if incident.silence else None
        if ending := incidents.limited(incident, now, self.paging(incident.subject)):
            self._store.save_incident(ending)
            self._store.audit(now, "monitor", "acknowledgement ends", f"INC-{incident.id}", until=str(ending.held_until))
            incident = ending
        changed = incidents.unsilenced(incident, now, silence) or incidents.lapsed(incident, now)
        if changed:
            incident, request = changed
            self._store.save_incident(incident)
            self._store.audit(now, "monitor", "paging again", f"INC-{incident.id}", reason=request.reason)
            self.say(incident, (request, Request(PageKind.SYNC, request.reason)), now)
            return True
        request_due = incidents.next_page(incident, now, self.paging(incident.subject), self.oncall)
        if request_due:
            self.say(incident, (request_due,), now)
        return request_due is not None

    def say(self, incident: Incident, requests: tuple[Request, ...], now: datetime, *, new_posts: bool = False) -> None:
        """Write messages of an incident for every route; waking ones count as pages of it."""
        paging = self.paging(incident.subject)
        for request in requests:
            if request.wakes:
                steps = incidents.escalated(incident, now, paging, self.oncall) if incident.state is State.OPEN else incident.steps
                incident = replace(incident, last_paged_at=now, pages=incident.pages + 1, steps=steps)
            named = request.wakes or (request.kind is PageKind.SYNC and incident.severity is Severity.PAGE and not incident.silence)
            who = request.to or incidents.mentions(paging, incident, now, self.oncall) if named else ()  # an edit wakes nobody
            if request.wakes:
                alone = not request.to and who == self.oncall and not {*paging.mention} <= {*who}
                incident = replace(incident, alone=alone)
                self._store.save_incident(incident)
            self._write(incident, request, who, now, paging, new_posts=new_posts)

    def _write(self, incident: Incident, request: Request, who: tuple[str, ...], now: datetime, paging: Paging, *, new_posts: bool) -> None:
        loud = request.kind in (PageKind.ROOT, PageKind.REPEAT)
        fallback = now + self.delay + timedelta(seconds=paging.fallback_seconds) if loud and request.wakes else None
        step = self._store.pages.next_step(incident.id, request.kind)
        for route in self._routes(incident, request, paging, new_posts=new_posts):
            self._store.pages.enqueue(
                incident.id, route, request.kind, request.reason, now, who,
                self._when(incident.id, request.kind, now) if new_posts and not loud else now + self.delay,
                fallback if route != LAST_RESORT else None, step,
            )  # fmt: skip

    def _routes(self, incident: Incident, request: Request, paging: Paging, *, new_posts: bool) -> tuple[str, ...]:
        """The account's own; from the first step of escalation, or when nobody can be reached there, the first fallback too; and
        whoever was told, of the outcome.
        """
        routes = paging.routes or paging.fallback[:1] or (LAST_RESORT,)
        lost = request.wakes and incidents.reaches_nobody(paging, incident.steps, self.oncall)
        if lost or (request.kind is PageKind.REPEAT and incident.steps):
            routes += paging.fallback[:1]
        if request.kind is PageKind.SYNC and not new_posts:
            routes += tuple(r for r in self._store.pages.routes_told(incident.id) if r != LAST_RESORT)
        return tuple(dict.fromkeys(routes))

    def _when(self, number: int, kind: PageKind, now: datetime) -> datetime:
        last = self._store.pages.last_sent(number, kind)
        gap = SYNC_GAP if kind is PageKind.SYNC else NOTE_GAP
        return min(max(now, last + gap), now + gap) if last else now  # never longer, though the clock was set back

    def _close(self, notice: Incident, now: datetime, why: str) -> None:
        closed = replace(
            notice, state=State.RESOLVED, resolved_by="monitor", resolved_at=now, cause=why, outcome="over", held_until=None, silence=None
        )
        self._store.save_incident(closed)
        self._store.pages.cancel_waking(closed.id, self.paging(closed.subject).routes)
        self.say(closed, (Request(PageKind.SYNC, why),), now)

    def recovered(self, incident: Incident, now: datetime, sentence: str) -> None:
        """The monitor itself saw that it is over: close it and say so in the thread."""
        self._close(incident, now, sentence)
        self.say(incident, (Request(PageKind.NOTE, sentence),), now)
        self._store.audit(now, "monitor", "recovered", f"INC-{incident.id}", note=sentence)
