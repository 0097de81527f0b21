"""How often each rule has accused a post, counted where its verdict is written down: nobody has to read every verdict again."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from monitor import counters
from monitor.incidents import DRILL
from monitor.model import Verdict


class Hits:
    """Posts by rule, those of the baseline and of drills excluded: in the table `rule_hits`, and by UTC day among `counters`."""

    def __init__(self, sql: sqlite3.Connection) -> None:
        self._sql = sql

    def count(self, account: str, verdict: Verdict, at: datetime, *, baseline: bool) -> None:
        """A verdict is written down, in the caller's transaction."""
        if not baseline and account != DRILL:
            self._sql.executemany(
                "INSERT INTO rule_hits VALUES(?, 1) ON CONFLICT(rule) DO UPDATE SET posts = posts + 1",
                [(f.rule,) for f in verdict.findings],
            )
            for finding in verdict.findings:
                counters.rule(self._sql, at, finding.rule)

    def by_rule(self) -> dict[str, int]:
        """Of all that was ever judged."""
        return {row["rule"]: row["posts"] for row in self._sql.execute("SELECT rule, posts FROM rule_hits ORDER BY rule")}
