"""When the daemon cannot go on as usual. Whoever holds the database is waited for, a row that cannot be read is set aside, and what
neither mends is told on every route, from memory, before we stop for systemd.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from datetime import datetime

from monitor import health, set_aside
from monitor.config import Config
from monitor.connection import concerns_file, is_busy
from monitor.incidents import Event
from monitor.model import Severity
from monitor.outbox import Outbox
from monitor.pager import Pager
from monitor.store import Store
from monitor.unwritten import PATIENCE, REMEDY_OF_FAULTS, Unwritten, remedy, tell_stop

log = logging.getLogger("monitor.service")


class Emergency:
    """`words` are the posts that would have paged and could not be written down; `wake` sends what was written."""

    def __init__(
        self, config: Config, store: Store, outbox: Outbox, pager: Pager, clock: Callable[[], datetime], wake: Callable[[], object],
        words: Callable[[], tuple[str, ...]],
    ) -> None:  # fmt: skip
        self.config, self._store, self._outbox, self._pager, self._clock = config, store, outbox, pager, clock
        self._wake, self._words = wake, words
        self.unwritten = Unwritten(store.path, pager.notifiers, clock)
        self.broken = ""  # why we have to end
        self.rest = 0.0  # seconds before we end when broken
        self.closing = False  # by an ordinary stop: what fails now fails because of it, and nobody is told
        self._failing_since: datetime | None = None
        self._shouting: set[asyncio.Future[None]] = set()

    def cannot_write(self, error: sqlite3.Error) -> None:
        """Wait for whoever holds the database; whatever else is wrong with it is told, and then we stop."""
        if is_busy(error):
            self.unwritten.busy(self._words())
        else:
            self.stop_for(str(error))

    def cannot_page(self, error: Exception) -> None:
        """Nobody can be paged while one row stops all others. A fault of ours that no row explains is told, and then we stop."""
        if concerns_file(error):
            self.cannot_write(error)
            return
        log.error("the pager failed", exc_info=error)
        now = self._clock()
        self._failing_since = self._failing_since or now
        if not self.set_aside() and not self.unwritten.waits and abs(now - self._failing_since) >= PATIENCE:
            self._stop_once(f"cannot send pages ({type(error).__name__})", REMEDY_OF_FAULTS)

    def pages_again(self) -> bool:
        """The pager ran; whether nothing could be written before."""
        was_held = self.unwritten.over(self._name_gap)
        self._failing_since = None
        return was_held

    def set_aside(self) -> bool:
        """Every row that cannot be read, with a page about it; whether there was one. Never raises."""
        try:
            found = set_aside.bad_rows(self._store, self._outbox, self._clock())
        except Exception as error:
            if concerns_file(error):
                self.cannot_write(error)
            else:
                log.exception("rows could not be set aside")
            return False
        if found:
            self._wake()
        return found > 0

    def stop_for(self, why: str) -> None:
        """Nothing can be written any more."""
        self._stop_once(f"cannot write to {self._store.path} ({why})", remedy(why, self._store.path))

    def halfway(self, error: Exception) -> None:
        """Something that must not fail did, and nobody knows what is in force: systemd starts the whole of it."""
        self._stop_once(f"cannot go on after half a reload ({type(error).__name__})", REMEDY_OF_FAULTS)

    def _stop_once(self, problem: str, remedy: str) -> None:
        if not self.closing and not self._shouting and not self.broken:
            log.critical("%s", problem)
            task = asyncio.ensure_future(self._stop(problem, remedy))
            self._shouting.add(task)
            task.add_done_callback(self._shouting.discard)

    async def _stop(self, problem: str, remedy: str) -> None:
        self.rest = await tell_stop(self.config, problem, remedy, self._words(), self._pager.notifiers(), self._clock)
        self.broken = problem
        self._wake()

    def _name_gap(self, sentence: str) -> None:
        now = self._clock()
        with self._store.transaction():
            event = Event("blind:database", health.OURSELVES, Severity.NOTIFY, "Nothing could be written", sentence, now)
            told = self._store.incident(self._outbox.happened(event, now))
            assert told is not None
            self._outbox.recovered(told, now, sentence)
