"""Our PDQ is Meta's, bit by bit: the same hash and the same quality as their C++ gives, whatever the picture."""

from __future__ import annotations

import io

import numpy as np
import pdqhash
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from monitor import pdq, pictures
from monitor.foreign.picture import hash_of
from monitor.verdict.shown_pictures import SAME_PICTURE, distance

Pixels = NDArray[np.uint8]


def metas(pixels: Pixels) -> tuple[int, int]:
    """As Meta's package gives it: bits, the last one first, and quality."""
    bits, quality = pdqhash.compute(pixels)
    return int("".join(map(str, bits)), 2), quality


def noise(dice: np.random.Generator, rows: int, columns: int) -> Pixels:
    return dice.integers(0, 256, (rows, columns, 3), dtype=np.uint8)


def plain(dice: np.random.Generator, rows: int, columns: int) -> Pixels:
    return np.full((rows, columns, 3), dice.integers(0, 256, 3), dtype=np.uint8)


def tiles(dice: np.random.Generator, rows: int, columns: int) -> Pixels:
    small = dice.integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return np.kron(small, np.ones((rows // 7 + 1, columns // 9 + 1, 1), dtype=np.uint8))[:rows, :columns]


def slopes(dice: np.random.Generator, rows: int, columns: int) -> Pixels:
    y, x = np.mgrid[:rows, :columns]
    steps = dice.integers(1, 9, 3)
    return np.stack([x * steps[0] % 256, y * steps[1] % 256, (x + y) * steps[2] % 256], axis=2).astype(np.uint8)


def waves(dice: np.random.Generator, rows: int, columns: int) -> Pixels:
    y, x = np.mgrid[:rows, :columns]
    along, down = dice.uniform(3, 40, 2)
    return np.stack([127 + 120 * np.sin(x / along + y / down + phase) for phase in range(3)], axis=2).astype(np.uint8)


def black_and_white(dice: np.random.Generator, rows: int, columns: int) -> Pixels:
    return np.repeat(dice.integers(0, 2, (rows, columns, 1), dtype=np.uint8) * np.uint8(255), 3, axis=2)


@pytest.mark.parametrize("drawn", [noise, plain, tiles, slopes, waves, black_and_white], ids=lambda d: d.__name__)
@given(seed=st.integers(0, 2**32), rows=st.integers(1, 300), columns=st.integers(1, 300))
def test_every_picture_has_the_hash_and_the_quality_that_metas_package_gives(drawn: object, seed: int, rows: int, columns: int) -> None:
    pixels = np.ascontiguousarray(drawn(np.random.default_rng(seed), rows, columns))  # type: ignore[operator]
    assert pdq.compute(pixels) == metas(pixels)


SIDES = [(1, 1), (4, 900), (5, 5), (5, 4), (63, 64), (64, 64), (64, 65), (65, 63), (127, 128), (128, 129), (129, 257), (512, 512), (512, 341), (1_000, 37), (1_537, 1_023)]  # fmt: skip


@pytest.mark.parametrize(("rows", "columns"), SIDES)
def test_the_sizes_at_which_its_windows_change_are_hashed_alike(rows: int, columns: int) -> None:
    for drawn in (noise, tiles, waves):
        pixels = np.ascontiguousarray(drawn(np.random.default_rng(rows + columns), rows, columns))
        assert pdq.compute(pixels) == metas(pixels)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I;16"])
def test_every_kind_of_picture_file_is_hashed_alike(mode: str) -> None:
    drawn = Image.fromarray(np.ascontiguousarray(tiles(np.random.default_rng(3), 300, 400)))
    drawn = drawn.convert("L").convert(mode) if mode == "I;16" else drawn.convert(mode)
    pixels = np.asarray(drawn.convert("RGB"))
    assert pdq.compute(pixels) == metas(pixels)


def saved(image: Image.Image, form: str = "PNG", **more: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **more)
    return out.getvalue()


def boxes(seed: int = 1) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(tiles(np.random.default_rng(seed), 300, 420)))


def test_what_hides_below_transparent_parts_is_not_what_a_reader_sees() -> None:
    """The colours are the registered picture's, and the transparency draws another one over them."""
    planned, other = boxes(1), boxes(2)
    hidden = planned.copy()
    hidden.putalpha(other.convert("L"))
    with pytest.raises(pictures.PictureError, match="a light page and a dark one"):
        hash_of(saved(hidden))
    faint = planned.copy()
    faint.putalpha(Image.new("L", planned.size, 250))
    assert distance(hash_of(saved(faint)), hash_of(saved(planned))) <= SAME_PICTURE


def test_a_photograph_that_lies_on_its_side_is_turned_as_every_viewer_turns_it() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    lying = saved(boxes().rotate(90, expand=True), "JPEG", exif=exif, quality=90)
    assert distance(hash_of(lying), hash_of(saved(boxes()))) <= SAME_PICTURE


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_what_moves_is_no_picture_that_could_be_compared(form: str) -> None:
    with pytest.raises(pictures.MovingError, match="it moves"):
        hash_of(saved(boxes(1), form, save_all=True, append_images=[boxes(2)]))
    assert hash_of(saved(boxes(1), form))
