"""The last resort: one line to stderr, which systemd's journal keeps, at level alert.

It always accepts, so a page is never without a route.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from monitor import safe
from monitor.model import Human, Post
from monitor.notifiers.interface import Letter, Settings

_ALERT = "<1>"  # sd-daemon(3): the journal reads the level from this prefix


def build(settings: Settings, secrets: Mapping[str, str]) -> StderrNotifier:  # noqa: ARG001 - every notifier is built so
    """Needs nothing."""
    return StderrNotifier()


class StderrNotifier:
    """See `Notifier`."""

    async def send(self, letter: Letter) -> str:
        """Write the line; it is accepted when it is written."""
        incident = letter.incident
        first = next((k.post.text for k in letter.posts if isinstance(k.post, Post)), "")
        quote = f" | post: {safe.for_log(first, 120)}" if first else ""
        self._write(
            f"PAGE INC-{incident.id} {safe.for_log(incident.headline)} {safe.for_log(incident.name)}: "
            f"{safe.for_log(incident.reason)} ({safe.for_log(letter.page.reason)}){quote}"
            f"{f' | anchor {letter.anchor}' if letter.anchor else ''}"
        )
        return f"stderr:{letter.page.key}"

    def _write(self, line: str) -> None:
        sys.stderr.write(f"{_ALERT}{line}\n")
        sys.stderr.flush()

    async def find(self, letter: Letter) -> str:  # noqa: ARG002
        """A line written before a crash is written again: twice is better than never."""
        return ""

    async def humans(self, root: str) -> tuple[Human, ...]:  # noqa: ARG002
        """Nobody answers a log."""
        return ()

    async def check(self) -> str:
        """It is there."""
        return "stderr, kept by the journal"

    async def shout(self, text: str) -> None:
        """Write it."""
        self._write(safe.for_log(text, 1_000))
