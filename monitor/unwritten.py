"""What cannot be written down is told from memory, to every route.

A database that another process holds is waited for: reading goes on, and what would have paged is told after ten seconds.
A full disk or a broken file is told at once.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

from monitor import journal
from monitor.assembly import build_routes, http_session
from monitor.config import Config
from monitor.notifiers.interface import Notifier
from monitor.store import Store, is_busy

log = logging.getLogger("monitor.unwritten")

PATIENCE = timedelta(seconds=10)  # with whoever holds the database, while something would page; also between two messages
QUIET_PATIENCE = timedelta(minutes=1)  # while nothing would: a backup or a large import takes its time
AGAIN_SECONDS = 3600
_SHOWN = 5


class Unwritten:
    """Called with every write that fails, and with the next one that does not."""

    def __init__(self, database: Path, routes: Callable[[], Mapping[str, Notifier]], clock: Callable[[], datetime]) -> None:
        self._database, self._routes, self._clock = database, routes, clock
        self._since: datetime | None = None
        self._spoke_at: datetime | None = None
        self._words: dict[str, bool] = {}  # what would have paged, and whether it was told
        self._telling: set[asyncio.Task[None]] = set()

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
        fresh = [w for w, told in self._words.items() if not told]
        waited, silent = abs(now - self._since), abs(now - (self._spoke_at or self._since))
        if (fresh and silent >= PATIENCE) or (self._spoke_at is None and waited >= QUIET_PATIENCE):
            self._spoke_at = now
            self._words |= dict.fromkeys(fresh, True)
            self._begin(
                f"🔴 hijack-monitor cannot write: another process has held {self._database} for {waited.total_seconds():.0f} s. "
                f"Find and end it (`fuser -v {self._database}`); posts are still read, and judged again then. Not written down: {_listed(fresh)}"
            )

    def over(self) -> bool:
        """Something was written; whether nothing could be before."""
        waited = self.waits
        if waited:
            log.info("the database can be written again")
        self._since = self._spoke_at = None
        self._words = {}
        return waited

    def _begin(self, text: str) -> None:
        task = asyncio.ensure_future(tell(self._routes(), text))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)


def _listed(words: list[str]) -> str:
    more = f"; and {len(words) - _SHOWN} more" if len(words) > _SHOWN else ""
    return "; ".join(words[:_SHOWN]) + more or "no post that would page"


async def tell_broken(database: Path, error: sqlite3.Error, who: str, words: tuple[str, ...], routes: Mapping[str, Notifier]) -> None:
    """Nothing can be written any more, and we stop."""
    await tell(
        routes,
        f"🔴 hijack-monitor cannot write to {database} ({error}) and stops. Look at {who} "
        f"yourself, free the disk, restart the monitor. Not written down: {_listed(list(words))}",
    )


async def tell(routes: Mapping[str, Notifier], text: str) -> None:
    """On all routes at once: one that hangs holds up no other. Never raises."""

    async def one(name: str, route: Notifier) -> None:
        try:
            await route.shout(text)
            log.info("told %s", name)
        except Exception as error:  # noqa: BLE001 - the others must be told
            log.error("%s was not told: %s", name, error)  # noqa: TRY400 - its words say enough

    await asyncio.gather(*(one(name, route) for name, route in routes.items()))


# --- at the start ------------------------------------------------------------------------------------


async def wait_until_writable(config: Config, secrets: Mapping[str, str], clock: Callable[[], datetime], every: float = 5) -> None:
    """Returns once the database can be written. Until then every route is told, at once and every hour, and systemd waits
    with us: a start that fails in silence every two seconds is a monitor that nobody misses. Raises ConfigError.
    """
    loop = asyncio.get_running_loop()
    begun, told_at = loop.time(), 0.0
    while problem := _problem(config, clock()):
        error, busy = problem
        journal.notify(f"EXTEND_TIMEOUT_USEC={120_000_000}\nSTATUS=waiting for the database: {error}")
        if not (busy and loop.time() - begun < PATIENCE.total_seconds()) and (not told_at or loop.time() - told_at > AGAIN_SECONDS):
            told_at = loop.time()
            log.critical("cannot start: %s", error)
            await _tell_stuck(config, secrets, clock, error)
        await asyncio.sleep(every)


def _problem(config: Config, now: datetime) -> tuple[str, bool] | None:
    """Why nothing can be written, and whether that is because somebody else writes."""
    try:
        store = Store(config.database)
        try:
            with store.transaction():
                store.beat(now)
        finally:
            store.close()
    except (sqlite3.Error, OSError) as error:
        return str(error), isinstance(error, sqlite3.Error) and is_busy(error)
    return None


async def _tell_stuck(config: Config, secrets: Mapping[str, str], clock: Callable[[], datetime], error: str) -> None:
    accounts = config.file.accounts
    names = ", ".join(f"@{table.handle}" for table in accounts[:_SHOWN]) + (" and others" if len(accounts) > _SHOWN else "")
    text = (
        f"🔴 hijack-monitor cannot start: {config.database}: {error}. Nobody watches {names}: look at them yourself. "
        "Free the disk or mend the file; it begins by itself as soon as it can write"
    )
    async with http_session() as session:
        await tell(build_routes(config, session, dict(secrets) | {"install_key": "0" * 64}, clock), text)  # nothing here is sealed with it
