"""A simulated day of random faults: every post judged exactly once, every blind period reported, nobody woken for what was planned."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from monitor.model import Human, Post, Severity, State
from monitor.simulator import x as stand_in
from tests.conftest import World
from tests.test_streams import PUSH, hear

STEP = 10.0
MINUTES = 24 * 60


@dataclass
class Day:
    """What happened."""

    w: World
    dice: random.Random
    posts: dict[str, bool] = field(default_factory=dict)  # text -> planned
    outages: list[tuple[datetime, datetime]] = field(default_factory=list)

    async def minute(self) -> None:
        """Six turns of ten seconds."""
        for _ in range(int(60 / STEP)):
            await self.w.skip(STEP)

    def post(self) -> None:
        """Something is published, planned or not; what was not pages."""
        handle, text = self.dice.choice(("acme", "brand")), f"Words of today, number {len(self.posts)}."
        self.posts[text] = self.dice.random() < 0.7
        if self.posts[text]:
            self.w.register(text, handle, window=(self.w.clock() - timedelta(minutes=1), self.w.clock() + timedelta(hours=1)))
        self.w.x.post(handle, text)

    def mischief(self) -> None:
        """One of the things that a stream or an API does, for a while."""
        x, push, dice = self.w.x, self.w.x.push, self.dice
        tricks: list[Callable[[], object]] = [
            push.close, push.cut, lambda: push.cut(b'{"data": {"event_type": "post.cre'), lambda: push.raw(b"not json\r\n"),
            lambda: push.raw(b'{"data": {"event_type": "novel.thing", "event_uuid": "9", "filter": {"user_id": "1"}, "payload": {}}}\r\n'),
            lambda: setattr(push, "stalled", True), lambda: setattr(push, "lossy", 0.5), lambda: setattr(push, "twice", 0.5),
            lambda: setattr(push, "swapped", 0.5), push.subscriptions.clear, lambda: setattr(push, "closes_at_once", True),
            lambda: x.faults.add("json", "/activity/stream", times=20, value=(429, {"title": "Too Many Requests"}, {})),
            lambda: x.faults.add("html", "/activity/", times=10),
            lambda: x.faults.add("json", "/tweets", times=dice.randint(1, 20), value=(401, stand_in.UNAUTHORIZED, {})),
            lambda: x.faults.add("html", "/2/users/", times=dice.randint(1, 20), value=404),
            lambda: x.faults.chance.update({"html": 0.2, "empty": 0.1, "broken_json": 0.1, "list_body": 0.1, "drop_before": 0.1, "half_body": 0.1}),
        ]  # fmt: skip
        dice.choice(tricks)()

    def heal(self) -> None:
        """All is well again; what a stream lost stays lost."""
        push = self.w.x.push
        push.stalled = push.closes_at_once = push.late_headers = False
        push.lossy = push.twice = push.swapped = 0.0
        self.w.x.faults.script.clear()
        self.w.x.faults.chance.clear()

    async def outage(self, minutes: int) -> None:
        """Nothing of X can be reached; people go on posting."""
        began = self.w.clock()
        self.w.x.push.cut()
        self.w.x.faults.script.clear()
        self.w.x.faults.chance = {"html": 1.0}
        for _ in range(minutes):
            if self.dice.random() < 0.3:
                self.post()
            await self.minute()
        self.heal()
        self.outages.append((began, self.w.clock()))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
async def test_a_day_of_faults(tmp_path: Path, seed: int) -> None:
    data = PUSH | {"poll_seconds": 5, "accounts": [{"handle": "acme", "id": "1"}, {"handle": "brand", "id": "2"}]}
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack, data)
        w.every |= {"listen": 600.0, "health": 15.0} | dict.fromkeys(("slack", "beat", "drill"), 1e9)
        day, minute = Day(w, random.Random(seed)), 0
        while minute < MINUTES:
            if minute % 180 == 90:
                lasts = day.dice.choice((3, 6, 15))
                await day.outage(lasts)
                minute += lasts
            if minute % 12 == 0:
                day.mischief()
            if minute % 12 == 4:
                day.heal()
            if day.dice.random() < 0.1:
                day.post()
            _resolve(w)
            await day.minute()
            minute += 1
        day.heal()
        await w.run(900)
        _judge(w, day)


def _resolve(w: World) -> None:
    """Somebody deals with every hijack at once."""
    for incident in w.service.store.unresolved():
        if incident.subject.startswith("x:"):
            with w.service.store.transaction():
                w.service.outbox.act(incident.id, Human("resolve", "alice", "test", w.clock()))


def _judge(w: World, day: Day) -> None:
    judged = [(kept.post.text, kept.incident) for kept in w.service.store.posts("baseline = 0", limit=-1) if isinstance(kept.post, Post)]
    for text, planned in day.posts.items():
        incidents = [number for said, number in judged if said == text]
        assert len(incidents) == 1, f"{text} was judged {len(incidents)} times"
        (incident,) = incidents
        assert (incident is None) is planned, f"{text}, planned: {planned}, INC-{incident}"
    assert len(day.posts) > 120
    blind = [i for i in w.service.store.incidents() if i.subject.startswith("blind:x")]
    assert len(day.outages) >= 7
    for began, ended in day.outages:
        told = [i for i in blind if began < i.opened_at <= ended + timedelta(seconds=30)]
        assert told, f"nobody was told of the outage from {began} to {ended}"
        assert all("Nothing was read from" in i.cause for i in told if i.state is State.RESOLVED)
    assert all(i.state is State.RESOLVED for i in blind), "and of its end"
    pages = [i for i in blind if i.severity is Severity.PAGE]
    outside = [i for i in pages if not any(a < i.opened_at <= b + timedelta(seconds=30) for a, b in day.outages)]
    assert len(outside) <= 6, "and hardly of what was none: only where stream and polls were both broken for a minute"
