"""The daemon's whole life on one screen: schedule, signals, systemd. Imports apscheduler.

Everything the schedule calls is a method of `Service` that a test can call too, on a clock it moves.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sqlite3
import time
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from monitor import advice, background, checkpoints, copies, forget, holds, journal, standing, steps, vision
from monitor.answers import Repacking
from monitor.config import Config
from monitor.connection import is_busy
from monitor.database import UnsuitableDatabaseError
from monitor.lock import locked
from monitor.service import Service, utc_now
from monitor.store import OF_THE_DAEMON, Store
from monitor.unwritten import extending, tell_refused, tell_stuck, wait_until_writable
from monitor.wiring import opened, pruning, verifying

log = logging.getLogger("monitor.service")

TICK_SECONDS = 1
ROUND_SECONDS = 0.25  # whom to poll, and what streams said
SWEEP_SECONDS = 1
EDITS_SECONDS = 60
SEARCH_SECONDS = 30
BALANCE_SECONDS = 3600
STREAMS_SECONDS = 900
HEALTH_SECONDS = 5
LOOK_UP_SECONDS = 30
JOURNAL_SECONDS = 1
REST_SECONDS = 30
LISTS_SECONDS = 60
PICTURES_SECONDS = 2
SLACK_SECONDS = 60
DRILL_SECONDS = 60
METRICS_SECONDS = 60
PRUNE_SECONDS = 60
CHAIN_SECONDS = 1
PULSE_SECONDS = 0.5
REMEMBER_SECONDS = 60
EARLY = timedelta(seconds=1)
JOB = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}  # late instead of never


async def run(config: Config, secrets: Mapping[str, str]) -> int:
    """Until SIGTERM or SIGINT. Returns the exit code: 1 when the database cannot be used, and everybody was told. Raises
    UnsuitableDatabaseError for one of another version, when everybody was told.
    """
    stop = asyncio.Event()
    for warning in advice.warnings(config, secrets):
        log.warning("%s", warning)
    try:
        return await _run(config, secrets, stop)
    except UnsuitableDatabaseError as refusal:
        await _rest(stop, await tell_refused(config, secrets, utc_now, refusal))
        raise


async def _run(config: Config, secrets: Mapping[str, str], stop: asyncio.Event) -> int:
    if not await wait_until_writable(config, secrets, utc_now):
        return 1
    try:
        broken, rest = await _watch(config, secrets, stop)
    except sqlite3.Error as error:  # met on the way to watching
        broken, rest = f"cannot start: {error}", 0.0 if is_busy(error) else await tell_stuck(config, secrets, utc_now, str(error))
    log.info("stopping: %s", broken or "asked to")
    await _rest(stop, rest)
    journal.notify("STOPPING=1")
    return 1 if broken else 0


async def _watch(config: Config, secrets: Mapping[str, str], stop: asyncio.Event) -> tuple[str, float]:
    """The life of the service: (why it ended by itself, seconds before we may end)."""
    from apscheduler.schedulers.asyncio import AsyncIOScheduler

    loop = asyncio.get_running_loop()
    with locked(config.data_dir):
        copies.clear(config.data_dir)
        await extending(asyncio.to_thread(settle, config, utc_now()), "forgetting again what was forgotten before a restore")
        async with opened(config, secrets) as service, contextlib.AsyncExitStack() as stack:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, stop.set)
            loop.add_signal_handler(signal.SIGHUP, service.reload)
            service.recover_clock()
            await service.watch_accounts()
            await stack.enter_async_context(_helpers(service, secrets))
            scheduler = AsyncIOScheduler(timezone=UTC)
            schedule(scheduler, service)
            scheduler.start()
            stack.callback(scheduler.shutdown, wait=False)
            stack.callback(background.begin(_mind_clock(scheduler, service), "the clock").cancel)
            journal.notify("READY=1\nSTATUS=" + service.status())
            log.info("watching %d account(s) with %d rules", len(service.watches), len(service.judge.rulebook.sources))
            await _until(stop, service)
            if not service.broken:
                journal.notify("STOPPING=1")
        if not service.broken:
            checkpoints.fold(config.database)
        return service.broken, service.emergency.rest


def settle(config: Config, now: datetime) -> None:
    """What a restore left to the first start, before anything is read, told or pruned. Raises sqlite3.Error."""
    with contextlib.closing(Store(config.database, OF_THE_DAEMON)) as store:
        forget.settle(store, now)
        holds.settle(store, now)


async def _rest(stop: asyncio.Event, seconds: float) -> None:
    """A loop of restarts by systemd must not tell everybody every few seconds; it counts as progress here."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while (left := until - loop.time()) > 0 and not stop.is_set():
        journal.notify(f"WATCHDOG=1\nEXTEND_TIMEOUT_USEC={120_000_000}")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), min(left, REST_SECONDS))


