"""Where words of a post stand among other text, in all the forms that they take there, and what is left when they are taken out. Pure."""

from __future__ import annotations

import html
import json
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from monitor import safe
from monitor.verdict.text import skeleton

SHORTEST = 12  # characters: anything shorter stands in what is not about the post, too
_BEGINNING = 40  # characters by which a text is known that was cut
_ALL = 50_000  # characters
_TRIES = 1_000  # in a text
_OUT = "[redacted]"
_SAYS, _NAMES = {"text", "full_text", "note_tweet", "note_post", "content"}, {"id", "id_str", "rest_id", "author_id", "created_at"}
_QUOTED = re.compile(r"“[^”]*(?:”|$)")
_LONG = 200  # characters after which a text may be cut without saying so
_SAID_CUT = re.compile(r"\s*(?P<mark>…|\\u2026)")  # what follows on a text that was cut
_CUT = re.compile(r"""(?P<mark>\s*(?:…|\\u2026)|)(?:(?<=…)|(?<=u2026)|$|[\\”"'<>&])""")


class Quotations:
    """Of these texts. Without one that is long enough nothing is searched for. What stands `beside` them (alternative texts, words of
    pictures, values of a profile) is often a name of ours alone: it is searched for when it is long.
    """

    def __init__(self, texts: Iterable[str], beside: Iterable[str] = ()) -> None:
        said = [*texts, *(text for text in beside if len(text.strip()) >= _BEGINNING)]
        whole = {form for text in said for form in _forms(text)}
        self.whole = tuple(sorted(filter(_is_long, whole), key=len, reverse=True))
        self.begun = tuple(dict.fromkeys(form[:_BEGINNING] for form in self.whole if len(form) > _BEGINNING * 1.5))
        self.needles = tuple(dict.fromkeys((*self.begun, *(form for form in self.whole if not form.startswith(self.begun or ("\0",))))))
        self.texts = frozenset(said)
        forms = ["(?P<whole>" + "|".join(map(re.escape, self.whole)) + ")", *map(re.escape, self.begun)]
        self._pattern = re.compile("|".join(forms)) if self.whole else None

    def stands_in(self, text: str | bytes) -> bool:
        """Whether any of them does, whole or cut off."""
        if isinstance(text, bytes):
            there = any(needle.encode("utf-8", "surrogatepass") in text for needle in self.needles)
            return there and self.stands_in(text.decode("utf-8", "replace"))
        return next(self._places(text), None) is not None

    def is_repeated_in(self, texts: Iterable[str]) -> bool:
        """Whether somebody says the same: one of these is one of ours, or holds a long one, whole or cut off with “…”."""
        return any(text in self.texts or any(end - begin >= _BEGINNING for begin, end in self._places(text, _SAID_CUT)) for text in texts)

    def without(self, text: str) -> str:
        """The text without them. JSON stays JSON."""
        return _in_strings(text, self._taken_out) if self._pattern else text

    def _taken_out(self, text: str) -> str:
        left, at = "", 0
        for begin, end in self._places(text):
            left, at = left + text[at:begin] + _OUT, end
        return left + text[at:]

    def _places(self, text: str, cut: re.Pattern[str] = _CUT) -> Iterator[tuple[int, int]]:
        """Where they stand, from where to where. Another text that only begins like one of them is none of them."""
        at, missed = 0, 0
        while self._pattern and (found := self._pattern.search(text, at)):
            begin, end, same = found.start(), found.end("whole"), 0
            if end < 0:
                end, same = max(_cut_off(form, text, begin, cut) for form in self.whole)
            if end > 0:
                yield begin, end
                at = end
            else:  # whoever repeats a beginning without end makes us no longer than this
                missed += 1
                at = begin + 1 if missed < _TRIES else begin + max(1, same - _BEGINNING)


def _cut_off(form: str, text: str, begin: int, cut: re.Pattern[str]) -> tuple[int, int]:
    """Where this form ends that may begin here and be cut off, 0 when it does not; and how much is the same."""
    same = bisect_left(range(len(form)), 1, key=lambda n: int(not text.startswith(form[: n + 1], begin)))
    off = cut.match(text, begin + same) if same >= _BEGINNING else None
    return (off.end("mark") if off and (off["mark"] or same >= _LONG) else 0), same


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
        mine = _named(value) | set(map(str, value.get("edit_history_tweet_ids") or ()))
        return bool(_SAYS & value.keys() and mine & ids) or any(_holds(one, ids) for one in value.values())
    return isinstance(value, list) and any(_holds(one, ids) for one in value)


def _named(post: dict[str, Any]) -> set[str]:
    return {str(post.get(name)) for name in ("id", "id_str", "rest_id")}


def without_posts(body: bytes, ids: Iterable[str], why: str) -> bytes:
    """A platform's answer without what these posts say; a later version of one is none of them. What is no JSON stays."""
    there = frozenset(one for one in ids if one.encode() in body)
    try:
        value = json.loads(body) if there else None
        left = _bare(value, there, why)
    except (ValueError, RecursionError):
        return body
    return body if left == value else json.dumps(left, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _bare(value: Any, ids: frozenset[str], why: str) -> Any:
    if isinstance(value, dict):
        if _SAYS & value.keys() and _named(value) & ids:
            return {name: said for name, said in value.items() if name in _NAMES} | {"cut": why}
        return {name: _bare(one, ids, why) for name, one in value.items()}
    return [_bare(one, ids, why) for one in value] if isinstance(value, list) else value


def _forms(text: str) -> Iterable[str]:
    """As it stands, as JSON writes it, as platforms escape it, as messages defang it, and folded."""
    readable = (text, safe.clean(text, _ALL), safe.for_slack_literal(text, _ALL))
    for form in {
        *readable,
        *(html.escape(one, quote=quote) for one in readable for quote in (False, True)),
        *(show(text, _ALL) for show in (safe.for_terminal, safe.for_slack_sentence, safe.for_slack_markup)),
        skeleton(text)[:500],
    }:
        for ascii_only in (False, True):
            yield json.dumps(form, ensure_ascii=ascii_only)[1:-1]
        yield form


def _is_long(form: str) -> bool:
    return len(form.strip()) >= SHORTEST
