"""Writes down what the pure decisions of `incidents` ask for. Runs inside the caller's transaction.

Written first, sent later: nothing here talks to a channel.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from monitor import incidents
from monitor.incidents import Event, Request
from monitor.model import Human, Incident, PageKind, Paging, Severity, State
from monitor.store import LAST_RESORT, Store

SYNC_GAP = timedelta(seconds=5)  # the root is edited at most this often while posts pour in
NOTE_GAP = timedelta(seconds=30)  # and the thread is told of further posts at most this often


class Outbox:
    """Incidents and pages as rows. `routes` are the channels that get every page."""

    def __init__(self, store: Store, routes: tuple[str, ...], paging: Paging) -> None:
        self._store = store
        self._routes = routes or (LAST_RESORT,)
        self._paging = paging

    def happened(self, event: Event, now: datetime) -> int:
        """Open or join an incident and write its pages; returns its number."""
        unresolved = self._store.unresolved()
        current = next((i for i in unresolved if i.subject == event.subject), None)
        last = self._store.last_resolved(event.subject)
        outcome = incidents.absorb(event, current, last, unresolved)
        if outcome.overtakes:  # before the insert: one open incident per subject is an index
            self._close(outcome.overtakes, now, "overtaken by a page")
        number = self._store.save_incident(outcome.incident)
        if number != outcome.incident.id:
            self._store.audit(now, "monitor", "incident opened", f"INC-{number}", reason=event.reason)
        self.say(replace(outcome.incident, id=number), outcome.requests, now, new_posts=True)
        return number

    def act(self, number: int, human: Human) -> str:
        """What somebody did; returns why nothing changed, or an empty string."""
        incident = self._store.incident(number)
        if incident is None:
            return f"there is no INC-{number}"
        result = incidents.act(incident, human)
        if isinstance(result, str):
            return result
        changed, requests = result
        self._store.save_incident(changed)
        self._store.cancel_repeats(number)
        self._store.audit(human.at, human.who, human.verb, f"INC-{number}", via=human.via, note=human.note)
        self.say(changed, requests, human.at)
        return ""

    def due(self, now: datetime) -> int:
        """Write the pages that are due because nobody acknowledged; returns how many."""
        written = 0
        for incident in self._store.unresolved():
            request = incidents.next_page(incident, now, self._paging)
            if request:
                self.say(incident, (request,), now)
                written += 1
        return written

    def say(self, incident: Incident, requests: tuple[Request, ...], now: datetime, *, new_posts: bool = False) -> None:
        """Write messages of an incident for every route; waking ones count as pages of it."""
        for request in requests:
            steps = incidents.escalated(incident, now, self._paging)
            named = request.wakes or (request.kind is PageKind.SYNC and incident.severity is Severity.PAGE)
            who = incidents.mentions(self._paging, steps) if named else ()  # an edit names them, it wakes nobody
            if request.wakes:
                incident = replace(incident, last_paged_at=now, pages=incident.pages + 1, steps=steps)
                self._store.save_incident(incident)
            self._write(incident.id, request, who, now, new_posts=new_posts)

    def _write(self, number: int, request: Request, who: tuple[str, ...], now: datetime, *, new_posts: bool) -> None:
        loud = request.kind in (PageKind.ROOT, PageKind.REPEAT)
        fallback = now + timedelta(seconds=self._paging.fallback_seconds) if loud else None
        for route in self._routes:
            self._store.enqueue(
                number, route, request.kind, request.reason, now, who,
                self._when(number, request.kind, now) if new_posts and not loud else now,
                fallback if route != LAST_RESORT else None,
            )  # fmt: skip

    def _when(self, number: int, kind: PageKind, now: datetime) -> datetime:
        last = self._store.last_sent(number, kind)
        gap = SYNC_GAP if kind is PageKind.SYNC else NOTE_GAP
        return max(now, last + gap) if last else now

    def _close(self, notice: Incident, now: datetime, why: str) -> None:
        closed = replace(notice, state=State.RESOLVED, resolved_by="monitor", resolved_at=now, cause=why)
        self._store.save_incident(closed)
        self._store.cancel_repeats(closed.id)
        self.say(closed, (Request(PageKind.SYNC, why),), now)

    def recovered(self, incident: Incident, now: datetime, sentence: str) -> None:
        """The monitor itself saw that it is over: close it and say so in the thread."""
        self._close(incident, now, sentence)
        self.say(incident, (Request(PageKind.NOTE, sentence),), now)
        self._store.audit(now, "monitor", "recovered", f"INC-{incident.id}", note=sentence)
