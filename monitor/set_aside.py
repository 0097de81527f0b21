"""A row that cannot be read is set aside, with a page about it: one of them must not stop the pages of all others.

What stood in it stays in the audit chain.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from monitor import health, record, registered, safe
from monitor.incidents import Event
from monitor.model import Account, Kind, Profile, Severity, State
from monitor.outbox import Outbox
from monitor.pages import UNFINISHED
from monitor.record import stamp
from monitor.store import Store

log = logging.getLogger("monitor.pager")

SUBJECT = (
    "gap:pages:"  # before an incident's number: another one wakes by itself; closed by a person: nothing of ours can see that it is over
)
_LISTED, _TEXT = 10, 100  # incidents, characters


def bad_rows(store: Store, outbox: Outbox, now: datetime) -> int:
    """Set aside every silence, incident and unfinished page that cannot be read, and the registrations that were met; how many.

    All of them are mended before the first is told: telling reads the others. Raises sqlite3.Error.
    """
    with store.transaction():
        pages = _unreadable(store, f"SELECT * FROM pages WHERE state IN {UNFINISHED}", record.page)  # noqa: S608 - ours
        silences = _unreadable(store, "SELECT * FROM silences", record.silence)
        found = _unreadable(store, "SELECT * FROM incidents", record.incident)
        plans = _unreadable(store, f"SELECT * FROM approved WHERE id IN ({_met(store, 'approved')})", registered.read)  # noqa: S608 - numbers
        for row, why in pages:
            _drop_page(store, row, why, now)
        for row, why in plans:
            _withdraw(store, row, why, now)
        for row, why in silences:
            _end_silence(store, row, why, now)
        for row, why in found:
            _close_incident(store, row, why, now)
        for row, why in pages:
            _tell(store, outbox, row["incident"], f"a message to {row['route']} ({row['reason']})", why, now)
        events = [_of_registration(row, why, now) for row, why in plans]
        events += [_of_silence(row, why, now) for row, why in silences]
        events += [_of_incident(row, why, now) for row, why in found if row["state"] != State.RESOLVED]
        events += _of_resolved([row["id"] for row, _ in found if row["state"] == State.RESOLVED], now)
        for event in events:
            outbox.happened(event, now)
    store.damage.met.clear()
    return len(pages) + len(plans) + len(silences) + len(found)


def _met(store: Store, table: str) -> str:
    """The numbers of its rows that were met; there may be far too many others to look at them all."""
    return ", ".join(str(number) for name, number in store.damage.met if name == table)


def _of_registration(row: Any, why: str, now: datetime) -> Event:
    """It approves nothing from now on."""
    said = registered.readable(row)
    by = said["registrant"] or said["registered_by"] or said["approved_by"] or "somebody"
    sentence = (
        f"registration {row['id']} for {row['account']} by {by} (“{safe.for_log(said['text'], _TEXT)}”) is damaged in the database ({why}) and was"
        " withdrawn: the post that it was for pages. Compare it with the plan and register it again"
    )
    return Event(
        f"gap:approved:{row['id']}", health.OURSELVES, Severity.PAGE, "A registration could not be read", sentence, now, silenceable=False
    )


def _of_silence(row: Any, why: str, now: datetime) -> Event:
    """It silences nothing any more; of one that had ended that is only worth a note."""
    sentence = (
        f"silence {row['id']} by {row['who']} ({row['reason']}) is damaged in the database ({why}) and was ended: what it covered pages "
        "again. Begin another one if it is still needed"
    )
    return Event(f"gap:silence:{row['id']}", health.OURSELVES, Severity.NOTIFY, "A silence could not be read", sentence, now)


def _of_incident(row: Any, why: str, now: datetime) -> Event:
    """It takes the place of one that was not resolved. No silence covers it: the damaged one may have broken through that."""
    sentence = (
        f"INC-{row['id']} ({row['headline']}: {row['reason']}) is damaged in the database ({why}) and was closed: this one takes its "
        "place. Look at the account"
    )
    return Event(row["subject"], row["name"], Severity.PAGE, "An incident could not be read", sentence, now, silenceable=False)


def _of_resolved(numbers: list[int], now: datetime) -> list[Event]:
    """There is nothing to be done about them, however many they are."""
    if not numbers:
        return []
    listed = ", ".join(f"INC-{n}" for n in numbers[:_LISTED]) + (f" and {len(numbers) - _LISTED} more" if len(numbers) > _LISTED else "")
    sentence = f"{listed}: damaged in the database and mended as far as possible. What stood there is in the audit chain. Look at the disk"
    return [Event("gap:resolved", health.OURSELVES, Severity.NOTIFY, "Resolved incidents could not be read", sentence, now)]


def profile(store: Store, outbox: Outbox, account: Account, now: datetime) -> Profile | None:
    """The profile last seen. One that cannot be read is set aside: the next one that is seen takes its place. Raises sqlite3.Error."""
    try:
        return store.profile(account.key)
    except (TypeError, ValueError) as error:
        why = type(error).__name__
    log.error("the stored profile of %s cannot be read (%s)", account.key, why)
    sentence = (
        f"its stored profile is damaged in the database ({why}), so that a change made meanwhile cannot be noticed: the next one that is "
        "read is taken for right. Look yourself at its name, handle, bio, link and pinned post"
    )
    with store.transaction():
        stood = store.account(account.key, account.handle)["profile"]
        store.sql.execute("UPDATE accounts SET profile = NULL WHERE key = ?", [account.key])
        store.audit(now, "monitor", "row set aside", f"profile of {account.key}", why=why, profile=stood)
        event = Event(f"gap:{account.key}", account.name, Severity.PAGE, "Profile not checked", sentence, now, silenceable=False)
        outbox.happened(event, now)
    return None


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


def _withdraw(store: Store, row: Any, why: str, now: datetime) -> None:
    store.audit(now, "monitor", "row set aside", f"registration {row['id']}", why=why, row=registered.readable(row))
    kind = row["kind"] if row["kind"] in list(Kind) else Kind.POST.value
    times = dict.fromkeys(("not_after", "created_at", "withdrawn_at"), stamp(now))
    values = registered.mended(row, now) | times | {"kind": kind, "confirmed_at": None, "withdrawn_by": "monitor"}
    store.registrations.change(row["id"], values)


def _end_silence(store: Store, row: Any, why: str, now: datetime) -> None:
    store.audit(now, "monitor", "row set aside", f"silence {row['id']}", why=why, row=dict(row))
    store.sql.execute(
        "UPDATE silences SET ended_by = 'monitor', starts_at = ?, ends_at = ?, told = '{}', waits = 0 WHERE id = ?",
        [stamp(now), stamp(now), row["id"]],
    )
    store.sql.execute(
        "UPDATE incidents SET state = 'resolved', resolved_by = 'monitor', resolved_at = ?, cause = ?, outcome = 'over' WHERE subject = ? AND"
        " state != 'resolved'", [stamp(now), f"it could not be read ({why}) and was ended", f"silence:{row['id']}"],
    )  # fmt: skip


def _close_incident(store: Store, row: Any, why: str, now: datetime) -> None:
    store.audit(now, "monitor", "row set aside", f"INC-{row['id']}", why=why, row=dict(row))
    store.sql.execute(
        "UPDATE incidents SET state = 'resolved', severity = ?, hosts = '[]', skeletons = '[]', opened_at = ?, last_at = ?,"
        " acknowledged_at = NULL, resolved_by = 'monitor', resolved_at = ?, cause = ?, last_paged_at = NULL, since = NULL, held_until = NULL,"
        " outcome = 'over' WHERE id = ?",
        [int(Severity.PAGE), stamp(now), stamp(now), stamp(now), f"it could not be read ({why}) and was set aside", row["id"]],
    )  # fmt: skip
