"""A recorded day, at its own pace or faster."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from monitor.model import Account, Post
from monitor.sources import replay
from monitor.sources.interface import Settings
from tests.conftest import START, Clock

ACCOUNT = Account("replay", "acme", "acme")
LINES = [
    {"id": "1", "text": "Good morning.", "created_at": "2026-01-01T08:00:00Z", "account": "acme"},
    {"id": "2", "text": "Somebody else.", "created_at": "2026-01-01T08:30:00Z", "account": "other"},
    {"id": "3", "text": "At nine.", "created_at": "2026-01-01T09:00:00Z"},
    {"data": [{"id": "1990000000000000001", "text": "A page &amp; a post", "created_at": "2026-01-01T10:00:00.000Z", "author_id": "acme"}]},
]


async def _texts(path: Path, clock: Clock, speed: float, hours: list[float]) -> list[list[str]]:
    async with aiohttp.ClientSession() as session:
        source = replay.build(Settings({"file": str(path), "speed": speed}, session, clock), {})
        batch = await source.read(ACCOUNT, None)
        out = []
        for hour in hours:
            clock.now = START + timedelta(hours=hour)
            batch = await source.read(ACCOUNT, batch.cursor)
            out.append([i.text for i in batch.items if isinstance(i, Post)])
        return out


async def test_a_day_is_replayed_in_both_forms_at_its_pace(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "day.jsonl"
    path.write_text("\n".join(map(json.dumps, LINES)))
    assert await _texts(path, clock, 1, [0, 1, 1.5, 2]) == [["Good morning."], ["At nine."], [], ["A page & a post"]]


async def test_a_day_can_pass_in_minutes(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "day.jsonl"
    path.write_text("\n".join(map(json.dumps, LINES)))
    assert await _texts(path, clock, 60, [2 / 60]) == [["Good morning.", "At nine.", "A page & a post"]]


async def test_a_line_that_is_no_post_is_named(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "day.jsonl"
    path.write_text(json.dumps(LINES[0]) + "\nnonsense\n")
    with pytest.raises(ValueError, match="line 2: not a post or a page of posts"):
        await _texts(path, clock, 1, [])
