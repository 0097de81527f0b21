"""The daemon's whole life on one screen: wiring, schedule, signals, systemd. Imports apscheduler.

Everything the schedule calls is a method that a test can call too, on a clock it moves.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import importlib
import logging
import os
import signal
import sqlite3
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

import aiohttp

from monitor import health, incidents, journal, notifiers, record, rulebook, sources, vision
from monitor.blocklists import Blocklists
from monitor.config import AccountTable, Config, ConfigError, options
from monitor.incidents import Request
from monitor.model import PageKind, Profile
from monitor.notifiers import interface as outgoing
from monitor.outbox import Outbox
from monitor.pager import Pager
from monitor.pictures import Pictures
from monitor.sources import interface as incoming
from monitor.sources.interface import Source, SourceError
from monitor.store import LAST_RESORT, Store
from monitor.vision import Vision
from monitor.watch import Judge, Watch

log = logging.getLogger("monitor.service")

TICK_SECONDS = 1
HEALTH_SECONDS = 5
LOOK_UP_SECONDS = 30
BROKEN_SECONDS = 60
LISTS_SECONDS = 60
PICTURES_SECONDS = 2
JOB = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}  # late instead of never


def utc_now() -> datetime:
    """The clock of the real world."""
    return datetime.now(UTC)


def build_edge(package: Any, name: str, settings: Any, secrets: Mapping[str, str]) -> Any:
    """The module's `build`, found by name. Raises ConfigError when a secret or a file of it is missing."""
    module = importlib.import_module(f"{package.__name__}.{name}")
    try:
        return module.build(settings, secrets)
    except KeyError as error:
        secret = str(error.args[0])
        raise ConfigError(
            f"{name}: the secret {secret} is missing: give it as the systemd credential {secret} or in the environment as {secret.upper()}"
        ) from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"{name}: {error}") from error


def http_session() -> aiohttp.ClientSession:
    """One session and TLS context for every edge; proxies and certificate bundles from the environment."""
    context = ssl.create_default_context(cafile=os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE"))
    connector = aiohttp.TCPConnector(ssl=context, limit=100, ttl_dns_cache=60)
    timeout = aiohttp.ClientTimeout(total=10, sock_connect=5)
    return aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=True)


