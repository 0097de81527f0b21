"""A new configuration while the daemon runs: completely or not at all. Whatever goes wrong, the old one stays in force.

Secrets are those of the start: systemd copies credentials when it starts the unit.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from monitor import config as configuration
from monitor import record
from monitor.config import Config, ConfigError
from monitor.reloadable import merged
from monitor.rulebook import RuleError
from monitor.store import Store

log = logging.getLogger("monitor.service")

_KEPT = "reload"  # under which `status` finds it
_SECRETS = "Secrets are those of the start (systemd copies credentials then): a new one needs `systemctl restart hijack-monitor`"


class Fits(Protocol):
    """See `fitting.Fitting`."""

    def prepare(self, config: Config, now: datetime) -> Any:
        """Make everything; nothing of what runs is touched. Returns parts with `changed`, names of changed files."""
        ...

    def write(self, parts: Any, now: datetime) -> None:
        """What has to be in the database before they are used."""
        ...

    def adopt(self, parts: Any) -> None:
        """Use them; must not fail."""
        ...


@dataclass(frozen=True, slots=True)
class Told:
    """For `status`: keys that wait for a restart, and why the last reload was refused, if it was."""

    waiting: tuple[str, ...] = ()
    refused: str = ""


def told(store: Store) -> Told:
    """What the daemon wrote down since it began."""
    return record.remembered(store.kept(_KEPT), lambda found: Told(tuple(map(str, found["waiting"])), str(found["refused"])), Told())


def forget(store: Store) -> None:
    """The daemon begins: nothing waits."""
    store.keep(_KEPT, "")


class Reloading:
    """`why` says why the configuration in the files is not in force, or is empty; `halfway` is told of what must not happen."""

    def __init__(self, store: Store, running: Callable[[], Config], fits: Fits, halfway: Callable[[Exception], None]) -> None:
        self._store, self._running, self._fits, self._halfway = store, running, fits, halfway
        self.why = ""
        self.waiting: tuple[str, ...] = ()
        self._held = False  # by whoever holds the database: tried again
        self._owed = ""  # a refusal that is not written down yet

    def reload(self, now: datetime) -> bool:
        """Whether the configuration of the files is in force from now on. Never raises."""
        self._held, self.why = False, ""
        try:
            parts = self._written(now)
        except (ConfigError, RuleError) as error:
            self.why = str(error)
        except sqlite3.Error as error:
            self._held, self.why = True, f"the database did not take it ({error}); it is tried again every few seconds"
        except Exception as error:  # a file that cannot be read, say: an OSError names it
            log.exception("configuration not reloaded")
            self.why = f"{type(error).__name__}: {error}"
        if self.why:
            log.error("configuration not reloaded, the old one stays in force: %s", self.why)
            self._owed = "" if self._held else self.why
            self._write_refusal(now)
            return False
        try:
            self._fits.adopt(parts)
        except Exception as error:
            log.exception("a reload ended halfway")
            self._halfway(error)
        self._owed = ""
        return True

    def _written(self, now: datetime) -> Any:
        """Everything is made and written down; the parts are to be adopted before anything else happens."""
        running = self._running()
        change = merged(running.file, configuration.load(running.path).file)
        if not change.file.accounts:
            raise ConfigError(f"{running.path}: accounts: no platform of these is read so far, and one is opened at the start only")
        try:
            parts = self._fits.prepare(configuration.made(running.path, change.file), now)
        except ConfigError as error:
            left = f". Not taken over yet, for it waits for a restart: {', '.join(change.waiting)}" if change.waiting else ""
            raise ConfigError(f"{error}{left}. {_SECRETS}" if "secret" in str(error) or left else str(error)) from error
        changed = (*change.changed, *parts.changed)
        with self._store.transaction():
            self._fits.write(parts, now)
            if changed or change.waiting != self.waiting:
                row = {"changed": list(changed), "waiting": list(change.waiting)}
                self._store.audit(now, "monitor", "configuration reloaded", str(running.path), **row)
            self._keep(change.waiting, "")
        self.waiting = change.waiting
        log.info("configuration reloaded: %s", f"changed: {', '.join(changed)}" if changed else "nothing changed")
        if self.waiting:
            log.warning("these wait for a restart: %s. %s", ", ".join(self.waiting), _SECRETS)
        return parts

    def _write_refusal(self, now: datetime) -> None:
        """For `status`, with an audit row; what the database does not take now is written with a later look."""
        if not self._owed:
            return
        try:
            with self._store.transaction():
                self._store.audit(now, "monitor", "reload refused", str(self._running().path), reason=self._owed)
                self._keep(self.waiting, self._owed)
        except sqlite3.Error as error:
            log.warning("that the reload was refused is not written down yet: %s", error)
        else:
            self._owed = ""

    def _keep(self, waiting: tuple[str, ...], refused: str) -> None:
        self._store.keep(_KEPT, json.dumps({"waiting": waiting, "refused": refused}))

    def again(self, now: datetime) -> bool:
        """Try once more what only the database held up; whether a new configuration is in force."""
        self._write_refusal(now)
        return self._held and self.reload(now)
