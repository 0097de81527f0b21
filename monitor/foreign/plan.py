"""What comms plan with, CSV or JSON, as a table; `planning` makes plans of its rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from monitor.foreign.bounds import Bounds, too_many
from monitor.plan import Bad
from monitor.plan_files import table_in


def read(body: bytes, bounds: Bounds, *, name: str, texts: tuple[str, ...] = ()) -> Iterator[tuple[int, list[str] | dict[str, Any] | str]]:
    """The names of the columns as row 0, what is to be noted as row -1, then each row with its number: its cells, its
    object, or why it is none. `name` is what people call the file.
    """
    if sum(body.count(mark) for mark in (b",", b";", b"\t", b"|", b"\n", b"[", b"{")) > bounds.nodes:
        raise too_many(bounds)
    table = table_in(body, Path(name), tuple(texts))
    yield 0, table.columns
    yield -1, table.notes
    for number, row in table.rows:
        yield number, row.reason if isinstance(row, Bad) else row
