"""Rows that cannot be read, where going on without them excuses nothing: a silence, a registration. Skipped, and set aside soon after."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from monitor.record import Row

log = logging.getLogger("monitor.store")

T = TypeVar("T")


class Damage:
    """`met` are the rows (table, id) that could not be read and were not set aside yet."""

    def __init__(self) -> None:
        self.met: set[tuple[str, int]] = set()

    def readable(self, table: str, rows: Iterable[Row], read: Callable[[Row], T]) -> list[T]:
        """What can be read of them."""
        found = []
        for row in rows:
            try:
                found.append(read(row))
            except Exception as error:
                if (table, row["id"]) not in self.met:
                    log.exception("%s %s cannot be read (%s)", table, row["id"], type(error).__name__)
                self.met.add((table, row["id"]))
        return found
