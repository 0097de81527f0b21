"""What comms plan with, CSV or JSON lines, as rows under our names; `planning` makes plans of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from monitor.foreign.bounds import Bounds, too_many
from monitor.plan import Bad
from monitor.plan_files import rows_in


def read(body: bytes, bounds: Bounds, *, name: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Each row with its number, or why it is none. `name` is what people call the file."""
    if sum(body.count(mark) for mark in (b",", b";", b"\t", b"\n", b"[", b"{")) > bounds.nodes:
        raise too_many(bounds)
    for number, row in rows_in(body, Path(name)):
        yield number, row.reason if isinstance(row, Bad) else row
