"""A file of planned posts as rows: CSV, a JSON array or JSON lines. Runs in a process of its own: see `foreign`.

What the columns mean is decided later (`plan_columns`). A row has the number that a spreadsheet shows for it. What could shift
a cell into another row or column (a quote left open, text behind a closing one) refuses the file: no row is lost.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from monitor.plan import Bad, PlanError
from monitor.plan_columns import means
from monitor.plan_names import fold
from monitor.plan_status import STATES, folded
from monitor.plan_times import looks_dated
from monitor.text_files import TextError, decode, lines_of

MOST_ROWS = 20_000
_MOST_CELL = 1_000_000
_ABOVE = 20  # rows in which the header is looked for
_DEEPEST = 8
_SEPARATOR = re.compile(r'"?sep=(.)"?\r?\n?', re.IGNORECASE)  # Excel's own first line, which it does not show
_DATED = re.compile(r"\s*\d{1,4}[-/.]\d")
_GUARD = re.compile(r"'(?=[=+\-@])")  # a spreadsheet's sign that this is text
_HEADLESS = ["date", "message", "link"]  # Hootsuite


@dataclass(frozen=True, slots=True)
class Table:
    """`columns` are the names in the file, none for JSON, whose rows name their own; `notes` say how the file was read."""

    columns: list[str]
    rows: list[tuple[int, list[str] | dict[str, Any] | Bad]]
    notes: list[str] = field(default_factory=list)


def table_in(body: bytes, path: Path, texts: tuple[str, ...] = ()) -> Table:
    """The rows of a file. `path` is what it is called, `texts` names columns that hold the text. Raises PlanError."""
    try:
        text, note = decode(body)
    except TextError as error:
        raise PlanError(f"{path}: {error}") from error
    if not text.strip():
        raise PlanError(f"{path}: empty")
    found = _json(path, text) if text.lstrip()[0] in "{[" else _csv(path, text, texts)
    if len(found.rows) > MOST_ROWS:
        raise _too_many(path)
    if note:
        found.notes.insert(0, note)
    return found


def _too_many(path: Path) -> PlanError:
    return PlanError(f"{path}: more than {MOST_ROWS:,} rows; split the file")


# --- JSON -------------------------------------------------------------------------------------------------------------------


def _json(path: Path, text: str) -> Table:
    """A JSON array of posts, one post, or a post a line; the number of a row is that of its place or line."""
    try:
        whole = _loaded(text)
    except ValueError:
        if text.lstrip()[0] == "[":
            raise PlanError(f"{path}: it begins like a JSON array, and is none: {_why(text)}") from None
        rows = [(number, line) for number, line in enumerate(lines_of(text), 1) if line.strip()]
        if len(rows) > MOST_ROWS:
            raise _too_many(path) from None
        return Table([], [(number, _object(line)) for number, line in rows])
    if isinstance(whole, list):
        return Table([], [(number, _checked(one)) for number, one in enumerate(whole, 1)])
    lists = [name for name, value in whole.items() if isinstance(value, list) and value and all(isinstance(one, dict) for one in value)]
    if lists and not any(means(name) == "text" for name in whole):
        raise PlanError(f"{path}: one JSON object with a list in “{lists[0]}”; expected the list alone, or a post a line")
    return Table([], [(len(lines_of(text[: text.index("{")])), _checked(whole))])


def _why(text: str) -> str:
    try:
        _loaded(text)
    except ValueError as error:
        return str(error)
    return ""


def _loaded(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"two keys “{name[:60]}”")
        found[name] = value
    return found


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no value")


def _object(line: str) -> dict[str, Any] | Bad:
    try:
        return _checked(_loaded(line))
    except json.JSONDecodeError as error:
        return Bad(f"not JSON: {error.msg}, at character {error.colno}")
    except ValueError as error:
        return Bad(f"not JSON: {error}")


def _checked(data: Any) -> dict[str, Any] | Bad:
    if not isinstance(data, dict):
        return Bad("not a JSON object")
    if _depth(data) > _DEEPEST:
        return Bad(f"nested more than {_DEEPEST} levels")
    try:
        json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return Bad("it holds half a character (a lone surrogate like \\ud83d): cut in two when it was saved")
    return data


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max((_depth(one) for one in inner), default=0)


# --- CSV --------------------------------------------------------------------------------------------------------------------


def _csv(path: Path, text: str, texts: tuple[str, ...]) -> Table:
    csv.field_size_limit(_MOST_CELL)
    said = _SEPARATOR.match(text)
    text = text[said.end() :] if said else text
    delimiter = said[1] if said else _delimiter(text, texts)
    rows = list(islice(_records(path, text, delimiter), MOST_ROWS + _ABOVE))
    if len(rows) == MOST_ROWS + _ABOVE:
        raise _too_many(path)
    at = _header(rows, texts)
    first = next((place for place, row in enumerate(rows) if any(cell.strip() for cell in row)), None)
    if first is None:
        raise PlanError(f"{path}: empty")
    notes = []
    if at is None and _DATED.match(rows[first][0]) and len(_trimmed(rows[first])) in (2, 3):
        header, body = _HEADLESS, first
    elif at is None:
        raise PlanError(
            f"{path}: no column for the text; found {', '.join(rows[first])[:200]}, expected one of: message_text, content, text, post,"
            " message, caption. Name yours with --column text=NAME"
        )
    else:
        header, body = rows[at], at + 1
        if above := [place + 1 for place in range(first, at) if any(cell.strip() for cell in rows[place])]:
            if any(_DATED.match(cell) for place in above for cell in rows[place - 1]):
                raise PlanError(
                    f"{path}: row {above[0]} stands above the header in row {at + 1} and holds a date; move the header to the top"
                )
            which = f"row {above[0]} stands" if len(above) == 1 else f"rows {', '.join(map(str, above))} stand"
            notes.append(f"{which} above the names of the columns (row {at + 1}), and nothing of that is registered")
    found = [
        (place + 1, _cells(path, rows[place], header, place + 1, delimiter))
        for place in range(body, len(rows))
        if any(map(str.strip, rows[place]))
    ]
    widest = max((len(row) for _, row in found if isinstance(row, list)), default=0)
    return Table([*header, *[""] * (widest - len(header))], list(found), notes)


def _delimiter(text: str, texts: tuple[str, ...]) -> str:
    """The one by which most names of columns are known ones, or else by which there are most columns."""

    def known(delimiter: str) -> tuple[int, int]:
        try:
            rows = [row for row, _ in zip(_reader(text[:_MOST_CELL], delimiter), range(_ABOVE), strict=False)]
        except csv.Error:
            rows = [line.split(delimiter) for line in lines_of(text[:20_000])[:_ABOVE]]
        at = _header(rows, texts)
        if at is None:
            return 0, max((len(row) for row in rows), default=0)
        return sum(bool(means(cell)) for cell in rows[at]), len(rows[at])

    return max((",", ";", "\t", "|"), key=known)


def _reader(text: str, delimiter: str) -> Iterator[list[str]]:
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=delimiter != "\t")


def _records(path: Path, text: str, delimiter: str) -> Iterator[list[str]]:
    """Each row. Raises PlanError at the first whose quotes do not close as they should."""
    number = 0
    try:
        for row in _reader(text, delimiter):
            number += 1
            yield row
    except csv.Error as error:
        what = 'a quote (") is opened and never closed' if "unexpected end" in str(error) else 'text stands behind a closing quote (")'
        if "limit" in str(error):
            what = f"a cell holds more than {_MOST_CELL:,} characters"
        raise PlanError(
            f'{path}: row {number + 1}: {what}; a quote inside a quoted cell is written twice (""). Nothing was read: mend that row, or save'
            " the file again from the spreadsheet"
        ) from error


def _header(rows: list[list[str]], texts: tuple[str, ...]) -> int | None:
    """The place of the row that names a column for the text and most others, the first of them."""
    folded = [fold(name) for name in texts]

    def named(row: list[str]) -> int:
        known = ["text" if fold(cell) in folded else means(cell) for cell in row]
        return sum(map(bool, known)) if "text" in known else 0

    best = max(range(min(_ABOVE, len(rows))), key=lambda place: (named(rows[place]), -place), default=None)
    return best if best is not None and named(rows[best]) else None


def _trimmed(row: list[str]) -> list[str]:
    """Without empty cells at its end."""
    return row[: max((place + 1 for place, cell in enumerate(row) if cell.strip()), default=0)]


def _row_like(pieces: list[str], names: list[str], *, whole: bool) -> bool:
    """Whether a line within a cell could be cells of those columns: it has as many with a date, or a date or a state of its own column."""
    if whole and len(pieces) >= max(2, len(names)) and any(map(_DATED.match, pieces)):
        return True
    if len(pieces) < 2 or any(piece.startswith(" ") for piece in pieces):
        return False
    meant = [(means(name), piece) for name, piece in zip(names, pieces, strict=False)]
    return any(looks_dated(piece) if what in ("when", "either") else what == "status" and folded(piece) in STATES for what, piece in meant)


def _cells(path: Path, row: list[str], header: list[str], number: int, delimiter: str) -> list[str] | Bad:
    cells = [_GUARD.sub("", cell, count=1) if cell.startswith("'") else cell for cell in _trimmed(row)]
    if len(cells) > len(header):
        return Bad(f"{len(cells)} cells where the header has {len(header)}")
    for place, cell in enumerate(cells):
        first, *more = lines_of(cell)
        for line, names in ((first, ["", *header[place + 1 :]] if more else []), *((line, header) for line in more)):
            if _row_like(line.split(delimiter), names, whole=names is header):
                raise PlanError(
                    f"{path}: row {number}: a quoted cell goes on over a line that looks like a row of its own ({line.strip()[:60]!r});"
                    ' a quote (") was left open? Mend that row, or save the file again from the spreadsheet'
                )
    return cells
