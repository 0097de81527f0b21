"""The other posts and the parts of a post that a registration names, as people write them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from monitor.model import Kind
from monitor.verdict.shown_parts import MINOR, REFERENCES

PARTS = ("community", *MINOR, "attached")  # that `--part` takes
_ID = re.compile(r"[1-9][0-9]{0,18}")
_LINK = re.compile(  # X's own addresses of a post, whatever stands behind the id
    r"(?:https?://)?(?:www\.|mobile\.|m\.)?(?:x|twitter)\.com/(?:\w{1,20}|i/web)/status(?:es)?/([1-9][0-9]{0,18})(?:[/?#].*)?",
    re.IGNORECASE,
)
_CHOICES = range(2, 5)  # of a poll on X
_BETWEEN = re.compile(r"[|\n]")


def post_named(name: str, value: str) -> str:
    """The id of a post from its id or link. Raises ValueError."""
    found = _ID.fullmatch(value) or _LINK.fullmatch(value)
    if found is None:
        raise ValueError(f"{name}: found {value[:80]!r}, expected a post's id, like 1993000000000000000, or its link")
    return found[found.re.groups]


def named(kind: Kind, given: Mapping[str, Any]) -> tuple[Kind, tuple[tuple[str, str], ...]]:
    """(the kind, what goes with the words as pairs of name and value) from options or columns. Raises ValueError."""
    shown = {name: post_named(name, value) for name in REFERENCES if (value := str(given.get(name) or "").strip())}
    kind = _kind(kind, shown)
    for pair in listed(given.get("parts")):
        name, _, value = (piece.strip() for piece in pair.partition("="))
        if name not in PARTS or not value:
            raise ValueError(f"part: found {pair!r}, expected NAME=VALUE with one of: {', '.join(PARTS)}")
        shown[name] = value
    choices = listed(given.get("poll"))
    if choices and len(choices) not in _CHOICES:
        raise ValueError(f"poll: found {len(choices)} choice, expected 2 to 4" if len(choices) == 1 else "poll: expected 2 to 4 choices")
    return kind, tuple(shown.items()) + ((("poll", f"{len(choices)} choices"),) if choices else ())


def with_choices(text: str, given: Mapping[str, Any]) -> str:
    """The text with the choices of its poll, a line each, as they are read."""
    return "\n".join([text, *(f"- {choice}" for choice in listed(given.get("poll")))])


def listed(value: Any) -> list[str]:
    """The values of an option given several times, a list in JSON, or a cell with bars or lines between them."""
    pieces: Iterable[Any] = _BETWEEN.split(value) if isinstance(value, str) else value or ()
    return [text for piece in pieces if (text := str(piece).strip())]


def _kind(kind: Kind, shown: Mapping[str, str]) -> Kind:
    """What a post is that names these. Raises ValueError."""
    if "quotes" in shown and "reposts" in shown:
        raise ValueError("a post quotes another one or is its repost: give quotes or reposts")
    fits = {
        "quotes": (Kind.POST, Kind.REPLY, Kind.QUOTE),
        "reposts": (Kind.POST, Kind.REPOST),
        "answers": (Kind.POST, Kind.REPLY, Kind.QUOTE),
    }
    for name in shown:
        if kind not in fits[name]:
            raise ValueError(f"{name}: a {kind} has none")
    return Kind.QUOTE if "quotes" in shown else Kind.REPOST if "reposts" in shown else kind
