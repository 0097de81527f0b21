"""New rules while the daemon runs: all of them, or none. Whatever goes wrong, the old ones go on judging."""

from __future__ import annotations

import logging
import sqlite3
from datetime import datetime

from monitor.assembly import load_rules
from monitor.config import Config
from monitor.judging import Judge
from monitor.rulebook import RuleError

log = logging.getLogger("monitor.service")


class Reloading:
    """`why` says why the rules in the files do not judge, or is empty."""

    def __init__(self, config: Config, judge: Judge) -> None:
        self._config, self._judge = config, judge
        self.why = ""
        self._waits = False  # for whoever holds the database

    def reload(self, now: datetime) -> bool:
        """Whether the rules of the files judge from now on. Never raises."""
        self._waits, self.why = False, ""
        try:
            book = load_rules(self._config)
            self._judge.take(book, now)
        except RuleError as error:
            self.why = str(error)
        except sqlite3.Error as error:
            self._waits, self.why = True, f"the database did not take them ({error}); it is tried again every few seconds"
        except Exception as error:  # a file that cannot be read, say: an OSError names it
            log.exception("rules not reloaded")
            self.why = f"{type(error).__name__}: {error}"
        if self.why:
            log.error("rules not reloaded, the old ones stay: %s", self.why)
        else:
            log.info("rules reloaded: %d", len(book.sources))
        return not self.why

    def again(self, now: datetime) -> bool:
        """Try once more what only the database held up; whether new rules judge from now on."""
        return self._waits and self.reload(now)
