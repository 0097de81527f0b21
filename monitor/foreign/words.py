"""The lines of words in a picture."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from monitor.foreign.bounds import Bounds
from monitor.foreign.picture import FORMATS, check_size

_PIXELS = 500_000  # that are read: the networks need memory by the pixel
_MOST_LARGER = 2.0
_SURE = 0.5  # of 1: below this a line is noise
_LEAN: dict[str, Any] = {
    "EngineConfig.onnxruntime.intra_op_num_threads": 1,
    "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    "Rec.rec_batch_num": 1,
    "Cls.cls_batch_num": 1,
    "Det.limit_side_len": 4_096,  # as it is: it has the size that we want
    "Det.limit_type": "max",
    "Global.max_side_len": 4_096,
    "Global.log_level": "critical",
}


def needs(bounds: Bounds) -> Bounds:
    """Three networks and what they compute do not fit into what other documents get."""
    return replace(bounds, memory=max(bounds.memory, 480 << 20))


def read(body: bytes, bounds: Bounds) -> Iterator[str]:
    """Raises whatever a decoder raises."""
    import numpy as np
    from PIL import Image
    from rapidocr import RapidOCR

    Image.MAX_IMAGE_PIXELS = None  # ours counts
    with Image.open(io.BytesIO(body), formats=FORMATS) as image:
        check_size(image.width, image.height, bounds.pixels)
        by = min(_MOST_LARGER, (_PIXELS / (image.width * image.height)) ** 0.5)
        pixels = np.asarray(image.convert("RGB").resize((max(1, int(image.width * by)), max(1, int(image.height * by)))))
    lines: Any = RapidOCR(params=_LEAN)(pixels)
    yield from (str(text) for text, sure in zip(lines.txts or (), lines.scores or (), strict=True) if float(sure) >= _SURE)
