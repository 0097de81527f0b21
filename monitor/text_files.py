"""The text of a file that a person saved: UTF-8, UTF-16 with a mark or without, and of Western code pages what all of them agree on.

Nothing is guessed: a byte that two code pages read differently is refused with its row, for a text that was read wrongly is
another text than the one that will be posted.
"""

from __future__ import annotations

import codecs
import re
from pathlib import Path

_NO_TEXT = (
    (b"PK\x03\x04", "an Excel or Numbers workbook (or another archive)"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"%PDF", "a PDF"),
    (b"{\\rtf", "a formatted text (RTF)"),
)
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip
_SAVE = "save it as “CSV UTF-8” (a text file: as UTF-8) and try again"
# Windows-1250, -1252, -1254 and -1257 or -1258 agree on these, and the letters of other scripts' pages do not come alone.
_AGREED = frozenset("äöüßÄÖÜéóáíú«»°§©®±·\u00a0€–—‘’“”„…•™")
_PUNCTUATION = "€–—‘“”„…•™"  # in the pages of DOS these bytes are letters
_BETWEEN_LETTERS = re.compile(rf"[^\W\d_][{_PUNCTUATION}][^\W\d_]|\w[€„•]|[–—]\w")
_WORD = re.compile(r"[^\W\d_]+")


class TextError(ValueError):
    """The file is no text that we can read; the message says which row and what to do."""


def decode(body: bytes) -> tuple[str, str]:
    """(the text without a byte order mark, a note for whoever saved it or an empty string). Raises TextError."""
    for start, what in _NO_TEXT:
        if body.startswith(start):
            raise TextError(f"it is {what}, not text; {_SAVE}")
    for mark, encoding in _MARKS:
        if body.startswith(mark):
            return _decoded(body[len(mark) :], encoding), ""
    if wide := _wide(body):
        return _decoded(body, wide), f"read as {wide.upper()} text: check the letters below, or save it as “CSV UTF-8”"
    if b"\0" in body:
        raise TextError(f"row {_row(body, body.index(0))} holds a zero byte: it is no text file; {_SAVE}")
    try:
        return body.decode("utf-8"), ""
    except UnicodeDecodeError as error:
        return _western(body, error.start), "read as Windows text: check accents and dashes below, or save it as “CSV UTF-8”"


def read(path: Path) -> str:
    """Its text, with line ends as Unix writes them. Raises TextError with its name, and OSError."""
    try:
        return "\n".join(lines_of(decode(path.read_bytes())[0]))
    except TextError as error:
        raise TextError(f"{path}: {error}") from error


def lines_of(text: str) -> list[str]:
    """Its lines by CR, LF or both, as editors and spreadsheets number them; U+2028 and its kind stand inside a line."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _decoded(body: bytes, encoding: str) -> str:
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError as error:
        row = _row(body[: error.start].decode(encoding, "ignore").encode(), None)
        raise TextError(f"not {encoding.upper()} in row {row} (at byte {error.start}); {_SAVE}") from error
    if "\0" in text:
        raise TextError(f"row {_row(text[: text.index(chr(0))].encode('utf-8', 'replace'), None)} holds a zero byte; {_SAVE}")
    return text


def _wide(body: bytes) -> str:
    """UTF-16 by its zeros: of Latin text, digits and delimiters every second byte is one."""
    if len(body) < 2 or len(body) % 2:
        return ""
    some = body[:4_000]
    even, odd = some[0::2].count(0), some[1::2].count(0)
    most = len(some) // 2
    if odd * 10 >= most * 3 and not even:
        return "utf-16-le"
    return "utf-16-be" if even * 10 >= most * 3 and not odd else ""


def _western(body: bytes, at: int) -> str:
    """What every Western code page says alike. Raises TextError."""
    text = body.decode("cp1252", "replace")
    for match in re.finditer(r"[^\x00-\x7f]", text):
        if match[0] not in _AGREED:
            raise TextError(f"not UTF-8 in row {_row(body, match.start())} (at byte {match.start()}); {_SAVE}")
    odd = _BETWEEN_LETTERS.search(text)
    foreign = next((m for m in _WORD.finditer(text) if len(m[0]) > 2 and sum(c > "\x7f" for c in m[0]) * 2 > len(m[0])), None)
    if odd or foreign:  # the letters of another page
        at = min(m.start() for m in (odd, foreign) if m)
        raise TextError(f"not UTF-8 in row {_row(body, at)} (at byte {at}); {_SAVE}")
    return text


def _row(body: bytes, at: int | None) -> int:
    """The row of a spreadsheet, counted from 1, in which that byte stands: a line, and lines within quotes are one."""
    before = body if at is None else body[:at]
    outside = b"".join(before.split(b'"')[0::2])
    return outside.replace(b"\r\n", b"\n").replace(b"\r", b"\n").count(b"\n") + 1
