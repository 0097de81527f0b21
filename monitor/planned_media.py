"""What a row of a plan says about pictures, videos and their alt texts: files, addresses, or a number."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MOST = 16  # of one post, on any platform
_BETWEEN_ADDRESSES = re.compile(r"[,;|\s]+(?=https?://)|\s+")  # an address may hold a comma: image services put sizes there
_BETWEEN_FILES = re.compile(r"[,;|\n]+")  # a file's name may hold a blank
_BETWEEN_ALTS = re.compile(r"\|\||\r?\n")


@dataclass(frozen=True, slots=True)
class ShownMedia:
    """`files` and `videos` as the plan writes them, `alt` in their order, `count` of all of it."""

    files: tuple[str, ...]
    videos: tuple[str, ...]
    alt: tuple[str, ...]
    count: int


def shown_media(row: Mapping[str, Any]) -> ShownMedia:
    """From the columns `media`, `gif`, `video` and `alt`. Raises ValueError."""
    value = row.get("media")
    number = str(value).strip() if not isinstance(value, list) else ""
    if number.isascii() and number.isdigit():
        files, counted, alt = [], int(number), []
    else:
        items = value if isinstance(value, list) else _named(str(value or ""))
        files, alt = [_name(item) for item in items], [str(item.get("alt") or "") for item in items if isinstance(item, dict)]
        counted = len(files)
    videos = [name for column in ("gif", "video") for name in _list(row.get(column))]
    alt = [text for text in alt if text] or _alts(row.get("alt"), counted + len(videos))
    count = counted + len(videos)
    if count > MOST:
        raise ValueError(f"{count} pictures and videos; a post has at most {MOST}")
    if len(alt) > count:
        raise ValueError(f"{len(alt)} alt texts for {count} pictures or videos")
    return ShownMedia(tuple(files), tuple(videos), tuple(alt), count)


def _name(item: object) -> str:
    """A file or an address, also of a JSON object. Raises ValueError."""
    given = next((item[k] for k in ("url", "file", "path") if item.get(k)), "") if isinstance(item, dict) else item
    if not isinstance(given, str) or not given.strip():
        raise ValueError("media: expected the name of a file, an https address or a number")
    return given.strip()


def _list(value: object) -> list[str]:
    return [_name(item) for item in value] if isinstance(value, list) else _named(str(value or ""))


def _named(cell: str) -> list[str]:
    parts = (_BETWEEN_ADDRESSES if "://" in cell else _BETWEEN_FILES).split(cell.strip())
    return [part for piece in parts if (part := piece.strip(" \t,;|"))]


def _alts(value: object, count: int) -> list[str]:
    if isinstance(value, list):
        return [str(text).strip() for text in value if str(text).strip()]
    cell = str(value or "").strip()
    return [text.strip() for text in _BETWEEN_ALTS.split(cell) if text.strip()] if count > 1 else [cell] if cell else []
