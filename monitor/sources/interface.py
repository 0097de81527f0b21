"""The edge every platform has: a Source gives Batches or raises a SourceError, a Stream tells by itself.

Neither waits nor retries: they say whether and when a retry can help, and the schedule does it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from monitor.model import Account, Post, Profile, Unreadable

if TYPE_CHECKING:
    import aiohttp

Clock = Callable[[], datetime]
PAGES = 10  # of one read; the rest is read by the next one
LONGEST_WAIT = timedelta(hours=25)  # that a platform may ask for: some limits are for a day


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

    def __init__(self, trouble: Trouble, message: str, retry_at: datetime | None = None, *, for_all: bool = False) -> None:
        super().__init__(message)
        self.trouble = trouble
        self.retry_at = retry_at
        self.seen: Batch | None = None  # what came all the same: it is judged, and moves no cursor
        self.for_all = for_all  # the platform named a time at which it answers anybody of ours again
        self.page: Mapping[str, Any] = {}  # what the platform said instead, where it can be read
        self.body = b""  # and as it came

    @property
    def helps_to_wait(self) -> bool:
        """Whether the same request may succeed later without anybody doing something."""
        return self.trouble in (Trouble.RATE_LIMITED, Trouble.UNAVAILABLE, Trouble.NETWORK)


@dataclass(frozen=True, slots=True)
class Limit:
    """What the platform still allows: requests until a time, and how many of them a whole window has (0: not said)."""

    remaining: int
    reset_at: datetime
    whole: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """What one read found, oldest first, with the answers as received.

    `cursor` is where the next read starts; only the source understands it. `window` is the time
    from which this batch holds every post there is: a known post newer than it and absent was
    deleted. `missed` says in words what could not be read yet, `lost` what never can be. A batch without
    a cursor is a sighting: what a stream, a lookup or a search showed. Only a poll moves the cursor.
    """

    items: tuple[Post | Unreadable, ...]
    cursor: str | None
    bodies: tuple[bytes, ...] = ()
    window: datetime | None = None
    limit: Limit | None = None
    missed: str = ""
    lost: str = ""
    overdue: datetime | None = None


@dataclass(frozen=True, slots=True)
class Faces:
    """What accounts look like, by account key; a SourceError where one cannot be seen.

    `newest` is the id of the newest post of each, where the platform says it. `unseen` are fields of profiles that the
    platform does not give now: their values say nothing.
    """

    found: dict[str, Profile | SourceError]
    bodies: tuple[bytes, ...] = ()
    newest: dict[str, str] = field(default_factory=dict)
    limit: Limit | None = None
    unseen: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Found:
    """What asking for posts by id gave: each with its newest version, and which of the ids are gone.

    `missed` says in words why a search did not come to its end.
    """

    items: tuple[Post | Unreadable, ...] = ()
    gone: frozenset[str] = frozenset()
    bodies: tuple[bytes, ...] = ()
    missed: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """One line of a stream, read. `key` names the event for ever; without one it is a beat.

    `account` is the key of the account concerned. `partial` is set where a post may lack a part: it is asked for
    by id before it is judged. `shown` are the fields of `profile` that were there: a missing one says nothing.
    `changed` is (field, before, after). `odd` says why it was not understood, `trouble` that the platform ends the stream.
    """

    key: str = ""
    kind: str = ""
    account: str = ""
    item: Post | Unreadable | None = None
    partial: bool = False
    profile: Profile | None = None
    shown: tuple[str, ...] = ()
    changed: tuple[str, str, str] | None = None
    deleted: str = ""
    notice: str = ""
    odd: str = ""
    trouble: SourceError | None = None
    line: bytes = b""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a stream will tell: the keys of the accounts whose posts it covers, what was said on the way, when to go on.

    `profiles` are the keys of those of which it tells every change of name, handle, picture, bio and link.
    """

    covered: frozenset[str]
    notes: tuple[str, ...] = ()
    again_at: datetime | None = None
    profiles: frozenset[str] = frozenset()


class Observer(Protocol):
    """What an edge notices in passing. Must not raise."""

    def billed(self, kind: str, identifiers: Iterable[str]) -> None:
        """Resources of a kind that an answer carried."""
        ...

    def odd(self, what: str, sample: bytes) -> None:
        """Something unlike the documentation, in words that stay the same for the same oddity."""
        ...

    def evidence(self, what: str, sample: bytes) -> None:
        """The body of a read that failed, kept once for the same words; nobody is told of it."""
        ...

    def dated(self, theirs: datetime) -> None:
        """What time the platform says it is."""
        ...

    def remember(self, name: str, value: str) -> None:
        """Something small that the edge has learnt, to be recalled after a restart."""
        ...

    def recall(self, name: str) -> str:
        """What was remembered under this name, or an empty string."""
        ...


class Unobserved:
    """Nobody takes notes."""

    def billed(self, kind: str, identifiers: Iterable[str]) -> None:
        """Nothing."""

    def odd(self, what: str, sample: bytes) -> None:
        """Nothing."""

    def evidence(self, what: str, sample: bytes) -> None:
        """Nothing."""

    def dated(self, theirs: datetime) -> None:
        """Nothing."""

    def remember(self, name: str, value: str) -> None:
        """Nothing."""

    def recall(self, name: str) -> str:  # noqa: ARG002
        """Nothing."""
        return ""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a source is built from: its configuration table and what all edges share."""

    options: Mapping[str, Any]
    session: aiohttp.ClientSession
    clock: Clock
    observer: Observer = field(default_factory=Unobserved)


class Source(Protocol):
    """One platform. Every method may raise SourceError and nothing else."""

    async def resolve(self, handles: tuple[str, ...]) -> dict[str, str | SourceError]:
        """The immutable id behind each handle, or why it is not known."""
        ...

    async def read(self, account: Account, cursor: str | None, pages: int = PAGES) -> Batch:
        """Everything published since `cursor`, at most so many pages; without one, the recent posts for the baseline."""
        ...

    async def since(self, when: datetime) -> str:
        """A cursor from which everything published since then is read, as far as the platform still shows it."""
        ...

    async def profiles(self, accounts: tuple[Account, ...]) -> Faces:
        """What each account looks like, with the answers as received."""
        ...

    async def author(self, post: Post) -> str:
        """The handle of whoever wrote the post that this one refers to; empty when the platform does not say."""
        ...

    async def posts(self, accounts: tuple[Account, ...], identifiers: tuple[str, ...]) -> Found:
        """These posts as they are now, at most a hundred, in their newest versions; of these accounts only."""
        ...

    async def search(self, accounts: tuple[Account, ...], since: datetime) -> Found:
        """What can be found of these accounts another way than by `read`, where there is one. Late, and not everything."""
        ...

    async def balance(self) -> float | None:
        """Dollars left with the platform, where it says so."""
        ...


class Stream(Protocol):
    """What a platform tells by itself: speed, never the truth. Every method but `read` may raise SourceError, nothing else."""

    connects: int  # allowed in fifteen minutes

    async def probe(self) -> str:
        """Whether this app may use it: what was found, in words."""
        ...

    async def prepare(self, accounts: tuple[Account, ...]) -> Prepared:
        """Ask to be told about these accounts; what is asked for already stays."""
        ...

    def connect(self) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open the stream; chunks of bytes as they come. Waits as long as it takes for an answer to begin."""
        ...

    def read(self, line: bytes) -> Told:
        """One line of it. Never raises."""
        ...
