"""The rows of a table under our names, and what its other columns hold: no column is dropped in silence."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, tzinfo
from pathlib import Path
from typing import Any

from monitor.plan import PlanError, Reading
from monitor.plan_accounts import names_a_network, network_of
from monitor.plan_columns import LISTS, MEANINGS, filled, flat, is_nothing, means, quoted, remark, target, tells
from monitor.plan_names import approves, fold, says_plainly, words_of
from monitor.plan_status import is_a_state, names_a_state, names_an_approval, says_no, without_states
from monitor.plan_times import calendar_column, date_order, day_in, looks_dated, may_be_dated, order_said, repeats, zone_said, zone_unclear

_LINK = re.compile(r"https?://\S+|www\.\S+|[\w-]+(?:\.[\w-]+)*\.[a-z]{2,12}(?:/\S*)?", re.IGNORECASE)
_HANDLE = re.compile(r"@\w[\w.@-]*")
_PLAIN = {"when": "date", "until": "end of the window", "external": "id", "by": "name of who approved it"}
_MEDIA = re.compile(r".+\.(?:png|jpe?g|gif|webp|heic|svg|mp4|mov|m4v|webm|avi)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Row:
    """`values` by our names, `names` of their columns in the file; `accounts` and `status` a value for each of such columns."""

    values: Mapping[str, Any]
    names: Mapping[str, str]
    accounts: tuple[Any, ...] = ()
    status: tuple[tuple[str, Any], ...] = ()
    zone: tzinfo | None = None
    wrong: str = ""  # two columns that contradict each other


@dataclass(slots=True)
class _Column:
    name: str
    meaning: str = ""
    told: bool = False  # by `--column`
    cells: dict[int, list[Any]] = field(default_factory=dict)  # by the place of their row; filled ones only


@dataclass(frozen=True, slots=True)
class Rows:
    """Of a whole file: `rows` in their places, `dates` the order of slashed ones, `dated` whether any row has a date."""

    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    dates: str
    dated: bool
    vouched: str  # the column that says who approved, if any row does


def rows_of(path: Path, names: list[str], table: list[list[Any] | dict[str, Any]], how: Reading) -> Rows:
    """Raises PlanError for a column that nobody read and that matters, and for dates that can be read two ways."""
    columns = _columns(names, table)
    ignored = _as_told(path, columns, how)
    columns = [one for one in columns if one not in ignored]
    _times(columns)
    for one in columns:
        kept = {place: [cell for cell in cells if not is_nothing(one.meaning, cell)] for place, cells in one.cells.items()}
        one.cells = {place: cells for place, cells in kept.items() if cells}
    _states(path, columns)
    dated = any(one.cells for one in columns if one.meaning in ("when", "time", "until"))
    used = [one for one in columns if one.meaning]
    dates = _order(path, used, how)
    days = {
        place: day for one in used if one.meaning == "when" for place, cells in one.cells.items() if (day := day_in(str(cells[0]), dates))
    }
    unread = [one for one in columns if not one.meaning and one.cells]
    notes = _unread(path, unread, [one for one in unread if not _repeats(path, one, days)], how, dated=dated)
    if ignored:
        notes.append(f"left out with --ignore: {quoted(one.name for one in ignored)}")
    if silent := [one.name for one in columns if one.meaning == "status" and not one.cells]:
        notes.append(f"empty in every row, so it approves and refuses nothing: {quoted(silent)}")
    return Rows(
        tuple(_row(place, used) for place in range(len(table))), tuple(notes), dates, dated,
        vouched=next((one.name for one in used if one.meaning == "by" and one.cells), ""),
    )  # fmt: skip


def _order(path: Path, used: list[_Column], how: Reading) -> str:
    """Dmy, mdy or nothing, as the names of columns or their dates say. Raises PlanError, for unclear zones in names as well."""
    for one in used:
        if one.meaning in ("when", "time", "until") and one.cells and zone_unclear(remark(one.name)):
            raise PlanError(
                f"{path}: column “{one.name}”: its name says a zone that can be several; rename it with a place, like"
                " “Date (America/New_York)”, or leave the zone out of its name and give --zone"
            )
    when = [one for one in used if one.meaning in ("when", "until")]
    said = {order for one in when if (order := order_said(remark(one.name)))}
    if len(said | ({how.dates} if how.dates else set())) > 1:
        raise PlanError(f"{path}: the names of the columns say the order of day and month otherwise than --dates, or than each other")
    return date_order(path, (str(cell) for one in when for cells in one.cells.values() for cell in cells), how.dates or "".join(said))


def _repeats(path: Path, column: _Column, days: Mapping[int, date]) -> bool:
    """Whether a column of weekdays, weeks or months only repeats the dates beside it. Raises PlanError where it contradicts one."""
    if not days or not (what := calendar_column(fold(column.name))):
        return False
    cells = [(days[place], str(cell)) for place, cells in column.cells.items() if place in days for cell in cells]
    said = [repeats(what, cell, day) for day, cell in cells]
    if False in said and None not in said:
        day, cell = cells[said.index(False)]
        raise PlanError(
            f"{path}: column “{column.name}” says {cell.strip()[:40]!r} beside {day:%A, %Y-%m-%d}; mend one of them, or leave the column out"
            f" with --ignore {shlex.quote(column.name)}"
        )
    return all(said)


def _columns(names: list[str], table: list[list[Any] | dict[str, Any]]) -> list[_Column]:
    columns = [_Column(name.strip() or f"column {_letters(place)}") for place, name in enumerate(names)]
    found: dict[str, _Column] = {}
    for place, row in enumerate(table):
        if isinstance(row, dict):
            for name, value in flat(row):
                column = found.setdefault(name, _Column(name))
                if filled(value):
                    column.cells.setdefault(place, []).append(value)
        else:
            for column, cell in zip(columns, row, strict=False):
                if filled(cell):
                    column.cells[place] = [cell]
    columns += found.values()
    for column in columns:
        column.meaning = means(column.name)
    return columns


def _letters(place: int) -> str:
    """A, B, …, Z, AA: what a spreadsheet calls a column."""
    place, last = divmod(place, 26)
    return (_letters(place - 1) if place else "") + chr(ord("A") + last)


def _as_told(path: Path, columns: list[_Column], how: Reading) -> list[_Column]:
    """Give columns the meaning that `--column` says, and return those of `--ignore`. Raises PlanError."""
    for meaning, name in how.columns:
        ours = target(meaning)
        if not ours:
            raise PlanError(f"--column: found {meaning}={name}, expected one of: {', '.join(MEANINGS)}")
        chosen = _of_name(path, "--column", columns, name)
        for one in columns:
            if one in chosen:
                one.meaning, one.told = ours, True
            elif one.meaning == ours and ours not in LISTS and ours != "status" and (ours, one.name) not in how.columns:
                one.meaning = ""
    return [one for name in how.ignore for one in _of_name(path, "--ignore", columns, name)]


def _of_name(path: Path, option: str, columns: list[_Column], name: str) -> list[_Column]:
    found = [one for one in columns if one.name == name.strip()] or [one for one in columns if fold(one.name) == fold(name)]
    if not found:
        raise PlanError(f"{path}: {option}: there is no column “{name}”; found {quoted(one.name for one in columns)[:300]}")
    return found


def _times(columns: list[_Column]) -> None:
    """What a column holds whose name could mean a date or a time of day: the latter beside a date."""
    for wanted in ("either", "time"):
        beside = any(one.meaning == "when" and one.cells for one in columns)
        for one in columns:
            if one.meaning == wanted:
                one.meaning = "time" if beside else "when"


def _states(path: Path, columns: list[_Column]) -> None:
    """Raises PlanError for a column of a state whose name we do not wholly understand (below “Unapproved”, a yes means no), and
    for one in which somebody has to approve and nobody has.
    """
    for one in columns:
        if not one.cells and _has_to_be_filled(one):
            raise PlanError(
                f"{path}: column “{one.name}” is empty in every row: nobody has approved anything. Fill it in, or leave it out with --ignore"
                f" {shlex.quote(one.name)} if everything in the file is approved"
            )
        if one.meaning == "status" and _dated(one):
            raise PlanError(
                f"{path}: column “{one.name}” holds dates, not a yes or no: leave it out with --ignore {shlex.quote(one.name)}, or name the"
                " column that says who or what is approved"
            )
        if one.meaning == "status" and one.cells and not (one.told or says_plainly(without_states(one.name))):
            sample, named = str(next(iter(one.cells.values()))[0]), shlex.quote(one.name)
            raise PlanError(
                f"{path}: column “{one.name}” (like {sample[:40]!r}): its name does not plainly say that a yes in it approves the post. If it"
                f" does, say --column status={named}; if it names who approved, --column by={named}; else leave it out with --ignore {named}"
            )


def _dated(column: _Column) -> bool:
    shown = [text for cells in column.cells.values() for cell in cells for text in _shown(cell)]
    return sum(map(looks_dated, shown)) * 2 > len(shown)


def _has_to_be_filled(column: _Column) -> bool:
    if column.meaning in ("by", "status"):
        return column.meaning == "by" or approves(column.name)
    return not column.meaning and names_an_approval(words_of(column.name))


def _unread(path: Path, columns: list[_Column], asked: list[_Column], how: Reading, *, dated: bool) -> list[str]:
    """A note on the columns that nobody reads. Raises PlanError when one of those `asked` matters, or may be the only one that says when."""
    wrong = []
    for one in asked:
        shown = [text for cells in one.cells.values() for cell in cells for text in _shown(cell)]
        telling = [found for text in shown if (found := _tells(text, how))]
        sample = next((text for text in shown if _tells(text, how)), shown[0] if shown else "")
        if len(telling) * 2 >= max(1, len(shown)):
            wrong.append(f"“{one.name}” holds {max(set(telling), key=telling.count)} (like {sample[:40]!r})")
        elif (refused := next(filter(says_no, shown), "")) and not _codes(shown):
            wrong.append(f"“{one.name}” holds states (like {refused[:40]!r})")
        elif _may_matter(one.name) or ("0" in shown and set(shown) <= {"0", "1"}):
            wrong.append(f"“{one.name}” (like {sample[:40]!r}) may matter")
        elif not dated and (day := next(filter(may_be_dated, shown), "")):
            wrong.append(f"“{one.name}” (like {day[:40]!r}) may say when, and no other column does")
    if wrong:
        raise PlanError(
            f"{path}: not understood: column {'; '.join(wrong[:6])}. Say what it is with --column WHAT='NAME' (WHAT is text, date, time, zone,"
            " account, status, link, media …), or leave it out with --ignore 'NAME'"
        )
    return [f"not read: {quoted(one.name for one in columns)}"] if columns else []


def _codes(shown: list[str]) -> bool:
    """Of countries or languages: DE, FR and NO."""
    return all(len(text) == 2 and text.isupper() for text in shown) and not all(map(is_a_state, shown))


def _may_matter(name: str) -> bool:
    words = words_of(name)
    return tells(name) or names_a_state(words) or names_a_network(words)


def _shown(cell: Any) -> Iterable[str]:
    if isinstance(cell, list | dict):
        for one in cell.values() if isinstance(cell, dict) else cell:
            yield from _shown(one)
    else:
        yield str(cell).strip()


def _tells(text: str, how: Reading) -> str:
    """What a cell holds that decides about posts, or an empty string."""
    zone = "/" in text or text.lower().startswith(("utc", "gmt"))
    known = text.lower() in (a.handle.lower() for a in how.accounts) or text in (a.id for a in how.accounts if len(a.id) > 4)
    found = {
        "dates": looks_dated(text), "media": _MEDIA.fullmatch(text), "links": _LINK.fullmatch(text), "states": is_a_state(text),
        "zones": zone and zone_said(text), "accounts": known or _HANDLE.fullmatch(text) or network_of(text),
    }  # fmt: skip
    return next((what for what, yes in found.items() if yes), "")


def _row(place: int, columns: list[_Column]) -> Row:
    values: dict[str, Any] = {}
    names: dict[str, str] = {}
    wrong = ""
    for one in columns:
        cells = one.cells.get(place, [])
        if one.meaning in ("account", "status") or not cells:
            continue
        if one.meaning == "comment":
            values["comment"] = [*values.get("comment", []), *map(str, _listed(cells))]
        elif one.meaning in LISTS:
            values[one.meaning] = _together([*([values[one.meaning]] if one.meaning in values else []), *cells])
        elif any(str(cell).strip() != str(values.get(one.meaning, cells[0])).strip() for cell in cells):
            wrong = (
                wrong
                or f"columns {quoted([names.get(one.meaning, one.name), one.name])} both hold the {_PLAIN.get(one.meaning, one.meaning)} and differ"
            )
        values.setdefault(one.meaning, cells[0])
        names.setdefault(one.meaning, one.name)
    zone = next((z for one in columns if one.meaning in ("when", "time") and (z := zone_said(remark(one.name)))), None)
    return Row(
        values, names,
        tuple(_listed(one.cells[place]) for one in columns if one.meaning == "account" and place in one.cells),
        tuple((one.name, cell) for one in columns if one.meaning == "status" and one.cells for cell in one.cells.get(place, [""])),
        zone, wrong,
    )  # fmt: skip


def _listed(cells: list[Any]) -> list[Any]:
    return [item for cell in cells for item in (cell if isinstance(cell, list) else [cell])]


def _together(cells: list[Any]) -> Any:
    """One value as it is, several as lines or as a list."""
    if len(cells) == 1:
        return cells[0]
    if any(isinstance(cell, list) for cell in cells):
        return _listed(cells)
    return "\n".join(str(cell) for cell in cells)
