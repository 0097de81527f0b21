"""What the codes in a picture say."""

from __future__ import annotations

import io
from collections.abc import Iterator

from monitor.foreign.bounds import Bounds
from monitor.foreign.picture import FORMATS, check_size

_LOOKED_AT = 2_048  # pixels a side


def read(body: bytes, bounds: Bounds) -> Iterator[str]:
    """Raises whatever a decoder raises."""
    import numpy as np
    import zxingcpp
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None  # ours counts
    with Image.open(io.BytesIO(body), formats=FORMATS) as image:
        check_size(image.width, image.height, bounds.pixels)
        image.draft("RGB", (_LOOKED_AT, _LOOKED_AT))
        image.thumbnail((_LOOKED_AT, _LOOKED_AT))
        pixels = np.asarray(image.convert("RGB"))
    yield from (found.text for found in zxingcpp.read_barcodes(pixels) if found.text)
