"""How reading stands: for the self-check of the daemon, and for `status`, which is another process."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from monitor import observed, oncall, post_rows, record, spending
from monitor.config import Config
from monitor.incidents import minutes
from monitor.model import Severity
from monitor.observed import Observed
from monitor.reads import SCHEDULE, THREAD, Reads
from monitor.record import stamp
from monitor.store import Store
from monitor.verdict import CANARY

if TYPE_CHECKING:
    from monitor.collector import Collector

_NAME, _NOTES, _READS = "collecting", "notes", "reads"  # under which they are kept
_MOST_NOTES = 20
_MOST_LOOKED_AT = 1_000  # posts of an account
_MISSES = timedelta(hours=1)  # in which posts that a stream did not tell are counted


def vitals(
    config: Config, store: Store, seen: Observed, collectors: Mapping[str, Collector], balance: float | None, started: datetime, now: datetime
) -> dict[str, Any]:  # fmt: skip
    """How reading is, by the names of `health.Vitals`."""
    canary, seen_at = _canary(config, store, collectors, started, now)
    found: dict[str, Any] = {"skew": seen.skew, "canary": canary}
    well = {"clock": seen.dated_at, "canary": seen_at, "money": now, "oncall": oncall.named_at(store) if config.file.oncall else None}
    gone = [] if any(t.canary for t in config.file.accounts) else ["canary"]
    gone += [] if config.file.oncall else ["oncall"]
    gone += ["stream", "misses"] if config.file.x.push == "none" else []
    bill = spending.bill(observed.days(store), config.prices, now)
    found["money"], found["money_urgent"] = spending.warning(bill, config.file.x.budget, balance)
    found["nobody_on_call_seconds"] = oncall.nobody_for(store, now).total_seconds() if config.file.oncall else 0
    for one in collectors.values():
        if one.listener:
            found["missed_by_stream"] = sum(timedelta() <= now - m < _MISSES for m in one.missed)
            well["stream"] = now if one.listener.open_since else None
            well["misses"] = now if one.listener.open_since and now - started >= _MISSES else None
        if one.listener and one.listener.lost_at:
            why = str(one.listener.trouble or "it opens and closes")
            found |= {"stream": why, "stream_seconds": (now - one.listener.lost_at).total_seconds()}
    return found | {"well": well, "gone": gone}


def _canary(
    config: Config, store: Store, collectors: Mapping[str, Collector], started: datetime, now: datetime
) -> tuple[str, datetime | None]:
    """(why a marked post was not seen as it should have been, or an empty string; since when all of them have been seen)."""
    tables = [t for t in config.file.accounts if t.canary]
    shown: list[datetime] = []
    for table in tables:
        accounts = (w.account for w in collectors[table.platform].watches.values())
        key = next((a.key for a in accounts if a.handle == table.handle), "")
        if not (table.canary and key):
            continue
        row = _last_canary(store, key, now - timedelta(minutes=table.canary.every_minutes, seconds=table.canary.within_seconds))
        created, seen = (record.moment(row["created_at"]), record.moment(row["seen_at"])) if row else (None, None)
        late = (seen - created).total_seconds() if created and seen and created >= started else 0.0
        waited = now - (created or started) if now - started > timedelta(seconds=table.canary.within_seconds) else timedelta()
        if late > table.canary.within_seconds and created:
            return f"@{table.handle} posted it at {created:%H:%M:%S} UTC and we saw it {late:.0f} s later", None
        if waited > timedelta(minutes=table.canary.every_minutes, seconds=table.canary.within_seconds):
            return f"@{table.handle} has not posted it for {minutes(waited)}, as far as we can see", None
        shown += [seen] if seen else []
    return "", min(shown) if shown and len(shown) == len(tables) else None


def _last_canary(store: Store, key: str, since: datetime) -> record.Row | None:
    """The last one of an account: of those since then, else among its newest posts. Years of them are not read every few seconds."""
    rows = f"SELECT {post_rows.COLUMNS}, {post_rows.EXACT} AS exactly FROM posts WHERE account = ?"  # noqa: S608 - ours
    lately = f"{rows} AND created_at >= ?"
    newest = f"{rows} ORDER BY created_at DESC LIMIT ?"
    for query, limit in ((lately, stamp(since)), (newest, _MOST_LOOKED_AT)):
        quiet = f"SELECT * FROM ({query}) WHERE severity = {Severity.CLEAR:d} AND exactly IS NULL ORDER BY created_at DESC"  # noqa: S608 - ours
        if found := next((row for row in store.sql.execute(quiet, [key, limit]) if _is_canary(row)), None):
            return found
    return None


def _is_canary(row: record.Row) -> bool:
    try:
        return bool(post_rows.said(row).verdict["reason"] == CANARY)
    except post_rows.DAMAGED:  # damaged: it proves nothing
        return False


def balance(store: Store) -> float | None:
    """The credits left, as they were last told before this start."""
    with contextlib.suppress(ValueError, TypeError, AttributeError, KeyError):
        return next((one["balance"] for one in told(store).values() if one["balance"] is not None), None)
    return None


def tell(
    store: Store, collectors: Mapping[str, Collector], balance: float | None, told: Mapping[str, frozenset[str]], going: Reads
) -> dict[str, frozenset[str]]:  # fmt: skip
    """Write down what `status` cannot know by itself. Returns the accounts that streams tell of; `told` are those of the last time."""
    found, covered = {}, {}
    for name, one in collectors.items():
        heard = stamp(one.listener.heard_at) if one.listener and one.listener.open_since else None
        found[name] = {"mode": one.mode, "interval": one.interval(), "heard_at": heard, "balance": balance}
        covered[name] = frozenset(k for k in one.watches if one.proven(k))
        changed = covered[name] ^ told.get(name, frozenset())
        if changed:
            with store.transaction():
                marks = [(one.mode if k in covered[name] else "", k) for k in changed]
                store.sql.executemany("UPDATE accounts SET told_by = ? WHERE key = ?", marks)
    store.keep(_NAME, json.dumps(found))
    store.keep(_READS, going.written())
    return covered


def expect(going: Reads, config: Config, store: Store) -> None:
    """What is due all the time, as configured; what failed before the start has failed since then if it still does."""
    file = config.file
    going.remember(reads(store))
    going.only(SCHEDULE, {"schedule": "the on-call schedule"} if file.oncall else {})
    if not file.slack:
        going.only(THREAD, {})  # otherwise known once the open incidents have been looked at
    going.every[SCHEDULE.name] = file.oncall.refresh_minutes * 60 if file.oncall else 0


def reads(store: Store) -> str:
    """How reads went when that was last written down, see `Reads.written`."""
    return store.kept(_READS)


def note(store: Store, what: str, why: str) -> None:
    """Something that people should know and that stops nothing; without a reason it is over."""
    found = notes(store)
    found.pop(what, "")
    if why:
        found[what] = why
    store.keep(_NOTES, json.dumps(dict(list(found.items())[-_MOST_NOTES:])))


def notes(store: Store) -> dict[str, str]:
    """What was noted since the daemon began, by what it is about."""
    return record.remembered(store.kept(_NOTES), lambda found: {str(what): str(why) for what, why in found.items()}, {})


def forget_notes(store: Store) -> None:
    """The daemon begins."""
    store.keep(_NOTES, "{}")


def told(store: Store) -> dict[str, dict[str, Any]]:
    """By platform: mode in words, interval in seconds, heard_at (a datetime or None), balance in dollars."""
    return record.remembered(store.kept(_NAME), lambda found: {name: _told(one) for name, one in found.items()}, {})


def _told(one: dict[str, Any]) -> dict[str, Any]:
    balance = None if one["balance"] is None else float(one["balance"])
    return {"mode": str(one["mode"]), "interval": float(one["interval"]), "heard_at": record.moment(one["heard_at"]), "balance": balance}
