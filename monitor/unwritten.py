"""What cannot be written down is told from memory, to every route.

A database that another process holds is waited for: reading goes on, what would have paged is told after ten seconds, and
that nothing can be written after fifteen. A full disk, a file that is broken, read-only or replaced is told at once, and ends
us with exit code 1: systemd starts us again, and `reported` keeps that loop from telling it more than every quarter of an hour.
A database of a newer version is told hourly, and ends us with 2: it waits for somebody to decide.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from monitor import database, journal
from monitor.assembly import build_routes, http_session
from monitor.config import Config, ConfigError
from monitor.connection import is_busy
from monitor.copies import CopyError, keep_before
from monitor.database import UnsuitableDatabaseError
from monitor.lock import locked
from monitor.notifiers.interface import Notifier
from monitor.pages import LAST_RESORT
from monitor.reported import AGAIN, Reported
from monitor.store import OF_THE_DAEMON, Store

log = logging.getLogger("monitor.unwritten")
T = TypeVar("T")

PATIENCE = timedelta(seconds=10)  # with whoever holds the database, while something would page; also between two messages
QUIET_PATIENCE = timedelta(seconds=15)  # while nothing would
CHECK_SECONDS = 2.0  # at the start: for about a gigabyte
EXTEND_SECONDS = 30.0  # within the 120 that systemd is asked for
REFUSED_AGAIN = timedelta(hours=1)
REST_SECONDS = 10.0  # before we end when everybody has been told already: a loop of restarts is no help
_REMEDIES = {  # by the words of SQLite, of the system and of `connection`
    "find and end whoever holds it (`fuser -v {0}`)": ("locked",),
    "free the disk": ("full", "No space left", "I/O error"),
    "let the monitor's user write {0} and its folder": ("readonly", "Read-only", "unable to open", "Permission denied"),
    "stop the monitor, put a good copy in the place of {0} with `hijack-monitor restore` and start it": (
        "malformed",
        "damaged",
        "not a database",
        "was open",
        "I/O error",
    ),
}
REMEDY_OF_FAULTS = (
    "The journal says what fails (`journalctl -u hijack-monitor`). If this comes again, go back to the version, or to the copy of the"
    " database, from before it began, and send the journal to the maintainers"
)
REMEDY_OF_IDS = (
    "If another account has this handle now, whoever took ours over may have renamed it: set the `id` of ours. Otherwise correct `handle`"
)
_SHOWN = 5  # accounts
_POSTS = 2  # of 250 characters: a pager cuts what is longer than a thousand, and behind them stands what to do


class Unwritten:
    """Called with every write that fails, and with the next one that does not."""

    def __init__(self, database: Path, routes: Callable[[], Mapping[str, Notifier]], clock: Callable[[], datetime]) -> None:
        self._database, self._routes, self._clock = database, routes, clock
        self._since: datetime | None = None
        self._tried_at: datetime | None = None
        self._spoke_at: datetime | None = None  # when somebody was told
        self._quiet_at: datetime | None = None  # when that was without a post that would page
        self._words: dict[str, bool] = {}  # what would have paged, and whether it was told
        self._telling: dict[asyncio.Task[set[str]], tuple[str, ...]] = {}

    @property
    def waits(self) -> bool:
        """Whether somebody else holds the database."""
        return self._since is not None

    def busy(self, words: Iterable[str] = ()) -> None:
        """Somebody else holds it still; `words` is what should have been written down."""
        now = self._clock()
        if self._since is None:
            log.warning("the database is busy; reading again")
        self._since = self._since or now
        self._words = dict.fromkeys(words, False) | self._words
        on_its_way = {w for words in self._telling.values() for w in words}
        fresh = tuple(w for w, told in self._words.items() if not told and w not in on_its_way)
        waited, silent = abs(now - self._since), abs(now - (self._tried_at or self._since))
        if silent >= PATIENCE and (fresh or (waited >= QUIET_PATIENCE and not self._telling and self._is_news(now))):
            self._tried_at = now
            self._begin(
                fresh,
                f"🔴 {_listed(fresh)}hijack-monitor cannot write: another process has held {self._database} for {waited.total_seconds():.0f} s. "
                f"{remedy('locked', self._database)}; posts are still read, and judged again then",
            )

    def _is_news(self, now: datetime) -> bool:
        """A job that holds the database every five minutes is told of now and then."""
        return not self._spoke_at and not (self._quiet_at and timedelta() <= now - self._quiet_at < AGAIN)

    def over(self, write: Callable[[str], object]) -> bool:
        """Something was written; whether nothing could be before. Where telling it was tried, `write` is given the gap."""
        if self._since is None:
            return False
        if self._tried_at:
            now = self._clock()
            write(
                f"another process held the database from {self._since:%H:%M:%S} to {now:%H:%M:%S} UTC, for "
                f"{abs(now - self._since).total_seconds():.0f} s, and nothing could be written. What was posted meanwhile is read "
                "again now, judged, and paged where it has to be"
            )
        log.info("the database can be written again")
        self._since = self._spoke_at = self._tried_at = None
        self._words = {}
        return True

    def _begin(self, words: tuple[str, ...], text: str) -> None:
        routes = self._routes()
        task = asyncio.ensure_future(tell(routes, text))
        self._telling[task] = words
        task.add_done_callback(lambda done: self._end(done, frozenset(routes)))

    def _end(self, task: asyncio.Task[set[str]], routes: frozenset[str]) -> None:
        """Told is what a route took that somebody reads: the last resort counts only where there is no other."""
        words = self._telling.pop(task)
        if task.cancelled() or not (task.result() - {LAST_RESORT} or routes == {LAST_RESORT}):
            return
        self._spoke_at = self._clock()
        if words:
            self._words |= {w: True for w in words if w in self._words}
        else:
            self._quiet_at = self._clock()


def remedy(error: str, database: Path) -> str:
    """What to do about an error of the database; all there is where its words are not known."""
    known = [what for what, words in _REMEDIES.items() if any(w in error for w in words)]
    said = ", or ".join(known or _REMEDIES).format(database)
    return said[0].upper() + said[1:]


def _listed(words: Sequence[str]) -> str:
    """What would page comes first: that is what somebody has to act on."""
    more = f"; and {len(words) - _POSTS} more" if len(words) > _POSTS else ""
    return f"{'; '.join(words[:_POSTS])}{more}. This is a page that cannot be written down: act on it now. " if words else ""


async def tell_stop(
    config: Config, problem: str, remedy: str, words: tuple[str, ...], routes: Mapping[str, Notifier], clock: Callable[[], datetime]
) -> float:  # fmt: skip
    """We cannot go on, and stop. Returns seconds, see `_report`."""
    text = (
        f"🔴 {_listed(words)}hijack-monitor stops because it {problem}. "
        f"Nobody watches {_names(config)}: look there yourself. {remedy}. Unless it is stopped it starts again by itself"
    )
    return await _report(Reported(config.data_dir), text, words, routes, clock())


async def _report(
    reported: Reported, text: str, words: tuple[str, ...], routes: Mapping[str, Notifier], now: datetime, again: timedelta = AGAIN
) -> float:  # fmt: skip
    """Tell the routes that were not told lately. Returns how many seconds to wait before we end: none after a report, some when
    there was nothing to tell, and where it cannot be kept that something was told, until it may be told again.
    """
    due = reported.due(routes, words, now, again)
    if not due:
        log.error("%s", text)
        return REST_SECONDS
    told = await tell({name: routes[name] for name in due}, text)
    if told <= {LAST_RESORT} < set(routes):  # the next start tries the others again
        return REST_SECONDS
    return 0 if reported.told(told, words, now) else again.total_seconds()


def _names(config: Config) -> str:
    accounts = config.file.accounts
    return ", ".join(f"@{table.handle}" for table in accounts[:_SHOWN]) + (" and others" if len(accounts) > _SHOWN else "")


async def tell(routes: Mapping[str, Notifier], text: str) -> set[str]:
    """On all routes at once: one that hangs holds up no other. Returns those that took it. Never raises."""

    async def one(name: str, route: Notifier) -> bool:
        try:
            await route.shout(text)
        except Exception as error:  # noqa: BLE001 - the others must be told
            log.error("%s was not told: %s", name, error)  # noqa: TRY400 - its words say enough
            return False
        log.info("told %s", name)
        return True

    took = await asyncio.gather(*(one(name, route) for name, route in routes.items()))
    return {name for name, did in zip(routes, took, strict=True) if did}


# --- at the start ------------------------------------------------------------------------------------


async def wait_until_writable(config: Config, secrets: Mapping[str, str], clock: Callable[[], datetime], every: float = 5) -> bool:
    """True once the database can be written. Whoever holds it is waited for, and every route told that nobody watches. With
    anything else wrong every route is told, and it is False: the caller ends with exit code 1. An older database is brought up to
    date first. Raises ConfigError; UnsuitableDatabaseError is one, see `tell_refused`.
    """
    loop = asyncio.get_running_loop()
    begun, quiet_until, ends = loop.time(), 0.0, float("inf")
    while problem := await extending(asyncio.to_thread(_problem, config, clock()), "bringing the database up to date"):
        error, busy = problem
        _extend(f"waiting for the database: {error}")
        is_told = loop.time() < quiet_until or (busy and loop.time() - begun < PATIENCE.total_seconds())
        if not is_told and loop.time() < ends:
            rest = await tell_stuck(config, secrets, clock, error)
            quiet_until = loop.time() + (rest or AGAIN.total_seconds())
            ends = float("inf") if busy else loop.time() + rest
        if loop.time() >= ends:
            return False
        await asyncio.sleep(every)
    return True


async def extending(work: Coroutine[Any, Any, T], status: str) -> T:
    """What takes minutes with years of posts: systemd must not end us in the middle and begin again. Returns and raises what it does."""
    doing = asyncio.ensure_future(work)
    while not (await asyncio.wait({doing}, timeout=EXTEND_SECONDS))[0]:
        _extend(status)
    return await doing


def _extend(status: str) -> None:
    journal.notify(f"EXTEND_TIMEOUT_USEC={120_000_000}\nSTATUS={status}")


def _problem(config: Config, now: datetime) -> tuple[str, bool] | None:
    """Why nothing can be written, and whether that is because somebody else writes. Raises ConfigError."""
    try:
        if database.is_waiting(config.database, OF_THE_DAEMON):
            with locked(config.data_dir):  # nobody's database changes under a daemon that runs
                database.bring_up_to_date(config.database, partial(keep_before, now=now), OF_THE_DAEMON)
                log.info("%s was brought up to date", config.database)
        store = Store(config.database, OF_THE_DAEMON)
        try:
            with store.transaction():
                store.beat(now)
            found = store.malformed(CHECK_SECONDS)
        finally:
            store.close()
    except (sqlite3.Error, OSError, CopyError) as error:
        return str(error), is_busy(error.__cause__ or error)
    return (f"database disk image is malformed: {found}", False) if found else None


async def tell_stuck(config: Config, secrets: Mapping[str, str], clock: Callable[[], datetime], why: str) -> float:
    """We do not watch yet. Returns seconds, see `_report`. Raises ConfigError."""
    text = (
        f"🔴 hijack-monitor cannot start: {config.database}: {why}. Nobody watches {_names(config)}: look there yourself. "
        f"{remedy(why, config.database)}. Unless it is stopped it begins by itself as soon as it can write"
    )
    return await _tell_at_start(config, secrets, clock, text, (), AGAIN)


async def tell_refused(
    config: Config, secrets: Mapping[str, str], clock: Callable[[], datetime], refusal: UnsuitableDatabaseError
) -> float:
    """We must not use this database. Returns seconds, see `_report`; told hourly at most. Never raises for the configuration."""
    text = f"🔴 hijack-monitor cannot start: {refusal}. Nobody watches {_names(config)}: look there yourself"
    try:
        return await _tell_at_start(config, secrets, clock, text, ("another version",), REFUSED_AGAIN)
    except ConfigError as error:  # the refusal ends us just the same
        log.error("nobody was told: %s", error)  # noqa: TRY400 - its words say enough
        return 0


async def _tell_at_start(
    config: Config, secrets: Mapping[str, str], clock: Callable[[], datetime], text: str, words: tuple[str, ...], again: timedelta
) -> float:  # fmt: skip
    async with http_session() as session:
        routes = build_routes(config, session, dict(secrets) | {"install_key": "0" * 64}, clock)  # nothing here is sealed with it
        return await _report(Reported(config.data_dir), text, words, routes, clock(), again)