@dataclass
class Service:
    """What `run` runs. Use `async with opened(...)`."""

    config: Config
    store: Store
    judge: Judge
    outbox: Outbox
    pager: Pager
    sources: dict[str, Source]
    clock: Callable[[], datetime]
    wake: asyncio.Event
    pictures: Pictures
    watches: list[Watch] = field(default_factory=list)
    started: datetime = field(default_factory=utc_now)
    broken: str = ""
    pending: list[AccountTable] = field(default_factory=list)
    pending_may_come: bool = False
    pending_why: str = ""
    list_notes: tuple[str, ...] = ()

    async def watch_accounts(self) -> None:
        """Begin to watch every account by its id; see `look_up` for those whose id is not known yet.

        Raises ConfigError when nothing at all can be watched and waiting would not help.
        """
        self.pager.recover()
        self.pending = list(self.config.file.accounts)
        await self.look_up()
        if not self.watches and self.pending and not self.pending_may_come:
            raise ConfigError(f"accounts: {self.pending_why}")

    async def look_up(self) -> list[Watch]:
        """Resolve handles to ids, pin them, watch them; returns the new watches.

        A handle that cannot be looked up now holds up no other account: it is tried again, and counts
        as not being watched.
        """
        known = len(self.watches)
        for table in list(self.pending):
            try:
                identifier = table.id or self.store.pinned(table.platform, table.handle)
                identifier = identifier or await self.sources[table.platform].resolve(table.handle)
            except SourceError as error:
                self.pending_may_come = error.helps_to_wait
                self.pending_why = f"@{table.handle}: its id could not be looked up: {error}"
                log.error("%s", self.pending_why)  # noqa: TRY400 - the message says it all
                continue
            self._watch(table, identifier)
            self.pending.remove(table)
        if len(self.watches) > known or not self.judge.digest:
            self.judge.know(tuple(w.account for w in self.watches), self.clock())
        return self.watches[known:]

    def _watch(self, table: AccountTable, identifier: str) -> None:
        with self.store.transaction():
            if not table.id and not self.store.pinned(table.platform, table.handle):
                self.store.pin(table.platform, table.handle, identifier)
        account, source = self.config.account(table, identifier), self.sources[table.platform]
        self.watches.append(Watch(account, source, self.store, self.judge, self.outbox, self.clock, self.wake.set, self.pictures))

    async def poll(self, watch: Watch) -> float:
        """One read of one account; returns in how many seconds the next one should be."""
        seconds = self.config.poll_seconds(watch.account.platform)
        now = self.clock()
        if watch.retry_at and watch.retry_at > now:
            watch.finished_at = now
            return seconds
        try:
            batch = await watch.poll()
        except sqlite3.Error as error:
            if _busy(error):
                log.warning("the database is busy; reading again", extra={"account": watch.account.key})
            else:
                await self._cannot_write(watch, error)
            return seconds
        return stretched(seconds, batch.limit if batch else None, len(self.watches), now)

    async def _cannot_write(self, watch: Watch, error: sqlite3.Error) -> None:
        """The disk is full or the file is broken: say it from memory, then stop for systemd."""
        if self.broken:
            return  # it has been said
        log.critical("cannot write: %s", error, extra={"account": watch.account.key})
        text = (
            f"🔴 hijack-monitor cannot write to {self.store.path} ({error}) and stops. Look at {watch.account.name} "
            f"yourself, free the disk, restart the monitor. Not written down: {'; '.join(watch.unwritten[:5]) or 'nothing that would page'}"
        )
        for name, route in self.pager.notifiers().items():
            with contextlib.suppress(outgoing.NotifierError):
                await route.shout(text)
                log.info("told %s", name)
        self.broken = f"cannot write to {self.store.path}: {error}"
        self.wake.set()

    async def look_at_profiles(self) -> None:
        """What every account looks like, a hundred at a time."""
        for platform, source in self.sources.items():
            watches = {w.account.key: w for w in self.watches if w.account.platform == platform}
            try:
                faces = await source.profiles(tuple(w.account for w in watches.values()))
            except SourceError as error:
                log.warning("profiles of %s not read: %s", platform, error)
                continue
            for key, profile in faces.found.items():
                if isinstance(profile, Profile):
                    watches[key].accept_profile(profile, faces.bodies)
                else:
                    log.warning("profile not visible: %s", profile, extra={"account": key})

    def tick(self) -> None:
        """Pages that are due; never raises, the next tick tries again."""
        try:
            self.pager.tick()
        except sqlite3.Error as error:
            if _busy(error):
                return
            log.critical("cannot write: %s", error)
            self.broken = f"cannot write to {self.store.path}: {error}"

    def check_health(self) -> None:
        """Open or close the incidents about our own blindness, then tell systemd how it goes."""
        now = self.clock()
        readings = tuple(self.readings())
        seconds = {platform: self.config.poll_seconds(platform) for platform in self.sources}
        with self.store.transaction():
            found = health.blindness(readings, now, self.started, seconds)
            for blindness in found:
                self._blind(blindness, now)
            self._seeing(readings, {b.subject for b in found}, now)
        polls = {w.account.key: w.finished_at for w in self.watches}
        longest = max((self.config.poll_seconds(w.account.platform) for w in self.watches), default=5)
        wrong = health.progressing(polls, self.pager.ticked_at, self.pager.overdue(now), now, longest)
        if wrong:
            log.error("no progress: %s", wrong)
        else:
            journal.notify("WATCHDOG=1\nSTATUS=" + self.status())

    def _blind(self, blindness: health.Blindness, now: datetime) -> None:
        """Open the incident, or page again for accounts that it does not name yet."""
        incident = next((i for i in self.store.unresolved() if i.subject == blindness.subject), None)
        if incident is None:
            self.outbox.happened(blindness.event(now), now)
            self.wake.set()
        elif len(incident.hosts) < incidents.KEPT and (more := [n for n in blindness.names if n not in incident.hosts]):
            grown = replace(incident, hosts=(*incident.hosts, *more))
            self.outbox.say(grown, (Request(PageKind.REPEAT, f"now not being watched either: {', '.join(more)}", wakes=True),), now)
            self.wake.set()

    def _seeing(self, readings: tuple[health.Reading, ...], blind: set[str], now: datetime) -> None:
        """Close what is over."""
        for incident in self.store.unresolved():
            if incident.subject.startswith("blind:") and incident.subject not in blind:
                sentence = health.recovered(incident.hosts, incident.opened_at, readings, now)
                if sentence:
                    self.outbox.recovered(incident, now, sentence)
                    self.wake.set()

    def readings(self) -> Iterator[health.Reading]:
        """How reading every account has gone, those whose id nobody knows yet included."""
        for watch in self.watches:
            account = watch.account
            row = self.store.account(account.key, account.handle)
            last_ok, since = record.moment(row["last_ok"]), record.moment(row["failing_since"])
            yield health.Reading(
                account.key, account.name, last_ok, since, row["failures"], row["last_error"] or "", row["error_kind"] or ""
            )
        for table in self.pending:
            name = self.config.account(table, "").name
            yield health.Reading(f"{table.platform}:{table.handle}", name, None, self.started, 1, self.pending_why, "")

    def status(self) -> str:
        """One line for systemctl status."""
        open_now = self.store.unresolved()
        return f"watching {len(self.watches)} account(s), {len(open_now)} open incident(s)"

    def look_at_lists(self) -> None:
        """Read block lists that changed; say once what is wrong with one."""
        self.judge.lists.refresh()
        notes = self.judge.lists.notes(self.clock())
        for note in notes:
            if note not in self.list_notes:
                log.warning("block list: %s", note)
        self.list_notes = notes

    async def look_into_pictures(self) -> None:
        """Words and codes in the pictures of open incidents, one post at a time."""
        await Vision(self.store, self.pictures, self.judge, self.outbox, self.clock, self.wake.set).look()

    async def listen(self) -> None:
        """Acknowledgements from the channels."""
        await self.pager.listen()

    def reload(self) -> None:
        """SIGHUP: the rules whole, or not at all."""
        journal.notify(f"RELOADING=1\nMONOTONIC_USEC={int(asyncio.get_running_loop().time() * 1e6)}")
        try:
            book = load_rules(self.config)
        except rulebook.RuleError as error:
            log.error("rules not reloaded, the old ones stay: %s", error)  # noqa: TRY400 - the message says it all
        else:
            self.judge.take(book, self.clock())
            log.info("rules reloaded: %d", len(book.sources))
        journal.notify("READY=1\nSTATUS=" + self.status())


