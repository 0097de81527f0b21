"""Where words of a post stand among other text, in all the forms that they take there, and what is left when they are taken out. Pure."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from monitor import safe
from monitor.verdict.text import skeleton

SHORTEST = 12  # characters: anything shorter stands in what is not about the post, too
_BEGINNING = 40  # characters by which a text is known that was cut
_OUT = "[redacted]"
_QUOTED = re.compile(r"“[^”]*(?:”|$)")


class Quotations:
    """Of these texts. Without one that is long enough nothing is searched for."""

    def __init__(self, texts: Iterable[str]) -> None:
        whole = {form for text in texts for form in _forms(text)}
        self.whole = tuple(sorted(filter(_is_long, whole), key=len, reverse=True))
        self.begun = tuple(form[:_BEGINNING] for form in self.whole if len(form) > _BEGINNING * 1.5)
        self.needles = tuple(dict.fromkeys((*self.begun, *(form for form in self.whole if not form.startswith(self.begun or ("\0",))))))
        found = [*(f"{re.escape(form)}" for form in self.whole), *(f'{re.escape(form)}[^”\\\\"]*' for form in self.begun)]
        self._pattern = re.compile("|".join(found)) if found else None

    def stands_in(self, text: str | bytes) -> bool:
        """Whether any of them does, whole or by its beginning."""
        if isinstance(text, bytes):
            return any(needle.encode() in text for needle in self.needles)
        return any(needle in text for needle in self.needles)

    def without(self, text: str) -> str:
        """The text without them. JSON stays JSON."""
        pattern = self._pattern
        return _in_strings(text, lambda said: pattern.sub(_OUT, said)) if pattern else text


def without_quotes(text: str) -> str:
    """Whatever stands in quotation marks is somebody else's word. JSON stays JSON."""
    return _in_strings(text, lambda said: _QUOTED.sub(f"“{_OUT}”", said))


def _in_strings(text: str, change: Callable[[str], str]) -> str:
    """Of JSON every string apart: a change across what separates or escapes them would break it."""
    try:
        value = json.loads(text) if text[:1] in ("{", "[") else None
    except (ValueError, RecursionError):
        value = None
    if value is None:
        return change(text)
    left = _walked(value, change)
    return text if left == value else json.dumps(left, ensure_ascii=False)


def _walked(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(name): _walked(one, change) for name, one in value.items()}
    return [_walked(one, change) for one in value] if isinstance(value, list) else value


def holds(body: bytes, ids: frozenset[str]) -> bool:
    """Whether a platform's answer holds one of these posts, and does not only name it. What is no JSON holds what it names."""
    if not any(one.encode() in body for one in ids):
        return False
    try:
        return _holds(json.loads(body), ids)
    except (ValueError, RecursionError):
        return True


def _holds(value: Any, ids: frozenset[str]) -> bool:
    if isinstance(value, dict):
        said = {"text", "full_text", "note_tweet", "content"} & value.keys()
        mine = {str(value.get(name)) for name in ("id", "id_str", "rest_id")} | set(map(str, value.get("edit_history_tweet_ids") or ()))
        return bool(said and mine & ids) or any(_holds(one, ids) for one in value.values())
    return isinstance(value, list) and any(_holds(one, ids) for one in value)


def _forms(text: str) -> Iterable[str]:
    """As it stands, as JSON writes it, as platforms escape it, as messages defang it, and folded."""
    for form in (
        text,
        html.escape(text, quote=False),
        safe.for_terminal(text, 50_000),
        safe.for_slack_sentence(text, 50_000),
        skeleton(text)[:500],
    ):
        for ascii_only in (False, True):
            yield json.dumps(form, ensure_ascii=ascii_only)[1:-1]
        yield form


def _is_long(form: str) -> bool:
    return len(form.strip()) >= SHORTEST
