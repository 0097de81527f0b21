"""Pictures for stories: drawn from a name, the same every time, and like no other name's."""

from __future__ import annotations

import io
import random


def planned(name: str) -> bytes:
    """As comms have it: a PNG."""
    from PIL import Image, ImageDraw

    dice = random.Random(name)  # noqa: S311 - nothing secret
    image = Image.new("RGB", (800, 600), _colour(dice))
    pen = ImageDraw.Draw(image)
    for _ in range(40):
        x, y = dice.randrange(700), dice.randrange(500)
        pen.rectangle((x, y, x + dice.randrange(20, 300), y + dice.randrange(20, 300)), fill=_colour(dice))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def published(name: str) -> bytes:
    """As a platform serves it: smaller, and JPEG."""
    from PIL import Image

    with Image.open(io.BytesIO(planned(name))) as image:
        out = io.BytesIO()
        image.resize((600, 450)).save(out, "JPEG", quality=80)
    return out.getvalue()


def _colour(dice: random.Random) -> tuple[int, int, int]:
    return dice.randrange(256), dice.randrange(256), dice.randrange(256)
