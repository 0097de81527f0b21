"""What reading one document of somebody else may take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Bounds:
    """Seconds (of wall and of processor time), bytes of memory, of input and of output, values in it, pixels of a picture."""

    seconds: float = 20
    memory: int = 256 << 20
    most_bytes: int = 64 << 20
    nodes: int = 2_000_000
    pixels: int = 16 << 20  # 4096 x 4096, the most that X gives
    answer: int = 64 << 20


class ForeignError(ValueError):
    """The document could not be read; the message says why."""


class OverLimitError(ForeignError):
    """Reading it would take more than we give."""


def joined(documents: Iterable[bytes]) -> bytes:
    """Several documents as one, each after its length."""
    return b"".join(len(one).to_bytes(4, "big") + one for one in documents)


def parted(body: bytes) -> Iterator[bytes]:
    """The documents again."""
    while body:
        end = 4 + int.from_bytes(body[:4], "big")
        yield body[4:end]
        body = body[end:]


def counted(nodes: Iterable[_T], bounds: Bounds) -> Iterator[_T]:
    """The nodes, up to the limit. Raises OverLimitError."""
    for number, node in enumerate(nodes):
        if number >= bounds.nodes:
            raise too_many(bounds)
        yield node


def too_many(bounds: Bounds) -> OverLimitError:
    """More values than we take."""
    return OverLimitError(f"it holds more than {bounds.nodes:,} values")