@contextlib.asynccontextmanager
async def _helpers(service: Service, secrets: Mapping[str, str]) -> Any:
    """What runs beside the schedule: sockets, figures for Prometheus."""
    starting: list[asyncio.Task[None]] = []  # nobody outside holds up the first poll
    async with contextlib.AsyncExitStack() as stack:
        try:
            if service.front:
                stack.push_async_callback(service.front.stop)
                await service.front.start()
            if service.config.file.metrics:
                from monitor import metrics

                figures = metrics.Figures(service.store, service.clock, service.check, service.reads, lambda: service.config.prices)
                starting.append(background.begin(_serve_figures(figures, service, stack), "figures"))
            starting.append(background.begin(_open_streams(service, secrets), "streams"))
            starting += [background.begin(collector.hear(), f"hearing {name}") for name, collector in service.collectors.items()]
            starting += [background.begin(service.deadman.start(), "the dead-man's switch")] if service.deadman else []
            yield
        finally:
            await _cancel(starting)


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _serve_figures(figures: Any, service: Service, stack: contextlib.AsyncExitStack) -> None:
    """A port that somebody else has is no reason not to watch: it is said, and asked for again every minute."""
    from monitor import metrics

    port, said = service.config.file.metrics.port if service.config.file.metrics else 0, False
    while True:
        try:
            await metrics.serve(figures, port, stack)
        except OSError as error:
            if not said:
                log.warning("metrics.port: %d cannot be used (%s): no figures until it can", port, error.strerror)
            said = True
            why = f"port {port} cannot be used ({error.strerror}): nothing answers on /metrics and /healthz"
            with contextlib.suppress(sqlite3.Error):  # held by another process, say: noted the next time
                standing.note(service.store, "metrics", why)
            await asyncio.sleep(METRICS_SECONDS)
        else:
            break
    while True:  # until it is no longer said
        try:
            return standing.note(service.store, "metrics", "")
        except sqlite3.Error:
            await asyncio.sleep(METRICS_SECONDS)


async def _open_streams(service: Service, secrets: Mapping[str, str]) -> None:
    """Asks again every few minutes where nothing tells of posts although something should: a refusal may have been a storm."""
    while not service.listens():
        try:
            await service.open_streams(secrets)
        except Exception:
            log.exception("no stream could be opened; posts are found by polling")
        if not service.listens():
            await asyncio.sleep(STREAMS_SECONDS)


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


async def _mind_clock(scheduler: Any, service: Service) -> None:
    """The schedule goes by the wall clock, this by one that nobody sets: what the schedule would put off is due now."""
    remembered = time.monotonic()
    while True:
        try:
            pull_in(scheduler, utc_now())  # first: it needs no database
            stepped = service.mind_clock(time.monotonic(), utc_now())
            if stepped or time.monotonic() - remembered > REMEMBER_SECONDS:
                remembered = time.monotonic()
                steps.remember(service.store, utc_now())
        except Exception:  # a busy database, say: the next pulse tries again
            log.exception("the clock was not minded")
        await asyncio.sleep(PULSE_SECONDS)


def pull_in(scheduler: Any, now: datetime) -> None:
    """No job waits longer than its interval, whatever the clock was set to."""
    for job in scheduler.get_jobs():
        if job.next_run_time and job.next_run_time - now > job.trigger.interval + EARLY:
            job.modify(next_run_time=now)


_Duty = Callable[..., Coroutine[Any, Any, object]]  # whatever is none is run in a thread, where no row can be read


def schedule(scheduler: Any, service: Service) -> None:
    """One job for each of our duties; late jobs run late instead of never."""
    from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED

    scheduler.add_listener(lambda ended: service.check.ended(ended.job_id, ended.exception), EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
    scheduler.add_job(_look_up, "interval", args=[service], seconds=LOOK_UP_SECONDS, id=_look_up.__qualname__, **JOB)
    every: dict[_Duty, float] = {
        _round: ROUND_SECONDS,
        service.pulse: ROUND_SECONDS,
        service.sweep: SWEEP_SECONDS,
        service.look_at_edits: EDITS_SECONDS,
        service.search: SEARCH_SECONDS,
        service.look_at_balance: BALANCE_SECONDS,
        _tick: TICK_SECONDS,
        _health: HEALTH_SECONDS,
        service.look_at_lists: LISTS_SECONDS,
        service.look_at_journal: JOURNAL_SECONDS,
        Repacking(service.store).look: JOURNAL_SECONDS,
        service.drill_if_due: DRILL_SECONDS,
        pruning(service).tick: PRUNE_SECONDS,
        verifying(service).look: CHAIN_SECONDS,
    }
    file = service.config.file
    every |= {service.look_at_slack: SLACK_SECONDS} if service.front else {}
    every |= {service.beat: service.deadman.every} if service.deadman else {}
    every |= {service.look_at_schedule: file.oncall.refresh_minutes * 60} if file.oncall else {}
    if vision.installed():
        every[service.look_into_pictures] = PICTURES_SECONDS
    if service.config.file.slack:
        every[service.listen] = service.config.file.slack.thread_seconds
    for duty, seconds in every.items():
        args = [service] if duty in (_round, _tick, _health) else []
        scheduler.add_job(duty, "interval", args=args, seconds=seconds, id=duty.__qualname__, next_run_time=utc_now(), **JOB)


async def _look_up(service: Service) -> None:
    """Accounts whose id could not be looked up at the start, or that the database did not take."""
    await service.look_up()


async def _round(service: Service) -> None:
    """Begins the polls that are due; nobody waits for them."""
    service.round()


async def _tick(service: Service) -> None:
    """Also notes how late it is itself, by a clock that nobody sets."""
    service.check.ran(time.monotonic(), TICK_SECONDS)
    service.tick()


async def _health(service: Service) -> None:
    service.check_health()
