"""Everything else: Telegram, Twilio, Pushover and a hundred more through Apprise, the extra `hijack-monitor[apprise]`.

Apprise says yes or no and not why (measured: no status, no receipt), so a no is always tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from monitor.model import Human, PageKind, State
from monitor.notifiers import _words
from monitor.notifiers.interface import Letter, NotifierError, Refusal, Settings

DEADLINE_SECONDS = 30


def build(settings: Settings, secrets: Mapping[str, str]) -> AppriseNotifier:  # noqa: ARG001 - every notifier is built so
    """The secret `apprise_urls` holds one service URL a line. Raises KeyError without it, ValueError for one nobody knows."""
    urls = [u.strip() for u in secrets["apprise_urls"].splitlines() if u.strip()]
    try:
        import apprise
    except ImportError as error:
        raise ValueError("the extra is not installed: pip install 'hijack-monitor[apprise]'") from error
    services = apprise.Apprise()
    for number, url in enumerate(urls, 1):
        if not services.add(url):
            raise ValueError(f"apprise_urls: line {number} is no URL that Apprise knows (github.com/caronc/apprise/wiki)")
    return AppriseNotifier(services, len(urls))


class AppriseNotifier:
    """See `Notifier`. A receipt is the page's key."""

    def __init__(self, services: Any, count: int) -> None:
        self._services, self._count = services, count

    async def send(self, letter: Letter) -> str:
        """A message for what wakes, and one when it is over. Further posts are not told."""
        if letter.page.kind is PageKind.NOTE or (letter.page.kind is PageKind.SYNC and letter.incident.state is not State.RESOLVED):
            return "nothing to tell"
        await self._notify(_words.headline(letter), _words.body(letter))
        return letter.page.key

    async def _notify(self, title: str, body: str) -> None:
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                done = await self._services.async_notify(title=title, body=body, body_format="text")
        except Exception as error:  # noqa: BLE001 - its plugins raise whatever their libraries do
            raise NotifierError(Refusal.NOT_ACCEPTED, f"Apprise failed ({type(error).__name__})") from None
        if not done:
            raise NotifierError(Refusal.NOT_ACCEPTED, "a service behind Apprise did not accept it")

    async def find(self, letter: Letter) -> str:  # noqa: ARG002
        """There is nowhere to look."""
        return ""

    async def humans(self, root: str) -> tuple[Human, ...]:  # noqa: ARG002
        """One way."""
        return ()

    async def check(self) -> str:
        """A service can only be tried by sending: `drill` does."""
        return f"{self._count} service(s) through Apprise"

    async def shout(self, text: str) -> None:
        """Something that nothing in the store knows of."""
        await self._notify("hijack-monitor", _words.line(text, 1_000))
