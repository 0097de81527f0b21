"""Pictures of a post, fetched within bounds and reduced to a hash that can be compared.

The hash is Meta's PDQ (see pdq.py). A picture that cannot be fetched or read is a doubt in words. Pillow and numpy
are loaded with the first picture: a daemon that compares none does without them.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp

from monitor.model import Media, Post
from monitor.verdict.shown_pictures import MOVING, SAME_PICTURE, distance

if TYPE_CHECKING:
    from PIL import Image

MOST_BYTES = 8 << 20  # X allows 5 MB a picture
MOST_OF_A_FILE = 10_000_000
MOST_PIXELS = 50_000_000
SECONDS = 5
_TYPES = ("image/jpeg", "image/png", "image/webp", "image/gif")
FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
_LOOKED_AT = 512  # pixels a side that PDQ makes use of
_CLEAR = 50  # of 100: below this PDQ's authors call a hash meaningless
_TRIES = 2


class PictureError(Exception):
    """A picture that gives no hash; the message says why and is ours."""


class MovingError(PictureError):
    """More than a picture: what a reader sees next is not in the hash."""


def hash_of(data: bytes) -> str:
    """The PDQ hash as 64 hexadecimal digits. Raises PictureError."""
    try:
        hashes = [_hashed(shown) for shown in _as_shown(data)]
    except PictureError:
        raise
    except Exception as error:  # a decoder's errors are many; a hostile picture must not stop the next post
        raise PictureError(f"it could not be read as a picture ({type(error).__name__})") from error
    if distance(hashes[0], hashes[-1]) > SAME_PICTURE:
        raise PictureError("it is transparent: a light page and a dark one do not show the same")
    return hashes[0]


def _hashed(shown: Image.Image) -> str:
    import numpy as np

    from monitor import pdq

    bits, quality = pdq.compute(np.asarray(shown))
    if quality < _CLEAR:
        raise PictureError(f"it is too plain to be compared (quality {quality} of 100, at least {_CLEAR} is needed)")
    return f"{bits:064x}"


def _as_shown(data: bytes) -> list[Image.Image]:
    """The picture as readers see it: turned as it asks for, and a transparent one on white and on black, because
    the colours below what is transparent are seen by nobody but a hash.
    """
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        if image.width * image.height > MOST_PIXELS:
            raise PictureError(f"it has {image.width} x {image.height} pixels, more than we unpack")
        if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":  # of a telephone's MPO everybody shows the first
            raise MovingError("it moves, and only still pictures are compared")
        image.draft("RGB", (_LOOKED_AT, _LOOKED_AT))
        small = image.convert("RGBA" if image.has_transparency_data else "RGB")
        small.thumbnail((_LOOKED_AT, _LOOKED_AT))
        small = ImageOps.exif_transpose(small)
    if small.mode == "RGB":
        return [small]
    pages = (Image.new("RGBA", small.size, page) for page in ("white", "black"))
    return [Image.alpha_composite(page, small).convert("RGB") for page in pages]


def hash_of_file(path: Path) -> str:
    """Raises PictureError."""
    try:
        if not path.is_file():  # a pipe would keep us waiting, a device has no end
            raise PictureError("there is no such file")
        with path.open("rb") as file:
            data = file.read(MOST_OF_A_FILE + 1)
    except (OSError, ValueError) as error:
        raise PictureError(f"it cannot be read ({getattr(error, 'strerror', '') or 'no name of a file'})") from error
    if len(data) > MOST_OF_A_FILE:
        raise PictureError(f"it is larger than {MOST_OF_A_FILE // 1_000_000} MB")
    return hash_of(data)


class Pictures:
    """Fetches from the platform's own media hosts and from nowhere else; follows no redirect."""

    def __init__(self, session: aiohttp.ClientSession, hosts: Iterable[str]) -> None:
        self._session, self._hosts = session, frozenset(hosts)

    async def compared(self, post: Post) -> Post:
        """The post with each picture's hash or the doubt about it. Never raises, takes seconds at most."""
        return replace(post, media=tuple(await asyncio.gather(*map(self._one, post.media))))

    async def bytes_of(self, media: Media) -> bytes:
        """Raises PictureError."""
        if not media.url:
            raise PictureError("the platform gives no address for it")
        url = urlsplit(media.url)
        loopback = url.hostname == "127.0.0.1"
        if url.netloc not in self._hosts or (url.scheme != "https" and not loopback):
            raise PictureError("it does not lie on the platform's media hosts")
        for left in reversed(range(_TRIES)):
            try:
                return await asyncio.wait_for(self._get(media.url), SECONDS)
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

    async def _one(self, media: Media) -> Media:
        if media.type in MOVING:
            return media  # of a video only one frame would be compared
        try:
            return replace(media, hash=await asyncio.to_thread(hash_of, await self.bytes_of(media)))
        except PictureError as error:
            return replace(media, doubt=str(error))
