"""When each route was last told that the database cannot be used: kept outside of it, for a unit that is restarted all night.

In the first of these folders that takes it: systemd's RUNTIME_DIRECTORY, which outlives a restart and no reboot, the data
folder, the folder for temporary files.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from monitor import private, record

AGAIN = timedelta(minutes=15)


class Reported:
    """`data` is the folder of the database, by which several monitors of one user are told apart."""

    def __init__(self, data: Path) -> None:
        name = f"hijack-monitor-{hashlib.sha256(str(data.absolute()).encode()).hexdigest()[:12]}.reported"
        runtime = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
        self._files = tuple(folder / name for folder in (*([Path(runtime)] if runtime else []), data, Path(tempfile.gettempdir())))

    def due(self, routes: Iterable[str], words: Iterable[str], now: datetime, again: timedelta = AGAIN) -> list[str]:
        """The routes that have to be told: within `again` before now they were not, or not of all these posts."""
        last, told = self._last(), _hashes(words)
        return [r for r in routes if not (r in last and timedelta() <= now - last[r][0] < again and told <= last[r][1])]

    def told(self, routes: Iterable[str], words: Iterable[str], now: datetime) -> bool:
        """These were; whether that could be kept anywhere."""
        last = self._last() | {route: (now, _hashes(words)) for route in routes}
        body = json.dumps({route: [record.stamp(at), *sorted(hashes)] for route, (at, hashes) in last.items()}).encode()
        for file in self._files:
            with contextlib.suppress(OSError):
                private.write(file, body)
                return True
        return False

    def _last(self) -> dict[str, tuple[datetime, frozenset[str]]]:
        """By route, the newest of what is kept. What somebody else wrote there says nothing."""
        found: dict[str, tuple[datetime, frozenset[str]]] = {}
        for file in self._files:
            with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
                about = file.lstat()
                said = json.loads(file.read_bytes()) if about.st_uid == os.geteuid() and about.st_size < 1 << 20 else {}
                for route, (at, *hashes) in said.items():
                    moment = record.moment(at)
                    if moment and moment.tzinfo and (route not in found or moment > found[route][0]):
                        found[route] = moment, frozenset(hashes)
        return found


def _hashes(words: Iterable[str]) -> frozenset[str]:
    """Of a post nothing is kept but this."""
    return frozenset(hashlib.sha256(w.encode("utf-8", "replace")).hexdigest()[:16] for w in words)
