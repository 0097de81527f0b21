"""Parts of what is listed, read while they are shown: whoever asks for all of five years gets them, and nobody holds them."""

from __future__ import annotations

from collections.abc import Iterator

from monitor import record
from monitor.model import Incident
from monitor.post_rows import ACCUSED, Kept
from monitor.store import Store


def incidents(store: Store, limit: int = -1, before: int = 0) -> Iterator[Incident]:
    """The newest first: those before a number, and one more than `limit`."""
    query = "SELECT * FROM incidents WHERE id < ? ORDER BY id DESC LIMIT ?"
    return map(record.incident, store.sql.execute(query, [before or 2**63 - 1, limit + 1 if limit >= 0 else -1]))


def count_incidents(store: Store) -> int:
    """How many there are."""
    return int(store.sql.execute("SELECT count(*) FROM incidents").fetchone()[0])


def baseline(store: Store, limit: int = -1, before: int = 0) -> Iterator[tuple[int, Kept]]:
    """What was there at first sight, with its number: what a rule accuses first, then the newest. One more than `limit`."""
    query = f"SELECT rowid FROM posts WHERE baseline = 1 ORDER BY {ACCUSED} DESC, created_at DESC, rowid DESC"  # noqa: S608 - ours
    numbers = [row[0] for row in store.sql.execute(query)]
    start = numbers.index(before) + 1 if before in numbers else len(numbers) if before else 0
    for number in numbers[start:][: limit + 1 if limit >= 0 else None]:
        for kept in store.posts("rowid = ?", (number,)):
            yield number, kept


def count_baseline(store: Store) -> int:
    """How much was there."""
    return int(store.sql.execute("SELECT count(*) FROM posts WHERE baseline = 1").fetchone()[0])
