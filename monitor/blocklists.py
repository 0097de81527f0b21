"""Block lists that the operator keeps as local files: hosts and addresses others were robbed by.

Forms read (of the lists named): a host, URL or address per line with `#` comments (OpenPhish,
Phishing.Database); JSON arrays and objects (polkadot-js/phishing, scam-database, PhishFort,
eth-phishing-detect); YAML lists of `url:` (phantom/blocklist); CSV with a value column (TweetFeed).
Something outside the daemon refreshes the files; we read a file again when it changed.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from monitor.verdict.links import host_of

_ALLOWED = frozenset({"allow", "whitelist", "allowlist"})
_NOT_ENTRIES = frozenset({"version", "tolerance", "fuzzylist"})
_MOST_BYTES = 64 << 20
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Listing:
    """One file as it was read: entries in lower case, and since when it says so."""

    name: str
    blocked: frozenset[str]
    allowed: frozenset[str]
    changed_at: datetime


@dataclass
class Blocklists:
    """The lists of the configuration. A list that cannot be read keeps its last good content; see `notes`."""

    paths: tuple[Path, ...] = ()
    stale_days: float = 7
    _known: dict[Path, Listing] = field(default_factory=dict)
    _broken: dict[Path, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self._known)

    def refresh(self) -> None:
        """Read what changed. Never raises: a broken list is a note."""
        for path in self.paths:
            try:
                changed = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                if path not in self._known or self._known[path].changed_at != changed or path in self._broken:
                    self._known[path] = read(path, changed)
                    self._broken.pop(path, None)
            except (OSError, ValueError, YAMLError, csv.Error, RecursionError) as error:
                self._broken[path] = " ".join(str(error).split())[:200] or type(error).__name__

    def notes(self, now: datetime) -> tuple[str, ...]:
        """What is wrong with the lists, in words for the operator."""
        found = [f"{path}: cannot be read ({why}); its last good content stays in use" for path, why in self._broken.items()]
        for path, listing in self._known.items():
            if path not in self._broken and now - listing.changed_at > timedelta(days=self.stale_days):
                found.append(f"{path}: unchanged for {(now - listing.changed_at).days} days: is what refreshes it still running?")
            if not listing.blocked:
                found.append(f"{path}: holds no host and no address")
        return tuple(found)

    def named(self, hosts: Iterable[str], addresses: Iterable[str]) -> tuple[str, ...]:
        """The values that stand on a list, as "value (list)"; a host also by the names above it."""
        out = []
        for value, names in [*((h, tuple(_above(h))) for h in hosts), *((a, (a.lower(),)) for a in addresses)]:
            if not any(name in listing.allowed for listing in self._known.values() for name in names):
                out += [f"{value} ({one.name})" for one in self._known.values() if any(n in one.blocked for n in names)]
        return tuple(out[:_MOST_NAMED])


def _above(host: str) -> Iterator[str]:
    """The host and the names above it, down to two labels."""
    labels = host.lower().removeprefix("www.").split(".")
    for start in range(max(1, len(labels) - 1)):
        yield ".".join(labels[start:])


def read(path: Path, changed_at: datetime) -> Listing:
    """One file in whichever form it has. Raises OSError, ValueError, YAMLError."""
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"larger than {_MOST_BYTES >> 20} MiB")
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    blocked: set[str] = set()
    allowed: set[str] = set()
    for value, allows in _FORMS.get(path.suffix.lower(), _plain)(text):
        entry = _entry(value)
        if entry:
            (allowed if allows else blocked).add(entry)
    return Listing(path.stem, frozenset(blocked), frozenset(allowed), changed_at)


def _entry(value: str) -> str:
    """A host or an address in lower case; an empty string for what is neither."""
    value = value.strip().strip("\"'").removeprefix("*.").removeprefix("||").removesuffix("^")
    if not value or " " in value:
        return ""
    host = host_of(value) if "." in value else ""
    return (host.removeprefix("www.") or value).lower()


Form = Callable[[str], Iterator[tuple[str, bool]]]


def _plain(text: str) -> Iterator[tuple[str, bool]]:
    for line in text.splitlines():
        words = line.split("#", maxsplit=1)[0].split()
        if words:
            yield words[-1], False  # a hosts file puts the address of nowhere first


def _json(text: str) -> Iterator[tuple[str, bool]]:
    yield from _values(json.loads(text), allows=False)


def _yaml(text: str) -> Iterator[tuple[str, bool]]:
    yield from _values(YAML(typ="safe").load(text), allows=False)


def _csv(text: str) -> Iterator[tuple[str, bool]]:
    for row in csv.reader(io.StringIO(text.replace("\0", ""))):
        kinds = {"url", "domain", "ip"} & {cell.strip().lower() for cell in row}
        yield from ((cell, False) for cell in row if ("." in cell and kinds) or len(cell) > 25)


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
            if "." in word or len(word) > 25:
                yield str(key), allows
            yield from _values(value, allows=allows or word in _ALLOWED)


_FORMS: dict[str, Form] = {".json": _json, ".yaml": _yaml, ".yml": _yaml, ".csv": _csv}
