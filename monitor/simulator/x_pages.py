"""How X cuts a timeline into pages, in all the ways it might: tokens that count posts, empty pages, late posts, odd orders."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Paging:
    """Of every timeline. A token counts posts from the newest one, so that posts which come or vanish move what it stands for."""

    between: Callable[[], object] = lambda: None  # what happens after each page
    empty: int = 0  # pages without a post before each further one
    short: int = 1_000  # posts of a page at most
    skips: int = 0  # posts that a token steps over
    loops: bool = False  # the last page names itself as the next one
    shuffled: bool = False
    miscounts: int = 0  # by so many posts
    hidden: set[str] = field(default_factory=set)  # known by their ids, and not yet on the timeline
    dice: random.Random = field(default_factory=lambda: random.Random(3))  # noqa: S311 - repeatable, not secret

    def cut(self, ids: list[int], token: str, size: int) -> tuple[list[int], dict[str, Any]]:
        """One page of these ids, newest first, and its `meta`."""
        start, barren = (int(part) for part in f"{token or 0}.0".split(".")[:2])
        if barren:
            return [], {"result_count": 0, "next_token": f"{start}.{barren - 1}"}
        size = min(size, self.short)
        page, after = ids[start : start + size], start + size
        meta: dict[str, Any] = {"result_count": len(page) + self.miscounts}
        if page:
            meta |= {"newest_id": str(max(page)), "oldest_id": str(min(page))}
        if after < len(ids):
            meta["next_token"] = f"{after + self.skips}.{self.empty}"
        elif self.loops and page:
            meta["next_token"] = token or "0.0"
        if self.shuffled:
            self.dice.shuffle(page)
        return page, meta
