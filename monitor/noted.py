"""A source whose every read is noted, whether it went well or badly."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TypeVar

from monitor.model import Account, Post, Profile
from monitor.reads import AUTHOR, CREDITS, HANDLE, LOOKUP, PROFILE, SEARCH, Read, Reads
from monitor.sources.interface import PAGES, Batch, Faces, Found, Source, SourceError, Trouble

log = logging.getLogger("monitor.noted")

T = TypeVar("T")
_TELLING = ("name", "handle", "avatar", "bio", "link")  # a profile without these tells of no hijack


class Noted:
    """See `Source`. What its author did not foresee is a SourceError like any other."""

    def __init__(self, source: Source, platform: str, reads: Reads) -> None:
        self._source, self._platform, self._reads = source, platform, reads

    async def resolve(self, handles: tuple[str, ...]) -> dict[str, str | SourceError]:
        """See `Source`. That X knows no such account is an answer."""
        with self._failing(HANDLE, {f"{self._platform}:{h}": f"@{h}" for h in handles}):
            found = await self._source.resolve(handles)
        for handle in handles:
            self._say(HANDLE, f"{self._platform}:{handle}", f"@{handle}", found.get(handle, ""))
        return found

    async def read(self, account: Account, cursor: str | None, pages: int = PAGES) -> Batch:
        """See `Source`. Noted by the collector: an answer that cannot be handled is no read either."""
        return await self._source.read(account, cursor, pages)

    async def since(self, when: datetime) -> str:
        """See `Source`."""
        return await self._source.since(when)

    async def profiles(self, accounts: tuple[Account, ...]) -> Faces:
        """See `Source`. Noted by the collector: a profile that cannot be compared is not read either."""
        with self._failing(PROFILE, {a.key: a.name for a in accounts}):
            return await self._source.profiles(accounts)

    async def author(self, post: Post) -> str:
        """See `Source`."""
        return await self._about_all(AUTHOR, self._source.author(post))

    async def posts(self, accounts: tuple[Account, ...], identifiers: tuple[str, ...]) -> Found:
        """See `Source`."""
        return await self._about_all(LOOKUP, self._source.posts(accounts, identifiers))

    async def search(self, accounts: tuple[Account, ...], since: datetime) -> Found:
        """See `Source`."""
        return await self._about_all(SEARCH, self._source.search(accounts, since))

    async def balance(self) -> float | None:
        """See `Source`."""
        return await self._about_all(CREDITS, self._source.balance())

    async def _about_all(self, read: Read, asking: Awaitable[T]) -> T:
        name = "X" if self._platform == "x" else self._platform
        with self._failing(read, {self._platform: name}):
            found = await asking
        self._reads.tried(read, self._platform, name, ok=True)
        return found

    def _say(self, read: Read, about: str, name: str, found: object) -> None:
        ok = not isinstance(found, SourceError)
        self._reads.tried(read, about, name, ok=ok, why=str(found))

    @contextmanager
    def _failing(self, read: Read, names: dict[str, str]) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            foreseen = isinstance(error, SourceError) or not isinstance(error, Exception)
            gone = isinstance(error, SourceError) and error.trouble is Trouble.GONE and read is not PROFILE  # an answer like any other
            for about, name in names.items():
                self._reads.tried(read, about, name, ok=gone, why=_in_words(error))
            if foreseen:
                raise
            log.exception("a read ended in an unforeseen way")
            raise SourceError(Trouble.UNAVAILABLE, _in_words(error)) from error


def unread(accounts: Iterable[Account], faces: Faces) -> dict[str, str]:
    """Why the profiles of these accounts were not read, by their keys. A platform without profiles names none; one that names
    some of them should have named all, and one that leaves out what a scam changes has not been read.
    """
    lacks = ", ".join(name for name in _TELLING if name in faces.unseen)
    why = {}
    for account in accounts if faces.found else ():
        found = faces.found.get(account.key, "nothing was said of its profile")
        if not isinstance(found, Profile):
            why[account.key] = str(found)
        elif lacks:
            why[account.key] = f"the platform leaves out {lacks}"
    return why


def _in_words(error: BaseException) -> str:
    if isinstance(error, SourceError):
        return str(error)
    return "no answer in time" if isinstance(error, asyncio.CancelledError) else f"it could not be handled ({type(error).__name__})"
