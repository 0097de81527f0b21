"""The edge every platform has: a Source gives Batches or raises a SourceError.

Sources never wait and never retry: they say whether and when a retry can help, and the schedule
does it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from monitor.model import Account, Post, Profile, Unreadable

if TYPE_CHECKING:
    import aiohttp

Clock = Callable[[], datetime]


class Trouble(StrEnum):
    """Why a read failed, by what can be done about it."""

    CREDENTIALS = "credentials"  # 401, 403: a person must renew or re-enrol
    CREDITS = "credits"  # 402, usage cap: a person must pay
    GONE = "gone"  # the account is suspended, deactivated or protected
    RATE_LIMITED = "rate limited"  # wait until `retry_at`
    REJECTED = "rejected"  # 400: our request is wrong, repeating it changes nothing
    UNAVAILABLE = "unavailable"  # 5xx, HTML, broken JSON: theirs, passes
    NETWORK = "network"  # no answer in time


class SourceError(Exception):
    """A read that gave nothing. The message is ours, in words for the person paged, no secrets."""

    def __init__(self, trouble: Trouble, message: str, retry_at: datetime | None = None) -> None:
        super().__init__(message)
        self.trouble = trouble
        self.retry_at = retry_at

    @property
    def helps_to_wait(self) -> bool:
        """Whether the same request may succeed later without anybody doing something."""
        return self.trouble in (Trouble.RATE_LIMITED, Trouble.UNAVAILABLE, Trouble.NETWORK)


@dataclass(frozen=True, slots=True)
class Limit:
    """What the platform still allows: requests until a time."""

    remaining: int
    reset_at: datetime


@dataclass(frozen=True, slots=True)
class Batch:
    """What one read found, oldest first, with the answers as received.

    `cursor` is where the next read starts; only the source understands it. `window` is the time
    from which this batch holds every post there is: a known post newer than it and absent was
    deleted. `missed` says in words what could not be read yet, `lost` what never can be.
    """

    items: tuple[Post | Unreadable, ...]
    cursor: str
    bodies: tuple[bytes, ...] = ()
    window: datetime | None = None
    limit: Limit | None = None
    missed: str = ""
    lost: str = ""


@dataclass(frozen=True, slots=True)
class Faces:
    """What accounts look like, by account key; a SourceError where one cannot be seen."""

    found: dict[str, Profile | SourceError]
    bodies: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """What a source is built from: its configuration table and what all edges share."""

    options: Mapping[str, Any]
    session: aiohttp.ClientSession
    clock: Clock
    extra: Mapping[str, Any] = field(default_factory=dict)


class Source(Protocol):
    """One platform. Every method may raise SourceError and nothing else."""

    async def resolve(self, handle: str) -> str:
        """The immutable id behind a handle."""
        ...

    async def read(self, account: Account, cursor: str | None) -> Batch:
        """Everything published since `cursor`; without one, the recent posts for the baseline."""
        ...

    async def profiles(self, accounts: tuple[Account, ...]) -> Faces:
        """What each account looks like, with the answers as received."""
        ...

    async def author(self, post: Post) -> str:
        """The handle of whoever wrote the post that this one refers to; empty when the platform does not say."""
        ...

    async def missing(self, account: Account, identifiers: tuple[str, ...]) -> set[str]:
        """Those of the posts that are gone."""
        ...
