"""A row that cannot be read is set aside, with a page about it: one of them must not stop the pages of all others.

What stood in it stays in the audit chain.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from monitor import health, record
from monitor.incidents import Event
from monitor.model import Severity
from monitor.outbox import Outbox
from monitor.pages import UNFINISHED
from monitor.record import stamp
from monitor.store import Store

log = logging.getLogger("monitor.pager")

SUBJECT = (
    "gap:pages:"  # before an incident's number: another one wakes by itself; closed by a person: nothing of ours can see that it is over
)


def bad_rows(store: Store, outbox: Outbox, now: datetime) -> int:
    """Set aside every unfinished page and unresolved incident that cannot be read; how many. Raises sqlite3.Error."""
    with store.transaction():
        pages = _unreadable(store, f"SELECT * FROM pages WHERE state IN {UNFINISHED}", record.page)  # noqa: S608 - ours
        found = _unreadable(store, "SELECT * FROM incidents WHERE state != 'resolved'", record.incident)
        for row, why in pages:
            _drop_page(store, row, why, now)
        for row, why in found:
            _close_incident(store, row, why, now)
        for row, why in pages:
            _tell(store, outbox, row["incident"], f"a message to {row['route']} ({row['reason']})", why, now)
        for row, why in found:
            sentence = (
                f"INC-{row['id']} ({row['headline']}: {row['reason']}) is damaged in the database ({why}) and was closed: this one takes its "
                "place. Look at the account"
            )
            outbox.happened(Event(row["subject"], row["name"], Severity.PAGE, "An incident could not be read", sentence, now), now)
    return len(pages) + len(found)


def letter(store: Store, outbox: Outbox, page: Any, why: str, now: datetime) -> None:
    """Nothing can be made of this page, in plain words neither. Raises sqlite3.Error."""
    with store.transaction():
        if store.pages.move(page.id, ("ready", "sending", "unknown"), "dead", last_error=f"set aside: {why}", fallback_at=None):
            _tell(store, outbox, page.incident, f"a message to {page.route} ({page.reason})", why, now)


def _tell(store: Store, outbox: Outbox, incident: int, what: str, why: str, now: datetime) -> None:
    row = store.sql.execute("SELECT subject, name, headline, reason FROM incidents WHERE id = ?", [incident]).fetchone()
    if row is None or row["subject"].startswith(SUBJECT):  # what tells of it cannot be told either: the journal has it
        log.critical("INC-%d: %s was set aside: %s", incident, what, why)
        return
    sentence = (
        f"{row['name']}: {row['headline']} (INC-{incident}: {row['reason']}). The page about it, {what}, could not be made ({why}): nobody "
        f"was told by it. Look at the account, then at `hijack-monitor incidents show {incident}`"
    )
    outbox.happened(
        Event(f"{SUBJECT}{incident}", health.OURSELVES, Severity.PAGE, "A page could not be made", sentence, now, silenceable=False), now
    )


def _unreadable(store: Store, query: str, read: Callable[[Any], object]) -> list[tuple[Any, str]]:
    found = []
    for row in store.sql.execute(query).fetchall():
        try:
            read(row)
        except Exception as error:
            log.exception("row %s cannot be read", row["id"])
            found.append((row, type(error).__name__))
    return found


def _drop_page(store: Store, row: Any, why: str, now: datetime) -> None:
    store.audit(now, "monitor", "row set aside", f"page {row['id']}", why=why, row=dict(row))
    store.sql.execute(
        "UPDATE pages SET state = 'dead', kind = 'note', mentions = '[]', created_at = ?, next_at = ?, fallback_at = NULL, sent_at = NULL,"
        " last_error = ? WHERE id = ?", [stamp(now), stamp(now), f"set aside: {why}", row["id"]],
    )  # fmt: skip


def _close_incident(store: Store, row: Any, why: str, now: datetime) -> None:
    store.audit(now, "monitor", "row set aside", f"INC-{row['id']}", why=why, row=dict(row))
    store.sql.execute(
        "UPDATE incidents SET state = 'resolved', severity = ?, hosts = '[]', skeletons = '[]', opened_at = ?, last_at = ?,"
        " acknowledged_at = NULL, resolved_by = 'monitor', resolved_at = ?, cause = ?, last_paged_at = NULL, since = NULL, held_until = NULL,"
        " outcome = 'over' WHERE id = ?",
        [int(Severity.PAGE), stamp(now), stamp(now), stamp(now), f"it could not be read ({why}) and was set aside", row["id"]],
    )  # fmt: skip
