"""Silences: begun, confirmed by a second person, ended. Every act is audited and announced."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import datetime, timedelta

from monitor.desk import DeskError
from monitor.incidents import LONGEST_SILENCE, SILENCE_ASKED, Event, Request, minutes
from monitor.model import Account, PageKind, Severity
from monitor.outbox import Outbox
from monitor.record import stamp
from monitor.store import Store


def begin(
    store: Store, outbox: Outbox, account: Account | None, words: str, lasts: timedelta, reason: str, who: str, now: datetime,
    *, asker: str = "",
) -> int:  # fmt: skip
    """Wake nobody for what it matches until it ends; announced in the channel. Raises DeskError.

    It mutes, it never hides: every post is recorded and told, and what is worse than expected pages all the same. With `asker`,
    the channel's id of somebody who may not do it alone, it waits for a second person and silences nothing until then.
    """
    if not reason.strip():
        raise DeskError("a silence needs a reason, for whoever reads it at 03:00")
    if not timedelta(minutes=1) <= lasts <= LONGEST_SILENCE:
        raise DeskError(
            f"a silence lasts between a minute and {LONGEST_SILENCE.seconds // 3600} h; for a planned campaign register its posts"
        )
    where = account.name if account else "all accounts"
    with store.transaction():
        added = store.sql.execute(
            "INSERT INTO silences(account, words, reason, who, starts_at, ends_at, waits, asker) VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
            [account.key if account else "", words, reason, who, stamp(now), stamp(now + lasts), bool(asker), asker],
        )
        number = int(added.lastrowid or 0)
        verb = "silence asked for" if asker else "silence"
        store.audit(now, who, verb, f"silence {number}", account=where, words=words, reason=reason, until=stamp(now + lasts))
        about = f" about “{words}”" if words else ""
        if asker:
            said = (
                f"{who} asks to silence {where}{about} for {minutes(lasts)}: {reason}. It begins when an approver or a second responder"
                " confirms it here; until then everything pages"
            )
        else:
            said = f"{who} silenced {where}{about} until {now + lasts:%H:%M} UTC: {reason}. {_COVERED}"
        outbox.happened(Event(f"silence:{number}", where, Severity.NOTIFY, SILENCE_ASKED if asker else "Silence", said, now), now)
    return number


_COVERED = (
    "The first post under it still wakes somebody, then nobody is woken; a new domain, the fifth post or another account page all the same"
)


def confirm(store: Store, outbox: Outbox, number: int, who: str, user: str, now: datetime) -> None:
    """The second person: it begins now and lasts as long as was asked. Raises DeskError."""
    with store.transaction():
        found = store.silence(number)
        if found is None or found.ended_by or not found.waits:
            raise DeskError(f"silence {number} does not wait for anybody" if found else f"there is no silence {number}")
        if user == found.asker:
            raise DeskError(f"{who} asked for silence {number}: a second person confirms it")
        until = now + (found.ends_at - found.starts_at)
        store.sql.execute(
            "UPDATE silences SET waits = 0, starts_at = ?, ends_at = ?, who = ? WHERE id = ?",
            [stamp(now), stamp(until), f"{found.who} and {who}", number],
        )
        store.audit(now, who, "silence confirmed", f"silence {number}", until=stamp(until))
        notice = store.open_incident(f"silence:{number}")
        if notice:
            about = f" about “{found.words}”" if found.words else ""
            said = f"{found.who} and {who} silenced {notice.name}{about} until {until:%H:%M} UTC: {found.reason}. {_COVERED}"
            begun = replace(notice, headline="Silence", reason=said)
            store.save_incident(begun)
            outbox.say(begun, (Request(PageKind.SYNC, said), Request(PageKind.NOTE, f"{who} confirmed it: until {until:%H:%M} UTC")), now)


def end(store: Store, outbox: Outbox, number: int, who: str, now: datetime) -> None:
    """Before its time or at it. Raises DeskError."""
    with store.transaction():
        found = store.silence(number)
        if found is None or found.ended_by:
            raise DeskError(f"silence {number} was ended by {found.ended_by}" if found else f"there is no silence {number}")
        store.end_silence(number, who)
        store.audit(now, who, "silence ended", f"silence {number}")
        notice = store.open_incident(f"silence:{number}")
        if notice:
            outbox.recovered(notice, now, f"ended by {who}" if who != "monitor" else "its time is over")


def expire(store: Store, outbox: Outbox, now: datetime) -> None:
    """End those whose time has come, and say so."""
    for row in store.sql.execute("SELECT id FROM silences WHERE ended_by = '' AND ends_at <= ?", [stamp(now)]).fetchall():
        with contextlib.suppress(DeskError):  # it cannot be read, and is set aside
            end(store, outbox, row["id"], "monitor", now)