def _busy(error: sqlite3.Error) -> bool:
    """Another process (the command line) is writing: the next try gets its turn."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def stretched(seconds: float, limit: incoming.Limit | None, accounts: int, now: datetime) -> float:
    """The configured interval, longer when the platform's live limit would not last its window."""
    if limit is None or limit.reset_at <= now:
        return seconds
    left = (limit.reset_at - now).total_seconds()
    return max(seconds, min(left, accounts * left / max(1, limit.remaining) * 1.05))


def load_rules(config: Config) -> rulebook.Rulebook:
    """The packaged rules and the operator's, all of whose own tests hold. Raises RuleError."""
    base = config.path.parent
    book = rulebook.load([base / folder for folder in config.file.monitor.rules])
    broken = [f for s in book.sources for f in rulebook.failures(s)]
    if broken:
        raise rulebook.RuleError(broken[0])
    return book


def load_lists(config: Config) -> Blocklists:
    """The operator's block lists as they are now; what is wrong with one is a note, never a stop."""
    paths = tuple(config.path.parent / name for name in config.file.monitor.block_lists)
    lists = Blocklists(paths, config.file.monitor.block_list_stale_days)
    lists.refresh()
    return lists


@contextlib.contextmanager
def locked(directory: Path) -> Any:
    """One daemon per data directory: two would send every page twice. Raises ConfigError."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as file:
        _lock(file, directory)
        yield


def _lock(file: IO[str], directory: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise ConfigError(f"{directory}: another hijack-monitor is running on this data_dir; stop it first") from error


@contextlib.asynccontextmanager
async def opened(config: Config, secrets: Mapping[str, str], clock: Callable[[], datetime] = utc_now) -> Any:
    """A wired Service. Raises ConfigError and RuleError."""
    book = load_rules(config)
    async with http_session() as session:
        built: dict[str, Source] = {
            name: build_edge(sources, name, incoming.Settings(options(config, name), session, clock), secrets)
            for name in {a.platform for a in config.file.accounts}
        }
        names = (["slack"] if config.file.slack else []) + [LAST_RESORT]
        routes = {name: build_edge(notifiers, name, outgoing.Settings(options(config, name), session, clock), secrets) for name in names}
        store = Store(config.database)
        try:
            outbox = Outbox(store, tuple(n for n in names if n != LAST_RESORT), config.paging)
            judge = Judge(store, config.company, book)
            pager = Pager(store, outbox, routes, config.paging, clock)
            judge.lists = load_lists(config)
            pictures = Pictures(session, config.file.x.media_hosts)
            yield Service(config, store, judge, outbox, pager, built, clock, asyncio.Event(), pictures, started=clock())
            with contextlib.suppress(TimeoutError):  # what is still being sent is looked for at the next start
                await asyncio.wait_for(pager.settle(), 3)
        finally:
            store.close()


async def run(config: Config, secrets: Mapping[str, str]) -> int:
    """Until SIGTERM or SIGINT. Returns the exit code; a store that cannot be written ends it with 1."""
    from apscheduler.schedulers.asyncio import AsyncIOScheduler

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    with locked(config.data_dir):
        async with opened(config, secrets) as service:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, stop.set)
            loop.add_signal_handler(signal.SIGHUP, service.reload)
            await service.watch_accounts()
            scheduler = AsyncIOScheduler(timezone=UTC)
            schedule(scheduler, service)
            scheduler.start()
            journal.notify("READY=1\nSTATUS=" + service.status())
            log.info("watching %d account(s) with %d rules", len(service.watches), len(service.judge.rulebook.sources))
            await _until(stop, service)
            scheduler.shutdown(wait=False)
            journal.notify("STOPPING=1")
            log.info("stopping: %s", service.broken or "asked to")
            if service.broken:  # systemd starts us again; a full disk must not shout every two seconds
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), BROKEN_SECONDS)
            return 1 if service.broken else 0


async def _until(stop: asyncio.Event, service: Service) -> None:
    """Send what is written as soon as it is written; the schedule is only the safety net."""
    stopping = asyncio.create_task(stop.wait())
    while not stop.is_set() and not service.broken:
        waking = asyncio.create_task(service.wake.wait())
        await asyncio.wait([stopping, waking], return_when=asyncio.FIRST_COMPLETED)
        waking.cancel()
        if service.wake.is_set():
            service.wake.clear()
            service.tick()
    stopping.cancel()


def schedule(scheduler: Any, service: Service) -> None:
    """One job per account and one for each of our own duties; late jobs run late instead of never."""
    for number, watch in enumerate(service.watches):
        _add_poll(scheduler, service, watch, number)
    scheduler.add_job(_look_up, "interval", args=[service, scheduler], seconds=LOOK_UP_SECONDS, **JOB)
    every = {
        service.look_at_profiles: service.config.file.x.profile_seconds,
        _tick: TICK_SECONDS,
        _health: HEALTH_SECONDS,
        _lists: LISTS_SECONDS,
    }
    if vision.installed():
        every[service.look_into_pictures] = PICTURES_SECONDS
    if service.config.file.slack:
        every[service.listen] = service.config.file.slack.thread_seconds
    for duty, seconds in every.items():
        args = [service] if duty in (_tick, _health, _lists) else []
        scheduler.add_job(duty, "interval", args=args, seconds=seconds, next_run_time=utc_now(), **JOB)


def _add_poll(scheduler: Any, service: Service, watch: Watch, number: int) -> None:
    seconds = service.config.poll_seconds(watch.account.platform)
    start = utc_now() + timedelta(seconds=seconds * number / len(service.watches))  # spread, not in bursts
    args = [service, watch, scheduler, seconds]
    scheduler.add_job(_poll, "interval", args=args, seconds=seconds, next_run_time=start, id=watch.account.key, **JOB)


async def _look_up(service: Service, scheduler: Any) -> None:
    """Accounts whose id could not be looked up at the start."""
    for watch in await service.look_up() if service.pending else ():
        _add_poll(scheduler, service, watch, 0)


async def _poll(service: Service, watch: Watch, scheduler: Any, configured: float) -> None:
    """One poll; a limit that would not last moves the next run further away."""
    seconds = await service.poll(watch)
    if seconds > configured * 1.2:
        scheduler.modify_job(watch.account.key, next_run_time=utc_now() + timedelta(seconds=seconds))
        log.warning("the platform's limit stretches the interval to %d s", seconds, extra={"account": watch.account.key})


async def _tick(service: Service) -> None:
    service.tick()


async def _health(service: Service) -> None:
    service.check_health()


async def _lists(service: Service) -> None:
    service.look_at_lists()
