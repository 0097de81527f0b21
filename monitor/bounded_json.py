"""JSON from outside, refused before it can cost much: counted on its bytes, and only then built.

Sixteen megabytes of small objects would become a gigabyte and hold the loop for 25 s. Counting takes a fraction of
what building takes, and no Python object for anything in the document.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

MOST_NODES = 300_000  # values: objects, lists, strings, numbers; a page of a hundred posts has some ten thousand
MOST_DEPTH = 64
_HALF = re.compile(b"\xed[\xa0-\xbf]")  # of a pair, which is no UTF-8 and which `json` takes all the same
_CHUNK = 1 << 18  # bytes of strings cut out at a time
_NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))
_ALIKE = bytes.maketrans(b"{}", b"[]")  # which ends which is for the parser to say


class TooMuchError(ValueError):
    """More than we build."""


def read(body: bytes) -> Any:
    """What a document holds; lone surrogates, which nothing can store or send, become question marks.

    Raises TooMuchError for more than 300,000 values or 64 levels, ValueError for what is no JSON in UTF-8.
    """
    bound(body)
    try:
        data = json.loads(body)
        if b"\\u" in body or _HALF.search(body):  # writing it out shows whether half of a pair is alone
            text = json.dumps(data, ensure_ascii=False)
            data = data if _is_whole(text) else json.loads(text.encode("utf-8", "replace"))
    except RecursionError:
        raise TooMuchError("more levels than can be read") from None
    return data


def _is_whole(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def bound(body: bytes) -> None:
    """Raises TooMuchError where reading this as JSON would build too much."""
    opened = body.count(b"[") + body.count(b"{")
    if opened <= MOST_DEPTH and opened + body.count(b",") < MOST_NODES:
        return  # whatever of it stands in strings
    nodes, brackets = 1, bytearray()
    for outside in _outside_strings(body):
        inside = outside.translate(_ALIKE, _NO_BRACKET)
        nodes += outside.count(b",") + inside.count(b"[")
        if nodes > MOST_NODES:
            raise TooMuchError(f"more than {MOST_NODES:,} values")
        brackets += inside
    if not _is_shallow(bytes(brackets)):
        raise TooMuchError(f"more than {MOST_DEPTH} levels")


def _outside_strings(body: bytes) -> Iterator[bytes]:
    """Everything but strings, in pieces. Without its escapes every quotation mark begins or ends a string."""
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in body else body
    inside = 0
    for start in range(0, len(plain), _CHUNK):
        pieces = plain[start : start + _CHUNK].split(b'"')
        yield b"".join(pieces[inside::2])
        inside ^= (len(pieces) - 1) & 1


def _is_shallow(brackets: bytes) -> bool:
    """Whether taking out the innermost pairs, again and again, leaves nothing after as many times as there may be levels."""
    for _ in range(MOST_DEPTH):
        if not brackets:
            return True
        brackets = brackets.replace(b"[]", b"")
    return not brackets
