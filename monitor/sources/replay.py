"""A recorded day: JSON lines, replayed at real or accelerated time, for drills and back-tests.

A line is either our own form (the keys of `hijack-monitor judge`: id, text, and optionally
created_at, kind, urls, account) or a whole X API v2 timeline page as it came. `account` may be a
handle or an id; a line without one belongs to every account.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from monitor.model import Account, Kind, Post, Unreadable
from monitor.sources._x_payload import id_time, includes, is_id, read_post
from monitor.sources.interface import PAGES, Batch, Faces, Found, Settings, SourceError

_SNOWFLAKE_DIGITS = 15  # a shorter id carries no time


def build(settings: Settings, secrets: Mapping[str, str]) -> ReplaySource:  # noqa: ARG001 - every source is built so
    """The recording named by `file`; `speed` times faster than it happened (default 1).

    Raises OSError when the file cannot be read and ValueError naming the line that is not JSON.
    """
    path = Path(str(settings.options["file"]))
    return ReplaySource(path, float(settings.options.get("speed", 1)), settings)


class ReplaySource:
    """See `Source`. Time in the recording runs from the moment the source is built."""

    def __init__(self, path: Path, speed: float, settings: Settings) -> None:
        self._clock, self._speed, self._started = settings.clock, speed, settings.clock()
        self._items = sorted(_recorded(path, self._started), key=lambda i: i[1].created_at)
        self._begins = self._items[0][1].created_at if self._items else self._started

    async def resolve(self, handles: tuple[str, ...]) -> dict[str, str | SourceError]:
        """A recording knows handles only."""
        return {handle: handle for handle in handles}

    async def read(self, account: Account, cursor: str | None, pages: int = PAGES) -> Batch:  # noqa: ARG002 - has none
        """What has happened in the recording since the cursor, a position in it."""
        until = self._begins + (self._clock() - self._started) * self._speed
        start = int(cursor or 0)
        due = [i for i in self._items[start:] if i[1].created_at <= until]
        mine = [replace(i[1], account=account.key) for i in due if i[0] in ("", account.id, account.handle)]
        first = cursor is None
        return Batch(() if first else tuple(mine), str(start if first else start + len(due)))

    async def since(self, when: datetime) -> str:  # noqa: ARG002
        """A recording is short: from its beginning."""
        return "0"

    async def profiles(self, accounts: tuple[Account, ...]) -> Faces:  # noqa: ARG002
        """A recording of posts holds no profiles."""
        return Faces({})

    async def author(self, post: Post) -> str:
        """A recording says it in the post or not at all."""
        return post.referenced_author

    async def posts(self, accounts: tuple[Account, ...], identifiers: tuple[str, ...]) -> Found:  # noqa: ARG002
        """Nothing is edited in a recording, nothing deleted."""
        return Found()

    async def search(self, accounts: tuple[Account, ...], since: datetime) -> Found:  # noqa: ARG002
        """There is no other way to find anything in a recording."""
        return Found()

    async def balance(self) -> float | None:
        """It costs nothing."""
        return None


def _recorded(path: Path, now: datetime) -> Iterator[tuple[str, Post | Unreadable]]:
    """(account, post) for every post of the file."""
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                data = json.loads(line)
                yield from _of_line(data, now)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise ValueError(f"{path}: line {number}: not a post or a page of posts ({error})") from error


def _of_line(data: dict[str, Any], now: datetime) -> Iterator[tuple[str, Post | Unreadable]]:
    if isinstance(data.get("data"), list):
        more = includes(data)
        for item in data["data"]:
            yield str(item.get("author_id", "")), read_post(item, "", more, now)
    elif "text" in data:
        yield str(data.get("account", "")), line_post(data, "")


def line_post(data: Mapping[str, Any], account: str) -> Post:
    """A line of our own form as a Post. Raises KeyError, TypeError or ValueError."""
    identifier, created = str(data["id"]), data.get("created_at")
    stamped = is_id(identifier) and len(identifier) >= _SNOWFLAKE_DIGITS
    when = _when(created) if created else id_time(identifier) if stamped else datetime.now(UTC)
    links = tuple(str(u) for u in data.get("urls") or ())
    text = data["text"]
    if not isinstance(text, str):
        raise TypeError(f"text: found {type(text).__name__}, expected a string")
    text = text.encode("utf-8", "replace").decode()
    kind = Kind(data.get("kind", "post")) if data.get("kind") in tuple(Kind) else Kind.POST
    return Post(account, identifier, kind, text, when, identifier, links=links, lang=str(data.get("lang") or ""))


def _when(text: str) -> datetime:
    """ISO 8601 or the old Twitter form; without a zone it is UTC."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        when = datetime.strptime(text, "%a %b %d %H:%M:%S %z %Y")
    return when if when.tzinfo else when.replace(tzinfo=UTC)
