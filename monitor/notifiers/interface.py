"""The edge every channel has: a Notifier delivers one Letter or raises a NotifierError.

Notifiers never retry. They say what went wrong in the one way that matters: what to do now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from monitor.model import Human, Incident, Page
from monitor.post_rows import Kept

if TYPE_CHECKING:
    import aiohttp


class Refusal(StrEnum):
    """What a failed send means for the page."""

    SLOW_DOWN = "slow down"  # not accepted; wait `retry_after`
    NOT_ACCEPTED = "not accepted"  # surely not accepted; try again soon
    UNKNOWN = "unknown"  # may have been accepted: look before sending again
    CREDENTIALS = "credentials"  # a person must mend it: another route now, keep trying
    DESTINATION = "destination"  # likewise
    CONTENT = "content"  # our message is refused: send it plain
    LOST = "lost"  # the message to edit or answer is gone: open a new thread
    ALONE = "alone"  # accepted, and not below the message it answers, which is gone: `receipt` says where


class NotifierError(Exception):
    """A send that did not succeed. The message is ours and holds no secret; `code` is the channel's own word for it.

    `retry_after` is in seconds; 0 where the channel does not say.
    """

    def __init__(self, refusal: Refusal, message: str, retry_after: float = 0, *, code: str = "", receipt: str = "") -> None:
        super().__init__(message)
        self.refusal = refusal
        self.retry_after = retry_after
        self.code, self.receipt = code, receipt
        self.heard: tuple[Human, ...] = ()  # what people did in the part of a thread that was read all the same


@dataclass(frozen=True, slots=True)
class Letter:
    """A page and everything needed to word it, read from the store at the moment of sending.

    `root` is the receipt of the incident's first message on this route. `posts` are the incident's
    (for a NOTE: those it tells of). `next_at` is when the next page leaves if nobody acts. `root_key` is the key of that
    first message.
    """

    page: Page
    incident: Incident
    posts: tuple[Kept, ...]
    now: datetime
    root: str = ""
    next_at: datetime | None = None
    next_step: str = ""
    root_key: str = ""
    silenced_until: datetime | None = None
    note: str = ""  # what is wrong with a channel's own buttons, to be said in the message
    anchor: str = ""  # head of the audit chain and key of this monitor: whoever keeps the message can prove an export by it


@dataclass(frozen=True, slots=True)
class Settings:
    """What a notifier is built from: its configuration table and what all edges share."""

    options: Mapping[str, Any]
    session: aiohttp.ClientSession
    clock: Callable[[], datetime]


class Notifier(Protocol):
    """One channel. Every method may raise NotifierError and nothing else."""

    async def send(self, letter: Letter) -> str:
        """Deliver; the receipt says where it is. Returning means that the channel accepted it."""
        ...

    async def find(self, letter: Letter) -> str:
        """The receipt of a page that may have been accepted, or an empty string."""
        ...

    async def humans(self, root: str) -> tuple[Human, ...]:
        """What people did in the thread, again and again: acting twice changes nothing. Raises LOST where the thread is gone."""
        ...

    async def check(self) -> str:
        """Prove that a page could be delivered now; returns who and where in words."""
        ...

    async def shout(self, text: str) -> None:
        """Say something that could not be written down (a full disk)."""
        ...
