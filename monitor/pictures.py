"""Pictures of a post, fetched within bounds and reduced to a hash that can be compared.

The hash is made by a process of its own (foreign/picture.py). A picture that cannot be fetched or read is a doubt in words.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from monitor import safe
from monitor.foreign.bounds import ForeignError, joined
from monitor.foreign.picture import MovingError, PictureError
from monitor.foreign.sandbox import Sandbox
from monitor.model import Media, Post
from monitor.reads import PICTURE, Reads
from monitor.verdict.shown_pictures import MOVING

__all__ = ["MovingError", "PictureError", "Pictures", "bytes_of_file", "hash_in", "hashes"]

MOST_BYTES = 8 << 20  # X allows 5 MB a picture
MOST_OF_A_FILE = 10_000_000
SECONDS = 5
_TYPES = ("image/jpeg", "image/png", "image/webp", "image/gif")
_TRIES = 2
_HASH = re.compile(r"[0-9a-f]{64}\.[A-Za-z0-9+/]{16384}")


def bytes_of_file(path: Path) -> bytes:
    """A planned picture. Raises PictureError."""
    try:
        if not path.is_file():  # a pipe would keep us waiting, a device has no end
            raise PictureError("there is no such file")
        with path.open("rb") as file:
            data = file.read(MOST_OF_A_FILE + 1)
    except (OSError, ValueError) as error:
        raise PictureError(f"it cannot be read ({getattr(error, 'strerror', '') or 'no name of a file'})") from error
    if len(data) > MOST_OF_A_FILE:
        raise PictureError(f"it is larger than {MOST_OF_A_FILE // 1_000_000} MB")
    return data


class Pictures:
    """Fetches from the platform's own media hosts and from nowhere else; follows no redirect."""

    def __init__(self, session: aiohttp.ClientSession, hosts: Iterable[str], sandbox: Sandbox, reads: Reads) -> None:
        self._session, self.hosts, self.sandbox, self._reads = session, frozenset(hosts), sandbox, reads

    async def compared(self, post: Post) -> Post:
        """The post with each picture's hash or the doubt about it. Never raises, takes seconds at most."""
        bodies = await asyncio.gather(*map(self._fetched, post.media))
        read = iter(await hashes([b for b in bodies if isinstance(b, bytes)], self.sandbox))
        found = [next(read) if isinstance(body, bytes) else body for body in bodies]
        return replace(post, media=tuple(map(_with, post.media, found)))

    async def _fetched(self, media: Media) -> bytes | PictureError | None:
        if media.type in MOVING:
            return None  # of a video only one frame would be compared
        try:
            return await self.bytes_of(media)
        except PictureError as error:
            return error

    async def bytes_of(self, media: Media) -> bytes:
        """Raises PictureError."""
        if not media.url:
            raise PictureError("the platform gives no address for it")
        url = urlsplit(media.url)
        loopback = url.hostname == "127.0.0.1"
        if url.netloc not in self.hosts or (url.scheme != "https" and not loopback):
            raise PictureError("it does not lie on the platform's media hosts")
        try:
            found = await self._tried(media.url)
        except PictureError as error:
            self._reads.tried(PICTURE, "pictures", ok=False, why=str(error))
            raise
        self._reads.tried(PICTURE, "pictures", ok=True)
        return found

    async def _tried(self, url: str) -> bytes:
        for left in reversed(range(_TRIES)):
            try:
                return await asyncio.wait_for(self._get(url), SECONDS)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                if not left:
                    what = f"it did not come within {SECONDS} s" if isinstance(error, TimeoutError) else type(error).__name__
                    raise PictureError(f"it could not be fetched: {what}") from error
        raise AssertionError

    async def _get(self, url: str) -> bytes:
        async with self._session.get(url, allow_redirects=False) as answer:
            if answer.status != 200:
                raise PictureError(f"the media host answered {answer.status}")
            if answer.content_type not in _TYPES:
                raise PictureError("the media host sent something that is no picture")
            data = await answer.content.read(MOST_BYTES + 1)
            while len(data) <= MOST_BYTES and (more := await answer.content.read(MOST_BYTES + 1 - len(data))):
                data += more
            if len(data) > MOST_BYTES:
                raise PictureError(f"it is larger than {MOST_BYTES >> 20} MiB")
            return data


def _with(media: Media, found: str | PictureError | None) -> Media:
    return replace(media, hash=found) if isinstance(found, str) else replace(media, doubt=str(found)) if found else media


async def hash_in(data: bytes, sandbox: Sandbox) -> str:
    """Raises PictureError."""
    (found,) = await hashes([data], sandbox)
    if isinstance(found, PictureError):
        raise found
    return found


async def hashes(pictures: list[bytes], sandbox: Sandbox) -> list[str | PictureError]:
    """The hash of each, or why it has none. One bomb among them leaves the others without a hash too."""
    if not pictures:
        return []
    try:
        said = await sandbox.read("picture", "a picture", joined(pictures))
    except ForeignError as error:
        return [PictureError(str(error))] * len(pictures)
    return [_hash_said(one) for one in said] if len(said) == len(pictures) else [PictureError("it could not be read")] * len(pictures)


def _hash_said(said: object) -> str | PictureError:
    """As the child said it, which a hostile picture may have taken over."""
    of = said if isinstance(said, dict) else {}
    if "moves" in of:
        return MovingError("it moves, and only still pictures are compared")
    found = str(of.get("hash", ""))
    return found if _HASH.fullmatch(found) else PictureError(safe.clean(str(of.get("doubt", "it could not be read")), 200))
