"""Pictures, each reduced to Meta's PDQ hash (see pdq.py) and to the colours of its spots. Pillow and numpy are loaded
with the first one.

PDQ says whether it is the same picture and sees a sixty-fourth of a side: another address in it moves no more bits than a
smaller copy does. The spots see what is written: another address moves the colour of one by a third.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

from monitor.foreign.bounds import Bounds, OverLimitError, parted
from monitor.verdict.shown_pictures import SAME_PICTURE, SAME_SPOT, SPOTS, distance, spot

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
_LOOKED_AT = 512  # pixels a side that PDQ makes use of
_CLEAR = 50  # of 100: below this PDQ's authors call a hash meaningless


def read(body: bytes, bounds: Bounds) -> Iterator[dict[str, str]]:
    """Of each of the pictures: its hash, or why it has none, and whether that is because it moves."""
    for data in parted(body):
        try:
            yield {"hash": hash_of(data, bounds.pixels)}
        except MovingError as error:
            yield {"moves": str(error)}
        except PictureError as error:
            yield {"doubt": str(error)}


class PictureError(Exception):
    """A picture that gives no hash; the message says why and is ours."""


class MovingError(PictureError):
    """More than a picture: what a reader sees next is not in the hash."""


def hash_of(data: bytes, pixels: int = Bounds().pixels) -> str:
    """The PDQ hash as 64 hexadecimal digits, a dot, and the red, green and blue of each spot in base64. Raises PictureError."""
    try:
        shown = zip(_as_shown(data, pixels, _LOOKED_AT), _as_shown(data, pixels), strict=True)
        hashes = [f"{_hashed(small)}.{_spots(whole)}" for small, whole in shown]
    except (PictureError, OverLimitError, MemoryError):
        raise
    except Exception as error:  # a decoder's errors are many; a hostile picture must not stop the next post
        raise PictureError(f"it could not be read as a picture ({type(error).__name__})") from error
    if distance(hashes[0], hashes[-1]) > SAME_PICTURE or (spot(hashes[0], hashes[-1]) or 0) > SAME_SPOT:
        raise PictureError("it is transparent: a light page and a dark one do not show the same")
    return hashes[0]


def _hashed(shown: Image.Image) -> str:
    import numpy as np

    from monitor import pdq

    bits, quality = pdq.compute(np.asarray(shown))
    if quality < _CLEAR:
        raise PictureError(f"it is too plain to be compared (quality {quality} of 100, at least {_CLEAR} is needed)")
    return f"{bits:064x}"


def _spots(shown: Image.Image) -> str:
    """The mean colour of each of 64 x 64 rectangles: of a smaller copy they are nearly the same."""
    from PIL.Image import Resampling

    return base64.b64encode(shown.resize((SPOTS, SPOTS), Resampling.BOX).tobytes()).decode()


def _as_shown(data: bytes, pixels: int, side: int = 0) -> list[Image.Image]:
    """The picture as readers see it: turned as it asks for, and a transparent one on white and on black, because
    the colours below what is transparent are seen by nobody but a hash. With a `side` no larger than that many pixels.
    """
    from PIL import Image, ImageOps

    Image.MAX_IMAGE_PIXELS = None  # ours counts, and is told as a limit
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        check_size(image.width, image.height, pixels)
        if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":  # of a telephone's MPO everybody shows the first
            raise MovingError("it moves, and only still pictures are compared")
        if side:
            image.draft("RGB", (side, side))
        small = image.convert("RGBA" if image.has_transparency_data else "RGB")
        if side:
            small.thumbnail((side, side))
        small = ImageOps.exif_transpose(small)
    if small.mode == "RGB":
        return [small]
    pages = (Image.new("RGBA", small.size, page) for page in ("white", "black"))
    return [Image.alpha_composite(page, small).convert("RGB") for page in pages]


def check_size(width: int, height: int, pixels: int) -> None:
    """Raises OverLimitError."""
    if width * height > pixels:
        raise OverLimitError(f"it has {width} x {height} pixels, more than we unpack")
