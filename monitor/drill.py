"""A drill: a marked hijack of nobody, through the real path, which a human has to acknowledge.

It is a recording of one post, read by the real replay source, judged by the real rules, paged by the real pager.
Its account is `replay::drill`: no platform has it, so that nothing real is ever taken for a drill, nor a drill for real.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from monitor import private
from monitor.desk import DeskError
from monitor.incidents import DRILL, minutes
from monitor.judging import Judge
from monitor.model import Account, Incident
from monitor.outbox import Outbox
from monitor.sources import replay
from monitor.sources.interface import Settings
from monitor.store import Store

ACCOUNT = Account("replay", "drill", "drill")
TEXT = (
    "DRILL, asked for by {who}: this was posted nowhere. Acknowledge it as you would a real one. It says what hijackers say: "
    "send BTC to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa and get double back"
)
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
LATE = timedelta(hours=1)  # after its hour a drill that was missed waits for the next day it is due


async def begin(store: Store, judge: Judge, outbox: Outbox, clock: Callable[[], datetime], wake: Callable[[], None], who: str) -> int:
    """Write a drill down; the running daemon pages it. Returns the incident. Raises DeskError when one is open."""
    from monitor.watch import Watch  # with half of our modules, which `status` does not need

    now = clock()
    going = store.open_incident(DRILL)
    if going:
        raise DeskError(f"INC-{going.id} is a drill that nobody has acknowledged yet")
    file = store.path.parent / "drill.jsonl"
    line = {"id": str(int(now.timestamp() * 1000)), "text": TEXT.format(who=who), "created_at": now.isoformat(), "account": ACCOUNT.handle}
    private.write(file, f"{json.dumps(line)}\n".encode())
    nothing: Any = None  # a recording needs no HTTP session
    watch = Watch(ACCOUNT, replay.build(Settings({"file": str(file)}, nothing, clock), {}), store, judge, outbox, clock, wake)
    with store.transaction():
        store.sql.execute("UPDATE accounts SET cursor = NULL, first_seen = coalesce(first_seen, ?) WHERE key = ?", [now.isoformat(), DRILL])
        store.audit(now, who, "drill", "drill")
    await watch.poll()  # where the recording begins
    await watch.poll()
    file.unlink(missing_ok=True)
    begun = store.open_incident(DRILL)
    if begun is None:
        raise DeskError("the drill's post was judged harmless: `hijack-monitor check` says what the rules do")
    return begun.id


def last(store: Store) -> Incident | None:
    """The newest drill."""
    return next((i for i in store.incidents_of(DRILL)), None)


def words(store: Store) -> str:
    """How the last drill went: when, time to page, time to acknowledge, by whom."""
    one = last(store)
    if one is None:
        return "never"
    sent = min((p.sent_at for p in store.pages.of(one.id) if p.sent_at), default=None)
    paged = f"paged after {minutes(sent - one.opened_at)}" if sent else "not yet accepted by a channel"
    took = (
        f"acknowledged after {minutes(one.acknowledged_at - one.opened_at)} by {one.acknowledged_by}"
        if one.acknowledged_at
        else "not acknowledged"
    )
    return f"INC-{one.id}, {one.opened_at:%d %b %H:%M} UTC: {paged}, {took}"


def due(latest: datetime | None, now: datetime, every_days: int, weekday: str, hour: int) -> bool:
    """Whether a scheduled drill should begin now. Times are UTC."""
    slot = now.astimezone(UTC).replace(hour=hour, minute=0, second=0, microsecond=0)
    if not slot <= now < slot + LATE or (weekday and WEEKDAYS[slot.weekday()] != weekday):
        return False
    return latest is None or slot - latest > timedelta(days=every_days) - timedelta(hours=12)


def vitals(store: Store, now: datetime, every_days: int) -> dict[str, object]:
    """By the names of `health.Vitals`: only an acknowledged drill proves that a page wakes somebody."""
    answered = max((i.acknowledged_at for i in store.incidents_of(DRILL) if i.acknowledged_at), default=None)
    return {"drill": overdue(store, now, every_days), "well": {"drill": answered}}


def overdue(store: Store, now: datetime, every_days: int) -> str:
    """Why the last drill is not good enough, or an empty string. Nothing is overdue before the first."""
    drills = store.incidents_of(DRILL)
    if not drills:
        return ""
    answered = next((i for i in drills if i.acknowledged_at), None)
    newest = drills[0]
    if newest.resolved_at and not newest.acknowledged_at:
        return f"nobody acknowledged INC-{newest.id} of {newest.opened_at:%d %b}"
    late = answered is not None and now - answered.opened_at > timedelta(days=2 * every_days)
    return f"the last one that somebody acknowledged was on {answered.opened_at:%d %b}" if late and answered else ""
