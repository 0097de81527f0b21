"""A thousand incidents open, ten thousand pages due: the order people read in, Slack's limits, nothing lost."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from monitor.model import Incident, PageKind, Severity
from monitor.pager import BURST
from tests.conftest import World, world

INCIDENTS = 1_000
NOTES = 9


def flood(w: World, incidents: int = INCIDENTS) -> None:
    """Incidents with a page and nine notes each, all due now."""
    store, now = w.service.store, w.clock()
    with store.transaction():
        for n in range(incidents):
            one = Incident(
                0,
                f"x::{n + 10**6}",
                f"@brand{n} on X",
                Severity.PAGE,
                "Unapproved post",
                "nobody registered this post",
                now,
                now,
                posts=1,
                since=now,
            )
            number = store.save_incident(one)
            store.pages.enqueue(number, "slack", PageKind.ROOT, "first", now, ("S0SOCIAL",), None, now + timedelta(seconds=60))
            for k in range(NOTES):
                store.sql.execute(
                    "INSERT INTO pages(key, incident, route, kind, reason, mentions, created_at, next_at, step)"
                    " SELECT 'n' || ? || '-' || ?, ?, 'slack', 'note', ?, '[]', created_at, next_at, 'n' || ? || '-' || ? FROM pages WHERE incident = ? LIMIT 1",
                    [number, k, number, f"note {k}", number, k, number],
                )


async def test_a_flood_keeps_order_and_limits_and_hands_on_what_slack_is_too_slow_for(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.slack.most_per_second = 1.0
        flood(w, 120)
        await w.run(58)
        posted = [p for m, p in w.slack.calls if m == "chat.postMessage"]
        assert 50 <= len(posted) <= 64, "one a second, and a burst of four"
        assert len(w.slack.messages) == len(posted), "not one was refused for coming too fast"
        told = [m.metadata["event_payload"]["incident"] for m in w.slack.roots()]
        assert all(abs(place - number) < BURST for place, number in enumerate(told, 1)), (
            "who was first is told first, but for a burst side by side"
        )
        assert len(w.slack.roots()) == len(posted), "pages before notes"
        await w.run(10)
        waiting = w.service.store.sql.execute("SELECT count(DISTINCT incident) FROM pages WHERE route = 'stderr'").fetchone()[0]
        assert waiting >= 50, "what Slack is too slow for has another route after a minute"


async def test_within_an_incident_everything_comes_in_its_order(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        flood(w, 5)
        await w.run(58)
        for root in w.slack.roots():
            notes = [m.words().split("note ")[1][0] for m in w.slack.thread(root.ts) if "note " in m.words()]
            assert notes == [str(k) for k in range(NOTES)]
