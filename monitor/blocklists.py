"""Block lists that the operator keeps as local files: hosts and addresses others were robbed by.

Something outside the daemon refreshes the files; we read a file again when it changed. The forms are those of
`foreign/blocklist.py`, which reads them in a process of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from monitor.foreign.bounds import ForeignError
from monitor.foreign.sandbox import Sandbox

_ALLOWED = "@@"  # before an entry, as in ad blockers
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
    _tried: dict[Path, tuple[int, int]] = field(default_factory=dict)  # when it was changed, and its size

    def moved(self, paths: tuple[Path, ...], stale_days: float) -> Blocklists:
        """These lists, with what is known of those that are among ours."""
        kept: tuple[dict[Path, Any], ...] = (self._known, self._broken, self._tried)
        return Blocklists(paths, stale_days, *({p: one[p] for p in paths if p in one} for one in kept))

    def __bool__(self) -> bool:
        return bool(self._known)

    async def refresh(self, sandbox: Sandbox) -> None:
        """Read what changed. Never raises: a broken list is a note, and read again when it changes."""
        for path in self.paths:
            try:
                about = path.stat()
                mark = (about.st_mtime_ns, about.st_size)
                if self._tried.get(path) != mark:
                    self._known[path] = await _read(path, datetime.fromtimestamp(about.st_mtime, UTC), sandbox)
                    self._broken.pop(path, None)
                    self._tried[path] = mark
            except ForeignError as error:
                self._broken[path], self._tried[path] = str(error), mark
            except OSError as error:
                self._broken[path] = " ".join(str(error).split())[:200]
                self._tried.pop(path, None)

    def troubles(self) -> dict[str, str]:
        """Of every list why it cannot be read now, or an empty string."""
        return {str(path): self._broken.get(path, "") for path in self.paths}

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


async def _read(path: Path, changed_at: datetime, sandbox: Sandbox) -> Listing:
    """One file in whichever form it has. Raises OSError, ForeignError."""
    entries = await sandbox.read("blocklist", f"block list {path}", path, ending=path.suffix.lower())
    blocked = frozenset(str(e) for e in entries if not str(e).startswith(_ALLOWED))
    allowed = frozenset(str(e).removeprefix(_ALLOWED) for e in entries if str(e).startswith(_ALLOWED))
    return Listing(path.stem, blocked, allowed, changed_at)
