"""Block lists: hosts and addresses others were robbed by. An entry that is allowed begins with "@@", as in ad blockers.

Forms read (of the lists named): a host, URL or address per line with `#` comments (OpenPhish,
Phishing.Database); JSON arrays and objects (polkadot-js/phishing, scam-database, PhishFort,
eth-phishing-detect); YAML lists of `url:` (phantom/blocklist); CSV with a value column (TweetFeed).
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.events import AliasEvent, MappingEndEvent, MappingStartEvent, NodeEvent, ScalarEvent, SequenceEndEvent, SequenceStartEvent

from monitor.foreign.bounds import Bounds, ForeignError, counted, too_many
from monitor.verdict.links import host_of

ALLOWED = "@@"
_ALLOWED = frozenset({"allow", "whitelist", "allowlist"})
_NOT_ENTRIES = frozenset({"version", "tolerance", "fuzzylist"})
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"')
_LONG = 25  # characters: a word so long is an address
_LONGEST = 2_000

Form = Callable[[str, Bounds], Iterator[tuple[str, bool]]]


def read(body: bytes, bounds: Bounds, *, ending: str) -> Iterator[str]:
    """Every entry, in lower case. `ending` is that of the file's name."""
    text = body.decode("utf-8-sig", "replace")
    for value, allows in _FORMS.get(ending, _plain)(text, bounds):
        entry = _entry(value[:_LONGEST])
        if entry:
            yield f"{ALLOWED}{entry}" if allows else entry


def _entry(value: str) -> str:
    """A host or an address in lower case; an empty string for what is neither."""
    value = value.strip().strip("\"'").removeprefix("*.").removeprefix("||").removesuffix("^")
    if not value or " " in value:
        return ""
    host = host_of(value) if "." in value else ""
    return (host.removeprefix("www.") or value).lower()


def _plain(text: str, bounds: Bounds) -> Iterator[tuple[str, bool]]:
    for line in counted(io.StringIO(text, newline=None), bounds):
        words = line.split("#", maxsplit=1)[0].split()
        if words:
            yield words[-1], False  # a hosts file puts the address of nowhere first


def _json(text: str, bounds: Bounds) -> Iterator[tuple[str, bool]]:
    structure = _STRING.sub(b"", text.encode("utf-8", "replace"))  # counted before anything is built
    if sum(structure.count(mark) for mark in (b",", b":", b"[", b"{")) > bounds.nodes:
        raise too_many(bounds)
    yield from _values(json.loads(text), allows=False)


def _yaml(text: str, bounds: Bounds) -> Iterator[tuple[str, bool]]:
    """From the events of the parser, never from what a loader makes of aliases: nine lines of them stand for billions of values."""
    events = counted(YAML(typ="safe").parse(text), bounds)
    for event in events:
        if isinstance(event, NodeEvent):
            yield from _values(_node(event, events), allows=False)


def _node(event: Any, events: Iterator[Any]) -> Any:
    """The node that the event begins. Raises ForeignError for an alias."""
    if isinstance(event, AliasEvent):
        raise ForeignError(f"it has a YAML alias (*{event.anchor}), which may stand for billions of values: write them out")
    if isinstance(event, SequenceStartEvent):
        items = []
        while not isinstance(event := next(events), SequenceEndEvent):
            items.append(_node(event, events))
        return items
    if isinstance(event, MappingStartEvent):
        pairs: dict[str, list[Any]] = {}
        while not isinstance(event := next(events), MappingEndEvent):
            key = str(_node(event, events))
            pairs.setdefault(key, []).append(_node(next(events), events))
        return pairs
    assert isinstance(event, ScalarEvent)
    value = str(event.value)
    return value if "." in value or len(value) > _LONG or event.style else ""


def _csv(text: str, bounds: Bounds) -> Iterator[tuple[str, bool]]:
    left = bounds.nodes
    for row in csv.reader(io.StringIO(text.replace("\0", ""))):
        left -= len(row)
        if left < 0:
            raise too_many(bounds)
        kinds = {"url", "domain", "ip"} & {cell.strip().lower() for cell in row}
        yield from ((cell, False) for cell in row if ("." in cell and kinds) or len(cell) > _LONG)


def _values(data: Any, *, allows: bool) -> Iterator[tuple[str, bool]]:
    """Every text below; object keys count where what they hold are addresses or hosts."""
    if isinstance(data, str):
        yield data, allows
    elif isinstance(data, list):
        for item in data:
            yield from _values(item, allows=allows)
    elif isinstance(data, dict):
        for key, value in data.items():
            word = str(key).lower()
            if word in _NOT_ENTRIES:
                continue
            if "." in word or len(word) > _LONG:
                yield str(key), allows
            yield from _values(value, allows=allows or word in _ALLOWED)


_FORMS: dict[str, Form] = {".json": _json, ".yaml": _yaml, ".yml": _yaml, ".csv": _csv}
