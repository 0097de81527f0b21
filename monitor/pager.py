"""Delivers what was written down. The only place that retries.

A page is claimed, sent, and marked sent only after its channel accepted it. When the outcome is
unknown (a timeout after sending, a kill in between) we look for the message at the channel before
sending anything twice.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitor import set_aside
from monitor.announcer import Announcer
from monitor.connection import concerns_file
from monitor.incidents import mentions, next_due
from monitor.model import Page, PageKind, Severity, State
from monitor.notifiers.interface import Letter, Notifier, NotifierError, Refusal
from monitor.outbox import Outbox
from monitor.pages import FAR, LAST_RESORT, not_taken
from monitor.post_rows import Kept
from monitor.reads import Reads
from monitor.responses import Responses
from monitor.steps import move
from monitor.store import Store

log = logging.getLogger("monitor.pager")

BACKOFF_SECONDS = (1, 2, 4, 8, 15)
LOOKS_SECONDS = (3, 7)  # after an unknown outcome: look at 3 s, again 7 s later, for history may lag
UNREADABLE_SECONDS, UNREADABLE_LOOKS = 5, 6  # then a page is sent again: twice is better than never
BURST = 4  # messages at once to one channel; then one a second (Slack's limit)
MOST_AT_ONCE = 8  # a route
DELETED = "the earlier message was deleted"
LOUD = (PageKind.ROOT, PageKind.REPEAT)
ANCHORED = (*LOUD, PageKind.SYNC)  # an edit replaces the anchor of the message too


@dataclass
class _Route:
    """One channel and how fast we may speak to it."""

    notifier: Notifier
    tokens: float = BURST
    filled_at: datetime | None = None
    paused_until: datetime | None = None
    slowed: int = 0  # how often in a row it asked us to slow down without saying for how long

    def may_send(self, now: datetime) -> bool:
        """Take one token if there is one. The last resort is never limited."""
        if self.paused_until and now < self.paused_until < now + FAR:
            return False
        if self.filled_at:
            self.tokens = min(BURST, self.tokens + max(0.0, (now - self.filled_at).total_seconds()))
        self.filled_at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def unsaid_seconds(self) -> float:
        """How long to wait where the channel does not say it: a page comes soon, and does not hammer."""
        self.slowed += 1
        return float(BACKOFF_SECONDS[min(self.slowed, len(BACKOFF_SECONDS)) - 1])


class Pager:
    """Claims, sends, reconciles. `tick` may be called at any time and as often as one likes."""

    def __init__(
        self, store: Store, outbox: Outbox, notifiers: dict[str, Notifier], clock: Callable[[], datetime], reads: Reads
    ) -> None:  # fmt: skip
        self._store, self._outbox, self._clock = store, outbox, clock
        self._routes = {name: _Route(notifier) for name, notifier in notifiers.items()}
        self._sending: dict[tuple[int, str], asyncio.Task[None]] = {}
        self.ticked_at = clock()
        self.announcer: Announcer | None = None
        self.note = ""  # about the buttons, said in every message
        self.anchor: Callable[[], str] = lambda: ""  # see `Letter`
        self.witness: Callable[[Letter, timedelta], Awaitable[bool]] | None = None
        self.responses = Responses(store, outbox, clock, self.notifiers, reads, self.tick, self.reopen)

    def recover(self) -> None:
        """At the daemon's start: what was being sent when we stopped has an unknown outcome."""
        crashed = self._store.pages.crashed_sends(self._clock())
        if crashed:
            log.warning("%d page(s) were being sent when we stopped; looking for them first", crashed)

    def tick(self) -> None:
        """Write what is due, then start a send for every lane that may go. Never waits."""
        now = self._clock()
        with self._store.transaction():
            self._outbox.due(now)
            self._fall_back(now)
        for page in self._store.pages.lanes(now):
            self._start(page, now)
        self.ticked_at = now
        self._announce()

    def _announce(self) -> None:
        """It wakes nobody: a fault of it stops no page. `status` counts what was not announced."""
        if self.announcer is None:
            return
        try:
            self.announcer.tick(busy=bool(self._sending))
        except Exception as error:
            if concerns_file(error):
                raise
            log.exception("registrations were not announced")

    def stepped(self, by: timedelta) -> None:
        """The clock was set."""
        move(self, by, "ticked_at")
        if by < timedelta():
            for route in self._routes.values():
                move(route, by, "filled_at", "paused_until")

    def notifiers(self) -> dict[str, Notifier]:
        """The channels by name."""
        return {name: route.notifier for name, route in self._routes.items()}

    def take(self, notifiers: Mapping[str, Notifier]) -> None:
        """Send by these from now on. What is on its way ends as it began; pages of a route that is no more go to another one."""
        routes = {name: self._routes.get(name) or _Route(notifier) for name, notifier in notifiers.items()}
        for name, notifier in notifiers.items():
            routes[name].notifier = notifier
        self._routes = routes

    async def settle(self) -> None:
        """Wait until nothing is being sent. For stopping, and for tests."""
        while self._sending:
            await asyncio.gather(*self._sending.values(), return_exceptions=True)
        if self.announcer:
            await self.announcer.settle()

    def overdue(self, now: datetime) -> int:
        """Waking pages that should long have been given to another route, and lines the last resort has not written."""
        return len(self._store.pages.unaccepted(now - timedelta(seconds=30))) + self._store.pages.stuck(LAST_RESORT, now)

    def _fall_back(self, now: datetime) -> None:
        """A waking page that its channel has not accepted in time goes to the next route too."""
        for page in self._store.pages.unaccepted(now):
            self._hand_on(page, now)

    def _hand_on(self, page: Page, now: datetime) -> None:
        """To the next route; the page itself keeps being tried. Not when somebody has it by now.

        The same step is never twice on a route: its key is there already then.
        """
        self._store.pages.handed_on(page.id)
        incident = self._store.incident(page.incident)
        if incident is None or incident.state is not State.OPEN or page.route == LAST_RESORT:
            return
        paging = self._outbox.paging(incident.subject)
        wakes = incident.severity is Severity.PAGE and (incident.silence is None or incident.pages > 0)
        chain = (*paging.fallback, LAST_RESORT) if wakes else (LAST_RESORT,)  # a notice wakes nobody by another way
        if page.route not in self._routes:  # taken out of the configuration: where its pages go now
            chain = tuple(r for r in (*paging.routes, *chain) if r == LAST_RESORT or not self._store.pages.is_there(page.step, r))
        route = chain[chain.index(page.route) + 1] if page.route in chain else chain[0]
        later = None if route == LAST_RESORT else now + timedelta(seconds=paging.fallback_seconds)
        reason = not_taken(page.route, page.reason)
        self._store.pages.enqueue(page.incident, route, page.kind, reason, now, page.mentions, None, later, page.step)

    # --- one page ----------------------------------------------------------------------------------

    def _start(self, page: Page, now: datetime) -> None:
        lane, route = (page.incident, page.route), self._routes.get(page.route)
        if lane in self._sending or sum(r == page.route for _, r in self._sending) >= MOST_AT_ONCE:
            return
        if route is None:  # it was taken out of the configuration
            with self._store.transaction():
                self._store.pages.move(page.id, ("ready", "sending", "unknown"), "dead", last_error="no such route any more")
                if page.kind in LOUD:
                    self._hand_on(page, now)
            return
        if page.state == "sending":  # by nobody: its outcome could not be written down
            look = now + timedelta(seconds=LOOKS_SECONDS[0])
            self._store.pages.move(page.id, ("sending",), "unknown", next_at=look, looks=0)
            return
        if page.route != LAST_RESORT and not route.may_send(now):
            return
        task = asyncio.create_task(self._advance(page, route), name=f"page {page.key}")
        self._sending[lane] = task
        task.add_done_callback(lambda _: self._sending.pop(lane, None))

    async def _advance(self, page: Page, route: _Route) -> None:
        """Move one page on; whatever happens, it stays in the store and is tried again."""
        try:
            if page.state == "unknown":
                await self._look(page, route)
            elif self._claim(page):
                await self._send(page, route)
        except sqlite3.Error:
            log.exception("page %s: the store failed", page.key)
        except Exception as error:
            # A bug of ours, perhaps in the wording: look whether it went out, then send it plain.
            log.exception("page %s: unexpected", page.key)
            if page.plain and page.state == "ready":
                set_aside.letter(self._store, self._outbox, page, type(error).__name__, self._clock())
                return
            if page.state == "unknown":  # looking for it breaks: no reason never to send it again
                self._cannot_look(page, NotifierError(Refusal.UNKNOWN, "it could not be looked for"), self._clock())
                return
            look = self._clock() + timedelta(seconds=LOOKS_SECONDS[0])
            self._store.pages.move(page.id, ("sending",), "unknown", next_at=look, plain=1)

    def _claim(self, page: Page) -> bool:
        return self._store.pages.move(page.id, ("ready",), "sending", attempts=page.attempts + 1)

    async def _send(self, page: Page, route: _Route) -> None:
        try:
            letter = self._letter(page)
            if self.witness and await self._is_covered(letter, self.witness):
                self._store.pages.move(page.id, ("sending",), "superseded", last_error="the first monitor has told of it")
                return
            receipt = await route.notifier.send(letter)
        except NotifierError as error:
            self._refused(page, route, error)
        else:
            route.slowed = 0
            self._delivered(page, receipt)

    async def _is_covered(self, letter: Letter, witness: Callable[[Letter, timedelta], Awaitable[bool]]) -> bool:
        """We are the second monitor: what the first has told is not told again. When that cannot be known, it is told."""
        if letter.page.kind not in LOUD:  # said only where we have said something
            return letter.page.route not in self._store.pages.routes_told(letter.incident.id)
        paging = self._outbox.paging(letter.incident.subject)
        try:
            return await witness(letter, timedelta(minutes=paging.repeat_minutes) + 2 * self._outbox.delay)
        except NotifierError as error:
            log.warning("whether the first monitor has paged is not known: %s", error)
            return False

    def _delivered(self, page: Page, receipt: str) -> None:
        was = ("sending", "unknown")
        with self._store.transaction():
            self._store.pages.move(page.id, was, "sent", receipt=receipt, sent_at=self._clock(), last_error="", fallback_at=None)
            if page.kind is PageKind.ROOT:  # it says how things are now, and wakes whoever the repeats would
                self._store.pages.caught_up(page.incident, page.route)
        log.info("page %s accepted", page.key)

    def _refused(self, page: Page, route: _Route, error: NotifierError) -> None:
        """What each refusal means. No failure is final for a page; it only changes route."""
        now = self._clock()
        log.warning("page %s: %s (%s)", page.key, error, error.refusal.value)
        wait = timedelta(seconds=BACKOFF_SECONDS[min(page.attempts, len(BACKOFF_SECONDS) - 1)])
        match error.refusal:
            case Refusal.SLOW_DOWN:
                route.paused_until = now + timedelta(seconds=error.retry_after or route.unsaid_seconds())
                self._again(page, route.paused_until, error)
            case Refusal.NOT_ACCEPTED:
                self._again(page, now + wait, error)
            case Refusal.UNKNOWN:
                look = now + timedelta(seconds=LOOKS_SECONDS[0])
                self._store.pages.move(page.id, ("sending",), "unknown", next_at=look, looks=0, last_error=str(error))
            case Refusal.CREDENTIALS | Refusal.DESTINATION:
                with self._store.transaction():
                    self._again(page, now + timedelta(seconds=max(15.0, error.retry_after)), error)
                    if page.kind in LOUD:
                        self._hand_on(page, now)
            case Refusal.CONTENT:
                self._content(page, error, now)
            case Refusal.LOST:
                self._lost(page, error, now)
            case Refusal.ALONE:
                self._begins_anew(page, error.receipt)

    def _again(self, page: Page, when: datetime, error: NotifierError) -> None:
        self._store.pages.move(page.id, ("sending",), "ready", next_at=when, last_error=str(error))

    def _content(self, page: Page, error: NotifierError, now: datetime) -> None:
        """Refused for what it says: once more in plain words, then the last resort."""
        if not page.plain:
            self._store.pages.move(page.id, ("sending",), "ready", plain=1, next_at=now, last_error=str(error))
            return
        with self._store.transaction():
            self._store.pages.move(page.id, ("sending",), "dead", last_error=str(error))
            if page.kind in LOUD:
                self._hand_on(page, now)

    def _lost(self, page: Page, error: NotifierError, now: datetime) -> None:
        """The thread is gone (deleted at the channel): this page opens a new one."""
        with self._store.transaction():
            self._store.pages.move(page.id, ("sending",), "superseded", last_error=str(error))
            if page.kind is not PageKind.REDACT:  # what was to be taken out of it is gone with it
                self._open(page.incident, page.route, f"{DELETED}; {page.reason}", page.mentions, now)

    def reopen(self, number: int, route: str) -> None:
        """The first message was deleted: it is posted again, unless the incident is over."""
        with self._store.transaction():
            incident = self._store.incident(number)
            if incident and incident.state is not State.RESOLVED:
                self._open(number, route, DELETED, (), self._clock())

    def _open(self, number: int, route: str, reason: str, who: tuple[str, ...], now: datetime) -> None:
        """A new first message, which also wakes whom an open incident would wake now: the one that woke them is gone.

        The threads below earlier ones are still read: they may go on.
        """
        incident = self._store.incident(number)
        if incident is None or self._store.pages.is_opening(number, route):
            return
        paging = self._outbox.paging(incident.subject)
        wakes = incident.state is State.OPEN and incident.severity is Severity.PAGE and incident.silence is None
        who = who or (mentions(paging, incident, now, self._outbox.oncall) if wakes else ())
        fallback = now + timedelta(seconds=paging.fallback_seconds) if who else None
        self._store.pages.enqueue(number, route, PageKind.ROOT, reason, now, who, None, fallback)

    def _begins_anew(self, page: Page, receipt: str) -> None:
        """It was accepted and stands below nothing: it is the first message now, and gets what one has."""
        with self._store.transaction():
            self._delivered(page, receipt)
            self._store.pages.begins(page.id)
            self._store.pages.enqueue(page.incident, page.route, PageKind.SYNC, DELETED, self._clock())

    # --- unknown outcomes ---------------------------------------------------------------------------

    async def _look(self, page: Page, route: _Route) -> None:
        """Sent or not? Edits are simply made again; messages are looked for at the channel."""
        now = self._clock()
        if page.kind in (PageKind.SYNC, PageKind.REDACT):
            self._store.pages.move(page.id, ("unknown",), "ready", next_at=now)
            return
        try:
            receipt = await route.notifier.find(self._letter(page))
        except NotifierError as error:
            if error.refusal is Refusal.ALONE:
                self._begins_anew(page, error.receipt)
            else:
                self._cannot_look(page, error, now)
            return
        if receipt:
            self._delivered(page, receipt)
        elif page.looks + 1 < len(LOOKS_SECONDS):
            again = now + timedelta(seconds=LOOKS_SECONDS[page.looks + 1])
            self._store.pages.move(page.id, ("unknown",), "unknown", looks=page.looks + 1, next_at=again)
        else:
            self._store.pages.move(page.id, ("unknown",), "ready", looks=0, next_at=now)

    def _cannot_look(self, page: Page, error: NotifierError, now: datetime) -> None:
        """The history cannot be read either. After half a minute of trying a page is sent again."""
        if page.looks + 1 >= UNREADABLE_LOOKS:
            self._store.pages.move(page.id, ("unknown",), "ready", looks=0, next_at=now, last_error=str(error))
        else:
            again = now + timedelta(seconds=UNREADABLE_SECONDS)
            self._store.pages.move(page.id, ("unknown",), "unknown", looks=page.looks + 1, next_at=again, last_error=str(error))

    # --- wording -------------------------------------------------------------------------------------

    def _letter(self, page: Page) -> Letter:
        """The page with the incident as it is now, so that a late page never says old things."""
        incident = self._store.incident(page.incident)
        if incident is None:
            raise LookupError(f"page {page.key} belongs to no incident")
        posts: list[Kept]
        if page.kind is PageKind.NOTE:
            with self._store.transaction():
                posts = self._store.note_posts(incident.id, page.id)
        else:
            posts = self._store.told(incident.id)
        paging = self._outbox.paging(incident.subject)
        rest = paging.escalate[incident.steps :]
        root, root_key = self._store.pages.thread(incident.id, page.route)
        silence = self._store.silence(incident.silence) if incident.silence else None
        return Letter(
            page, incident, tuple(posts), self._clock(), root, next_due(incident, paging), ", ".join(rest[0][1]) if rest else "",
            root_key, silence.ends_at if silence else None, self.note, self.anchor() if page.kind in ANCHORED else "",
        )  # fmt: skip

    # --- people ---------------------------------------------------------------------------------------

    async def listen(self) -> None:
        """What people did in the threads of unresolved incidents; acknowledgements count at once."""
        await self.responses.listen()
