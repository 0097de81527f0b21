"""What the daemon does. `wiring` makes it, `daemon` runs it, tests play it on a clock they move."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from monitor import desk, drill, health, incidents, journal, lookup, safe, selfcheck, silences, standing
from monitor.background import OneAtATime
from monitor.checkpoints import Checkpoints
from monitor.collector import Collector, listen
from monitor.config import Config, ConfigError
from monitor.deadman import Deadman
from monitor.emergency import Emergency
from monitor.first_sight import FirstSight
from monitor.foreign.sandbox import Sandbox
from monitor.judging import Judge
from monitor.model import Account
from monitor.notifiers.slack.front import Front
from monitor.notifiers.slack.replies import Office
from monitor.observed import Observed
from monitor.oncall import Schedule, said
from monitor.outbox import Outbox
from monitor.pager import Pager
from monitor.pictures import Pictures
from monitor.reads import BLOCK_LIST, PROFILE, SCHEDULE, Reads
from monitor.reloading import Reloading, forget
from monitor.selfcheck import LOOK, SelfCheck
from monitor.sources import interface as incoming
from monitor.sources.interface import Source, SourceError
from monitor.steps import LOGGED, TOLD, Step, Steps, move, pull_in, remember, since_last
from monitor.store import Store
from monitor.tables import AccountTable
from monitor.unwritten import REMEDY_OF_IDS, tell_stop
from monitor.vision import Vision
from monitor.watch import Watch

log = logging.getLogger("monitor.service")

TELL_EVERY = timedelta(seconds=15)
SHOWN = 5  # accounts in a message


def utc_now() -> datetime:
    """The clock of the real world."""
    return datetime.now(UTC)


def _name(table: AccountTable) -> str:
    return f"{table.platform}:{table.handle}"


@dataclass
class Service:
    """What `run` runs. Use `async with wiring.opened(...)`."""

    config: Config
    store: Store
    judge: Judge
    outbox: Outbox
    pager: Pager
    sources: dict[str, Source]
    clock: Callable[[], datetime]
    wake: asyncio.Event
    pictures: Pictures
    check: SelfCheck
    observed: Observed
    sandbox: Sandbox
    reads: Reads
    front: Front | None = None
    oncall: Schedule | None = None
    deadman: Deadman | None = None
    watches: list[Watch] = field(default_factory=list)
    started: datetime = field(default_factory=utc_now)
    pending: list[AccountTable] = field(default_factory=list)
    refused: dict[str, SourceError] = field(default_factory=dict)  # why the id of each of these is not known, by platform and handle
    list_notes: tuple[str, ...] = ()
    collectors: dict[str, Collector] = field(default_factory=dict)
    steps: Steps = field(default_factory=Steps)
    balance: float | None = None
    office: Office | None = None
    wanted: dict[str, datetime] = field(default_factory=dict)  # since when an account that came later is, by platform and handle
    catching_up: OneAtATime = field(default_factory=OneAtATime)  # with a configuration that was reloaded
    emergency: Emergency = field(init=False)
    reloading: Reloading = field(init=False)
    sight: FirstSight = field(init=False)
    checkpoints: Checkpoints = field(init=False)
    x_settings: incoming.Settings | None = None
    _told_at: datetime | None = None
    _reported: dict[str, frozenset[str]] = field(default_factory=dict)
    _swept: dict[str, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.checkpoints = Checkpoints(self.store.path)
        self.sight = FirstSight(self.store, self.clock, self.accounts, self.outbox)
        self.check.parts["rules"] = lambda now: health.said("rules", self.reloading.why, now)
        self.emergency = Emergency(self.config, self.store, self.outbox, self.pager, self.clock, self.wake.set, self._not_written)

    @property
    def broken(self) -> str:
        """Why we have to end, or an empty string."""
        return self.emergency.broken

    def mind_clock(self, monotonic: float, wall: datetime) -> bool:
        """Called twice a second by a clock that nobody sets: whether the other one was set, or we were stopped.

        Raises sqlite3.Error while that cannot be written down: it is tried again with the next call, what is in memory goes on.
        """
        step = self.steps.look(monotonic, wall)
        moved = bool(step.by or step.paused)
        if moved:
            self._step(step)
        self.steps.write(self.store, wall)
        return moved

    def _step(self, step: Step) -> None:
        if abs(step.by) > LOGGED:
            log.warning("the clock was set by %+.1f s, or the machine slept", step.by.total_seconds())
        if step.by < timedelta():
            move(self, step.by, "started", "_told_at")
            self.wanted = {name: when + step.by for name, when in self.wanted.items()}
        for collector in self.collectors.values():
            collector.stepped(step.by)
        self.pager.stepped(step.by)
        self.reads.stepped(step.by + timedelta(seconds=step.paused))
        if self.front and abs(step.by) > TOLD:
            self.front.stepped(step.by)
        ahead = step.by > timedelta() or step.paused > 0
        self.check.stepped(step.by, excused=ahead and self.steps.excuses())
        self.wake.set()

    def recover_clock(self) -> None:
        """At the start: the clock may have been set while we were away."""
        now = self.clock()
        by, known = since_last(self.store, now)
        if by:
            log.warning("the clock was set back by %.0f s while we were away", -by.total_seconds())
            with self.store.transaction():
                self.store.audit(now, "monitor", "clock stepped", "clock", seconds=round(by.total_seconds()))
                for silence in [] if known else self.store.silences(now):  # how much of it is over, nobody can know
                    self.store.end_silence(silence.id, "monitor")
            pull_in(self.store, by, now)
        remember(self.store, now)

    async def watch_accounts(self) -> None:
        """Begin to watch every account by its id; see `look_up` for those whose id is not known yet.

        Raises ConfigError when nothing at all can be watched and waiting would not help.
        """
        self.pager.recover()
        standing.forget_notes(self.store)
        forget(self.store)
        standing.expect(self.reads, self.config, self.store)
        self.balance = standing.balance(self.store)
        self.pending = list(self.config.file.accounts)
        await self.look_up()
        await self.sight.look()
        if not self.watches and self.pending and not self._may_come():
            problem = f"cannot watch anything: {'; '.join(map(self._why, self.pending[:SHOWN]))}"
            await tell_stop(self.config, problem, REMEDY_OF_IDS, (), self.pager.notifiers(), self.clock)
            raise ConfigError(f"accounts: {problem}. {REMEDY_OF_IDS}")

    def _may_come(self) -> bool:
        """Whether waiting helps to learn any id that is not known."""
        return any(_name(t) not in self.refused or self.refused[_name(t)].helps_to_wait for t in self.pending)

    def _why(self, table: AccountTable) -> str:
        return f"@{table.handle}: its id could not be looked up: {self.refused.get(_name(table), 'nobody has been asked yet')}"

    async def look_up(self) -> list[Watch]:
        """Resolve handles to ids, pin them, watch them; returns the new watches.

        A handle that cannot be looked up now holds up no other account: it is tried again, and counts
        as not being watched.
        """
        known = len(self.watches)
        for platform in {table.platform for table in self.pending}:
            tables = [t for t in self.pending if t.platform == platform]
            ids = {t.handle: t.id or self.store.pinned(platform, t.handle) or "" for t in tables}
            unknown = tuple(handle for handle, identifier in ids.items() if not identifier)
            found = await lookup.ids(self.sources[platform], unknown) if unknown else {}
            for table in [t for t in tables if t in self.pending]:  # others may have been looked up, or taken out, meanwhile
                identifier = ids[table.handle] or found[table.handle]
                if isinstance(identifier, SourceError):
                    self.refused[_name(table)] = identifier
                    log.error("%s", self._why(table))
                    continue
                self._watch(table, identifier)
                self.pending.remove(table)
        if self.watches or self._may_come():
            self.sight.want(self.pending)
        if not self.judge.knows(self.accounts()):
            self.judge.know(self.accounts(), self.clock())
        return self.watches[known:]

    def await_ids(self, tables: Iterable[AccountTable]) -> None:
        """These are to be looked up, and no others; whoever has waited before has gone on waiting."""
        before, now = {_name(t): self.wanted.get(_name(t), self.started) for t in self.pending}, self.clock()
        self.pending = list(tables)
        self.wanted = {name: before.get(name, now) for name in map(_name, self.pending)}

    def _watch(self, table: AccountTable, identifier: str) -> None:
        account = lookup.pinned(self.store, self.config, table, identifier, self.clock())
        source = self.sources[table.platform]
        own = self.config.paging_of(table)
        if own:
            self.outbox.special[account.key] = own
        watch = Watch(account, source, self.store, self.judge, self.outbox, self.clock, self.wake.set, self.pictures)
        self.sight.recall(account, added=self.wanted.get(_name(table), self.started) > self.started)
        self.watches.append(watch)
        self.collectors[table.platform].add(watch)

    async def open_streams(self, secrets: Mapping[str, str]) -> None:
        """Find out what tells of posts by itself, and listen to it from the next pulse on."""
        if "x" in self.collectors and self.x_settings:
            await listen(self.collectors["x"], self.config, self.x_settings, secrets, self.judge, self.outbox)

    def accounts(self) -> tuple[Account, ...]:
        """Those whose ids are known."""
        return tuple(w.account for w in self.watches)

    def tells_of_profile(self, key: str) -> bool:
        """Whether a stream tells of every change of this account's profile."""
        collector = self.collectors.get(key.partition(":")[0])
        return collector is not None and key in collector.watches and collector.tells_of_profile(key)

    def listens(self) -> bool:
        """Whether a stream is listened to, or none is wanted."""
        collector = self.collectors.get("x")
        return collector is None or collector.listener is not None or self.config.file.x.push == "none"

    def round(self) -> list[asyncio.Task[None]]:
        """Begin the polls that are due; returns those going on."""
        return [task for collector in self.collectors.values() for task in collector.round()]

    async def pulse(self) -> None:
        """Keep streams open, take in what they said, read what they told of."""
        for collector in self.collectors.values():
            await collector.pulse()

    async def poll(self, watch: Watch) -> None:
        """One read of one account now."""
        await self.collectors[watch.account.platform].poll(watch)

    def _not_written(self) -> tuple[str, ...]:
        """What would have paged and could not be written down."""
        return tuple(dict.fromkeys(words for w in self.watches for words in w.intake.unwritten))

    async def look_at_profiles(self) -> None:
        """What every account looks like, and whether its newest post is known."""
        for collector in self.collectors.values():
            await self._look_at_faces(collector)

    async def _look_at_faces(self, collector: Collector) -> None:
        try:
            await collector.look_at_profiles()
        except sqlite3.Error as error:
            self._swept.pop(collector.platform, None)  # what was seen and not written down is looked at again at once
            self.emergency.cannot_write(error)

    async def sweep(self) -> None:
        """The same, as often as it is worth it."""
        now = self.clock()
        for collector in self.collectors.values():
            last = self._swept.get(collector.platform)
            if last is None or not timedelta() <= now - last < timedelta(
                seconds=collector.sweep_seconds(self.config.file.x.profile_seconds)
            ):
                self._swept[collector.platform] = now
                await self._look_at_faces(collector)

    async def look_at_edits(self) -> None:
        """Approved posts that can still be edited."""
        for collector in self.collectors.values():
            await collector.look_at_edits()

    async def search(self) -> None:
        """Another way to see posts, where polls fail and no stream tells of them."""
        for collector in self.collectors.values():
            await collector.search()

    async def look_at_balance(self) -> None:
        """What is left of the credits, where the platform says it."""
        for source in self.sources.values():
            with contextlib.suppress(SourceError):
                left = await source.balance()
                self.balance = left if left is not None else self.balance

    def tick(self) -> None:
        """Pages that are due; never raises, the next tick tries again."""
        try:
            self.pager.tick()
            if self.emergency.pages_again():
                for watch in self.watches:
                    watch.intake.unwritten = {}
            if self.store.damage.met:
                self.emergency.set_aside()
        except Exception as error:  # noqa: BLE001 - it is logged there
            self.emergency.cannot_page(error)
        if why := self.store.unusable():  # also what only a caller met that goes on without
            self.emergency.stop_for(why)

    def check_health(self) -> None:
        """Open or close the incidents about our own blindness, then tell systemd how it goes. Never raises: no part stops another."""
        now, check = self.clock(), self.check
        try:
            if check.part("reloading", lambda: self.reloading.again(now)):
                self.catch_up()
            check.part("the engine", lambda: check.try_engine(self.config.company, self.judge.rulebook.rules, now=now))
            written = check.part(LOOK, self._look)
            check.part("first sights", self.sight.tick)
            check.part("silences", lambda: silences.expire(self.store, self.outbox, now))
            written = check.part("what was observed", self._flush) or written
            check.part("what `status` says", lambda: self._tell(now))
            check.part("progress", lambda: self._feed(self.pager.ticked_at, self.pager.overdue(now)))
            if check.failing:
                self.emergency.set_aside()
            if check.part("itself", check.tell_failing) or written:
                self.wake.set()
        except sqlite3.Error as error:
            check.cannot_write(error)
            self.emergency.cannot_write(error)
            if self.emergency.unwritten.waits:  # a restart would wait for it as well, and know less
                self._feed(self.clock(), 0)

    def _look(self) -> bool:
        seconds = {name: collector.interval() for name, collector in self.collectors.items()}
        sweeps = (c.sweep_seconds(self.config.file.x.profile_seconds) for c in self.collectors.values())
        self.reads.every[PROFILE.name] = max(sweeps, default=0.0)
        return self.check.look(tuple(self.readings()), seconds)

    def _flush(self) -> bool:
        with contextlib.suppress(sqlite3.Error):  # what was not written is written the next time
            return self.observed.flush()
        return False

    def _tell(self, now: datetime) -> None:
        if self._told_at is None or not timedelta() <= now - self._told_at < TELL_EVERY:
            self._told_at = now
            self.check.audit()
            self._reported = standing.tell(self.store, self.collectors, self.balance, self._reported, self.reads)

    def _feed(self, ticked_at: datetime, overdue: int) -> None:
        now, seconds = self.clock(), [c.interval() for c in self.collectors.values()]
        polls = {w.account.key: w.finished_at for w in self.watches}
        longest = max((*seconds, *(c.rounds.slowly() for c in self.collectors.values())), default=5)
        wrong = health.progressing(polls, ticked_at, overdue, now, longest)
        if wrong:
            log.error("no progress: %s", wrong)
        else:
            journal.notify("WATCHDOG=1\nSTATUS=" + self.status())

    def readings(self) -> Iterator[health.Reading]:
        """How reading every account has gone, those whose id nobody knows yet included."""
        for watch in self.watches:
            account, collector = watch.account, self.collectors[watch.account.platform]
            row = self.store.account(account.key, account.handle)
            told, unseen = collector.proof(account.key), collector.newest.unseen(account.key)
            yield selfcheck.reading(row, account.key, account.name, told, watch.second_look, unseen, watch.intake.began)
        for table in self.pending:
            name = self.config.account(table, "").name
            since = self.wanted.get(_name(table), self.started)
            yield health.Reading(_name(table), name, None, since, 1, self._why(table), "", wanted=since)

    def audit(self) -> tuple[str, ...]:
        """Why whoever waits outside must not be told that all is well."""
        return self.check.audit()

    async def beat(self) -> None:
        """Tell whoever waits outside that all is well, or why not."""
        if self.deadman:
            await self.deadman.beat(self.audit(), self.pager.anchor())

    async def look_at_slack(self) -> None:
        """Whether Slack would take a page now."""
        if self.front:
            await self.front.look()

    async def look_at_schedule(self) -> None:
        """Who is on call."""
        if self.oncall:
            self.outbox.oncall = await self.oncall.now(self.clock())
            self.reads.tried(SCHEDULE, "schedule", "the on-call schedule", ok=not self.oncall.trouble, why=self.oncall.trouble)

    async def begin_drill(self, who: str) -> int:
        """A drill now. Raises DeskError."""
        return await drill.begin(self.store, self.judge, self.outbox, self.clock, self.wake.set, who)

    async def drill_if_due(self) -> None:
        """The drill of the schedule."""
        table, last = self.config.file.drill, drill.last(self.store)
        if table and drill.due(last.opened_at if last else None, self.clock(), table.every_days, table.weekday, table.hour):
            with contextlib.suppress(desk.DeskError):
                await self.begin_drill("the schedule")

    def standing(self) -> list[str]:
        """For people in Slack: what is watched, and how it goes."""
        now = self.clock()
        lines = []
        for r in self.readings():
            lag = f"read {incidents.minutes(now - r.last_ok)} ago" if r.last_ok else "never read so far"
            lines.append(f"{r.name}: {lag}{f', NOT BEING WATCHED: {r.error}' if r.failures else ''}")
        wrong = [f"wrong: {blind.in_words()}: {blind.why}" for blind in self.check.blind]
        wrong += [f"wrong: {symptom.headline}: {symptom.reason}" for symptom in health.symptoms(self.check.vitals)]
        return [*lines, *(wrong or ["all is well"]), *(said(self.store) if self.oncall else ()), f"last drill: {drill.words(self.store)}"]

    def status(self) -> str:
        """One line for systemctl status."""
        open_now = self.store.unresolved()
        said = f"; configuration NOT reloaded: {self.reloading.why}" if self.reloading.why else ""
        return f"watching {len(self.watches)} account(s), {len(open_now)} open incident(s){safe.for_log(said, 500)}"

    async def look_at_lists(self) -> None:
        """Read block lists that changed, beside everything else; say once what is wrong with one."""
        await self.judge.lists.refresh(self.sandbox)
        troubles = self.judge.lists.troubles()
        self.reads.only(BLOCK_LIST, {path: path for path in troubles})
        for path, trouble in troubles.items():
            self.reads.tried(BLOCK_LIST, path, ok=not trouble, why=trouble)
        notes = self.judge.lists.notes(self.clock())
        for note in notes:
            if note not in self.list_notes:
                log.warning("block list: %s", note)
        self.list_notes = notes

    async def look_at_journal(self) -> None:
        """Move what was written into the database itself while nobody writes. Never raises."""
        try:
            await self.checkpoints.look(self.clock())
        except sqlite3.Error as error:
            self.emergency.cannot_write(error)

    async def look_into_pictures(self) -> None:
        """Words and codes in the pictures of open incidents, one post at a time."""
        await Vision(self.store, self.pictures, self.judge, self.outbox, self.clock, self.wake.set).look()

    async def listen(self) -> None:
        """Acknowledgements from the channels."""
        await self.pager.listen()

    def catch_up(self) -> None:
        """What a configuration that was reloaded wants looked up or read. What is begun too late here, the schedule does."""
        if not self.catching_up.busy:
            self.catching_up.begin(self._catch_up(), "catching up with the configuration")

    async def _catch_up(self) -> None:
        await self.look_up()
        await self.look_at_lists()

    def reload(self) -> None:
        """SIGHUP: the configuration whole, or not at all."""
        journal.notify(f"RELOADING=1\nMONOTONIC_USEC={int(asyncio.get_running_loop().time() * 1e6)}")
        if self.reloading.reload(self.clock()):
            self.catch_up()
        journal.notify("READY=1")  # whatever came of it: systemd must not wait for the end of a reload
        with contextlib.suppress(sqlite3.Error):
            journal.notify("STATUS=" + self.status())
