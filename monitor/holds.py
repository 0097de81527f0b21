"""Legal holds: an incident that is held keeps everything of it, whatever `[retention]` or somebody else's wish to forget says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from monitor import desk, record
from monitor.desk import DeskError
from monitor.record import stamp
from monitor.store import Store


@dataclass(frozen=True, slots=True)
class Hold:
    """Who set it, when and why."""

    incident: int
    who: str
    at: datetime
    reason: str

    def __str__(self) -> str:
        return f"held by {self.who} since {self.at:%Y-%m-%d %H:%M} UTC: {self.reason}"

    def row(self) -> dict[str, str | None]:
        """For JSON."""
        return {"who": self.who, "at": stamp(self.at), "reason": self.reason}


def every(store: Store) -> Mapping[int, Hold]:
    """Those in force, by incident."""
    rows = store.sql.execute("SELECT incident, who, at, reason FROM holds ORDER BY incident")
    return {row["incident"]: Hold(row["incident"], row["who"], record.utc(row["at"]), row["reason"]) for row in rows}


def hold(store: Store, number: int, who: str, reason: str, now: datetime, **where: str) -> None:
    """Keep everything of an incident. `where` goes into the audit row. Raises DeskError."""
    reason = _given(reason)
    with store.transaction():
        if store.incident(number) is None:
            raise DeskError(desk.no_incident(store, number))
        if there := every(store).get(number):
            raise DeskError(f"INC-{number} is already {there}")
        store.sql.execute("INSERT INTO holds VALUES(?, ?, ?, ?)", [number, who, stamp(now), reason])
        store.audit(now, who, "hold begun", f"INC-{number}", reason=reason, posts=_posts(store, number), **where)


def release(store: Store, number: int, who: str, reason: str, now: datetime, **where: str) -> None:
    """From now on `[retention]` counts again. Raises DeskError."""
    reason = _given(reason)
    with store.transaction():
        there = every(store).get(number)
        if there is None:
            raise DeskError(f"INC-{number} is not held; `hijack-monitor incidents list` shows those that are")
        store.sql.execute("DELETE FROM holds WHERE incident = ?", [number])
        store.audit(now, who, "hold released", f"INC-{number}", reason=reason, posts=_posts(store, number), was=str(there), **where)


def _given(reason: str) -> str:
    if not reason.strip():
        raise DeskError("a reason is needed: whoever looks at it years later has nothing else to go by")
    return reason.strip()


def _posts(store: Store, number: int) -> int:
    return int(store.sql.execute("SELECT count(*) FROM posts WHERE incident = ?", [number]).fetchone()[0])
