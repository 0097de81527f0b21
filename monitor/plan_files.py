"""A file of planned posts as rows: JSON lines, or CSV with a header. Runs in a process of its own: see `foreign`."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from monitor.plan import Bad, PlanError
from monitor.plan_columns import ALIASES, aliased, bare

MOST_ROWS = 20_000


def rows_in(body: bytes, path: Path) -> Iterator[tuple[int, dict[str, Any] | Bad]]:
    """The rows of a file under our names. `path` is what it is called. Raises PlanError. Runs in a process of its own: see `foreign`."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PlanError(f"{path}: not UTF-8 at byte {error.start}; save it as “CSV UTF-8” and import it again") from error
    rows = list(_json_rows(text) if text.lstrip().startswith("{") else _csv_rows(path, text))
    if len(rows) > MOST_ROWS:
        raise PlanError(f"{path}: {len(rows)} rows; at most {MOST_ROWS} at once, split the file")
    yield from rows


def _json_rows(text: str) -> Iterator[tuple[int, dict[str, Any] | Bad]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                data = json.loads(line)
                yield number, aliased(data) if isinstance(data, dict) else Bad("not a JSON object")
            except ValueError as error:
                yield number, Bad(f"not JSON: {error}")


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any] | Bad]]:
    csv.field_size_limit(1_000_000)
    try:
        rows = list(csv.reader(io.StringIO(text.replace("\0", ""), newline=""), dialect=_dialect(text)))
    except csv.Error as error:
        raise PlanError(f"{path}: not CSV: {error}") from error
    if not rows:
        raise PlanError(f"{path}: empty")
    header, body = rows[0], rows[1:]
    if re.match(r"\d{1,4}[-/.]\d", header[0]) and len(header) in (2, 3):  # Hootsuite has no header
        header, body = ["date", "message", "link"][: len(header)], rows
    if not any(name in ALIASES["text"] for name in map(bare, header)):
        raise PlanError(
            f"{path}: no column for the text; found {', '.join(header)[:200]}, expected one of: message_text, content, text, post, message, caption"
        )
    for number, row in enumerate(body, 1):
        if any(cell.strip() for cell in row):
            over = len(row) > len(header)
            yield (
                number,
                Bad(f"{len(row)} cells where the header has {len(header)}") if over else aliased(dict(zip(header, row, strict=False))),
            )


def _dialect(text: str) -> type[csv.Dialect]:
    first = text.splitlines()[0] if text else ""

    class Found(csv.excel):
        delimiter = ";" if first.count(";") > first.count(",") else "\t" if "\t" in first else ","

    return Found
