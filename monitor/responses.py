"""What people answer in the threads of open incidents: read in turn, acted on once, and answered where nothing was done.

A channel lets us read so many threads a minute. Every thread gets its turn, those that wake people now more often.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from monitor.model import Human, PageKind, State
from monitor.notifiers.interface import Notifier, NotifierError, Refusal
from monitor.outbox import Outbox
from monitor.reads import THREAD, Reads
from monitor.store import Store

log = logging.getLogger("monitor.pager")

A_SECOND = 0.7  # threads of one workspace: Slack takes 50 calls of conversations.replies a minute (Tier 3), and longer threads take several
BURST = 8
UNREAD_SECONDS = 120.0  # as long a thread that was never read has waited
FIRST = ((1, 6), (5, 3), (15, 2))  # up to which rank a thread counts for how many others
AT_ONCE = 4  # a channel that does not answer holds up so many
STRIKES = 2  # "slow down" for one thread may be about that one, for two it is about us
GONE_LOOKS = 2  # a thread just begun may not be shown yet
REOPEN = timedelta(minutes=1)
CLOCKS_AGREE = timedelta(minutes=2)
NOT_DONE = ("unclear", "talk", "refused")  # answers that changed nothing, see `Human`
NOTHING_DONE = "nothing was done for this"
MOST_ANSWERS = 10  # an incident and route: whoever floods a thread must not make us flood it too


@dataclass(frozen=True, slots=True)
class Thread:
    """The thread below one first message. `newest` is false where a later one has taken its place."""

    incident: int
    route: str
    root: str
    newest: bool

    @property
    def name(self) -> str:
        """What people call it."""
        return f"INC-{self.incident}" if self.route == "slack" else f"INC-{self.incident} on {self.route}"

    @property
    def service(self) -> str:
        """What it counts against: all channels of a workspace together."""
        return self.route.partition(":")[0]


@dataclass
class Turns:
    """Whose turn it is, for one service."""

    tokens: float = BURST
    looked_at: datetime | None = None
    read_at: dict[Thread, datetime] = field(default_factory=dict)
    _before: dict[Thread, datetime] = field(default_factory=dict)  # the same before those were chosen whose turn it is

    def next(self, threads: list[Thread], now: datetime) -> list[Thread]:
        """Which of these to read now; they come with those first that wake people now, the newest before others.

        Whoever has waited longest, the first ones counting several times: with fifty, these are read every 20 to 60 s, others every 105 s.
        """
        seconds = max(0.0, (now - self.looked_at).total_seconds()) if self.looked_at else 0.0
        self.looked_at = now
        self.tokens = min(max(BURST, A_SECOND * seconds), self.tokens + A_SECOND * seconds)
        self.read_at = {t: self.read_at[t] for t in threads if t in self.read_at}
        waited = {t: (now - self.read_at[t]).total_seconds() if t in self.read_at else UNREAD_SECONDS for t in threads}
        order = sorted(range(len(threads)), key=lambda n: (-waited[threads[n]] * _weight(n), n))
        chosen = [threads[n] for n in order[: int(self.tokens)]]
        self.tokens -= len(chosen)
        self._before = dict(self.read_at)
        self.read_at |= dict.fromkeys(chosen, now)
        return chosen

    def put_back(self, thread: Thread) -> None:
        """It was not read after all, and has waited since its last read."""
        self.tokens += 1
        self.read_at = {t: when for t, when in self.read_at.items() if t != thread}
        if before := self._before.get(thread):
            self.read_at[thread] = before


def _weight(rank: int) -> int:
    return next((weight for most, weight in FIRST if rank < most), 1)


class Responses:
    """`tick` delivers what was written, `reopen` writes a new first message for an incident on a route."""

    def __init__(
        self, store: Store, outbox: Outbox, clock: Callable[[], datetime], notifiers: Callable[[], Mapping[str, Notifier]], reads: Reads,
        tick: Callable[[], None], reopen: Callable[[int, str], None],
    ) -> None:  # fmt: skip
        self._store, self._outbox, self._clock, self._notifiers = store, outbox, clock, notifiers
        self._reads, self._tick, self._reopen = reads, tick, reopen
        self._turns: dict[str, Turns] = {}
        self._paused: dict[str, datetime] = {}  # services that asked us to slow down
        self._strikes: dict[str, int] = {}
        self._listened_at: datetime | None = None
        self._gone: dict[Thread, int] = {}
        self._reopened: dict[tuple[int, str], datetime] = {}

    async def listen(self) -> None:
        """Read the threads whose turn it is; acknowledgements count at once. One that cannot be read holds up no other."""
        now, threads, gate = self._clock(), self._threads(), asyncio.Semaphore(AT_ONCE)
        self._reads.only(THREAD, {t.name: t.name for t in threads if t.newest})
        between = (now - self._listened_at).total_seconds() if self._listened_at else 0.0
        self._reads.every[THREAD.name], self._listened_at = max(UNREAD_SECONDS, between, len(threads) / A_SECOND), now
        chosen: list[Thread] = []
        for service in {t.service for t in threads}:
            if timedelta() < self._paused.get(service, now) - now < timedelta(minutes=10):
                continue
            self._strikes[service] = 0
            chosen += self._turns.setdefault(service, Turns()).next([t for t in threads if t.service == service], now)
        await asyncio.gather(*(self._read(thread, gate) for thread in chosen))

    def _threads(self) -> list[Thread]:
        """Of all that is not resolved: those first whose incident wakes people, of these the newest."""
        rank = {i.id: (i.state is not State.OPEN, -i.severity, -i.id) for i in self._store.unresolved()}
        first: dict[tuple[int, str], str] = {}
        found = []
        for incident, route, root in self._store.pages.threads():
            newest = first.setdefault((incident, route), root) == root
            if incident in rank and route in self._notifiers():
                found.append(Thread(incident, route, root, newest))
        return sorted(found, key=lambda t: (not t.newest, *rank[t.incident]))

    async def _read(self, thread: Thread, gate: asyncio.Semaphore) -> None:
        async with gate:
            if self._strikes[thread.service] >= STRIKES:
                self._turns[thread.service].put_back(thread)
                return
            try:
                self._take(thread, await self._said(thread))
            except Exception:
                log.exception("INC-%d: what was said in its thread could not be taken in; it is read again", thread.incident)

    async def _said(self, thread: Thread) -> tuple[Human, ...]:
        """What people did there; of a thread that was read in part, in that part."""
        try:
            humans = await self._notifiers()[thread.route].humans(thread.root)
        except NotifierError as error:
            self._cannot_read(thread, error)
            return error.heard
        self._gone.pop(thread, None)
        self._note(thread)
        return humans

    def _note(self, thread: Thread, why: str = "") -> None:
        if thread.newest:
            self._reads.tried(THREAD, thread.name, ok=not why, why=why)

    def _cannot_read(self, thread: Thread, error: NotifierError) -> None:
        log.warning("INC-%d: the thread could not be read: %s", thread.incident, error)
        self._note(thread, str(error))
        if error.refusal is Refusal.LOST:
            self._gone[thread] = self._gone.get(thread, 0) + 1
            if self._gone[thread] >= GONE_LOOKS:
                self._is_gone(thread)
        elif error.refusal is Refusal.SLOW_DOWN:
            self._strikes[thread.service] += 1
            if self._strikes[thread.service] >= STRIKES:
                self._paused[thread.service] = self._clock() + timedelta(seconds=max(2.0, error.retry_after))

    def _is_gone(self, thread: Thread) -> None:
        """Somebody deleted the first message: another takes its place, so that there is something to acknowledge."""
        now, where = self._clock(), (thread.incident, thread.route)
        if not thread.newest:
            with self._store.transaction():
                self._store.pages.forget_thread(thread.incident, thread.root)
        elif not timedelta() <= now - self._reopened.get(where, now - REOPEN) < REOPEN:
            self._reopened[where] = now
            log.warning("INC-%d: its message was deleted; it is posted again", thread.incident)
            self._reopen(thread.incident, thread.route)
            self._tick()

    def _take(self, thread: Thread, humans: tuple[Human, ...]) -> None:
        if not humans:
            return
        for human in humans:
            if human.verb not in (*NOT_DONE, "deleted"):
                self._heard(thread.incident, human)
        self._answer(thread.incident, thread.route, [h for h in humans if h.verb in NOT_DONE])
        if thread.newest and any(h.verb == "deleted" for h in humans):
            self._is_gone(thread)
        self._tick()

    def _answer(self, number: int, route: str, humans: list[Human]) -> None:
        """Say once in the thread that an answer did nothing, and what to write.

        Whatever looks like a try is answered. Other talk is, once for each person, while nobody has acknowledged: then it may
        have been meant as one; later people talk there about what they do. So are reactions. One answer for everything that came
        since the last look.
        """
        now, heard = self._clock(), dict[tuple[str, str], list[str]]()
        with self._store.transaction():
            incident = self._store.incident(number)
            for human in humans:
                key = f"talk:{number}:{human.user}" if human.verb == "talk" else human.key
                aside = human.verb == "talk" or "reaction" in human.via
                if incident is None or (aside and incident.state is not State.OPEN):
                    continue
                if self._store.receive(key, key, "thread", human.verb, now):
                    self._store.done(key, now, human.note)
                    heard.setdefault(("reaction" if "reaction" in human.via else "reply", human.note), []).append(human.who)
            if heard and self._store.pages.count(number, route, NOTHING_DONE) < MOST_ANSWERS:
                said = "; ".join(f"{', '.join(dict.fromkeys(who))}: {NOTHING_DONE} {what}: {why}" for (what, why), who in heard.items())
                self._store.pages.enqueue(number, route, PageKind.NOTE, said, now)

    def _heard(self, number: int, human: Human) -> None:
        """Act once on what somebody wrote or reacted; the thread is read again and again."""
        now = self._clock()
        if abs(now - human.at) > CLOCKS_AGREE:  # an acknowledgement counts from when it was heard, not by another's clock
            human = replace(human, at=now)
        with self._store.transaction():
            if not self._store.receive(human.key, human.key, "thread", human.verb, now):
                return
            refused = self._outbox.act(number, human)
            self._store.done(human.key, now, refused or human.verb)
        if not refused:
            log.info("INC-%d: %s by a reply or reaction", number, human.verb)
