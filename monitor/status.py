"""What `status` says: first whether the daemon runs, then how every read goes and what is wrong. Reads what the daemon wrote down."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import click

from monitor import backup, drill, lock, observed, oncall, reads, record, reloading, safe, show, spending, verifying
from monitor import standing as collecting
from monitor.config import Config
from monitor.health import Reading, blind, limit
from monitor.incidents import DRILL
from monitor.reads import READS, State
from monitor.show import when
from monitor.store import Store

_SILENT = timedelta(seconds=60)  # in which a daemon that goes on writes several times
_MOST_ODDITIES = 5
_NOBODY = "nobody watches anything, nobody is paged"
ACCOUNTS = ("account", "handle", "last_read", "lag", "stream", "error")
READING = ("read", "of", "last_read", "unread_seconds", "error")


@dataclass(frozen=True, slots=True)
class Standing:
    """What `status` found. `daemon` says whether it runs; it is also the first of `wrong` where it does not, or writes nothing."""

    daemon: str
    runs: bool
    lines: list[dict[str, object]]
    reads: list[dict[str, object]]
    wrong: list[str]
    notes: list[str]
    spending: dict[str, float]


def of_file(config: Config, now: datetime, lists: Iterable[str], opened: Callable[[], Store], *, as_json: bool) -> int:
    """Print it; returns the exit code. Also of a database that cannot be opened it is said whether the daemon runs."""
    runs = lock.is_locked(config.data_dir)
    try:
        store = opened()
    except sqlite3.Error:
        click.echo("the daemon runs" if runs else f"the daemon does not run: {_NOBODY}")
        raise
    try:
        return say(store, config, now, lists, runs=runs, as_json=as_json)
    finally:
        store.close()


def say(store: Store, config: Config, now: datetime, lists: Iterable[str] = (), *, runs: bool, as_json: bool = False) -> int:
    """Print it; returns the exit code. `lists` are notes on block lists, `runs` is whether somebody holds the daemon's lock."""
    found = standing(store, config, now, lists, runs=runs)
    if as_json:
        data = {
            "daemon": {"runs": found.runs, "said": found.daemon}, "accounts": found.lines, "reads": found.reads, "wrong": found.wrong,
            "notes": found.notes, "spending": found.spending, "last_drill": drill.words(store), "last_backup": backup.words(store, now),
        }  # fmt: skip
        click.echo(safe.for_json(data, indent=1))
        return 1 if found.wrong else 0
    click.echo(safe.for_terminal(found.daemon))
    show.table("Accounts", ACCOUNTS, [[line[c] for c in ACCOUNTS] for line in found.lines])
    show.table(
        "Reads: all that fail, and of each other kind the one read longest ago",
        READING,
        [[r[c] for c in READING] for r in found.reads if r["of"]],
    )
    for line in [*found.notes, *([w for w in found.wrong if w != found.daemon] if found.wrong else ["all is well"])]:
        click.echo(safe.for_terminal(line))
    click.echo(f"last drill: {safe.for_terminal(drill.words(store))}")
    click.echo(f"last backup: {safe.clean(backup.words(store, now), 500)}")
    return 1 if found.wrong else 0


def standing(store: Store, config: Config, now: datetime, lists: Iterable[str] = (), *, runs: bool = True) -> Standing:
    """Every watched account, every read, open incidents and undelivered pages; `wrong` is empty when all is well."""
    reading_now = collecting.told(store)
    lines, wrong = _accounts(store, config, now, reading_now)
    states, more = reads.told(collecting.reads(store))
    wrong += [f"{b.headline}: {', '.join(b.names)}: {b.why}. {b.means}" for b in reads.overdue(states, now, {})]
    wrong += [f"{more} more reads fail"] if more else []
    silences = [i for i in store.unresolved() if i.subject.startswith("silence:")]
    wrong += [f"INC-{i.id} is {i.state.value}: {i.headline}: {i.name}" for i in store.unresolved() if i not in silences]
    late = [p for p in store.pages.undelivered() if (now - p.created_at).total_seconds() > 60]
    wrong += [f"page {p.key} not accepted by {p.route} for {(now - p.created_at).total_seconds():.0f} s" for p in late]
    wrong += [f"block list {note}" for note in lists]
    wrong += [f"{what}: not read: {why}" for what, why in collecting.notes(store).items() if not what.startswith("block list")]
    reload = reloading.told(store)
    wrong += [f"the configuration was not reloaded, the old one is in force: {reload.refused}"] if reload.refused else []
    unsaid = store.announcements.late(now - timedelta(seconds=60))
    wrong += (
        [f"{unsaid} registration(s) not announced for a minute: Slack does not take them, or the daemon does not run"] if unsaid else []
    )
    broken = verifying.since_then(store)
    wrong += [broken] if broken else []
    bill = spending.bill(observed.days(store), config.prices, now)
    daemon, well = _daemon(store, now, runs=runs)
    notes = [f"INC-{i.id} is {i.state.value}: {i.headline}: {i.name}" for i in silences]
    notes += [f"these changes of the configuration wait for a restart: {', '.join(reload.waiting)}"] if reload.waiting else []
    whole = verifying.verified(store).at
    notes += [f"all of the audit chain was last verified at {when(whole)} UTC; what was added since, now"] if whole else []
    duty = oncall.said(store) if config.file.oncall else ()
    notes += [*_how(reading_now), *duty, *_money(bill, config, reading_now), *_oddities(store)]
    return Standing(daemon, runs, lines, _reads(states, now), [*([] if well else [daemon]), *wrong], notes, dataclasses.asdict(bill))


def _daemon(store: Store, now: datetime, *, runs: bool) -> tuple[str, bool]:
    """Whether it runs, in words, and whether that is as it should be."""
    wrote = record.moment(store.kept("beat"))
    if not runs:
        last = f"it last wrote at {when(wrote)} UTC" if wrote else "it never did"
        return f"the daemon does not run ({last}): {_NOBODY}", False
    if store.is_held():
        return (
            f"the daemon runs, but another process holds {store.path}: nothing can be written. Find and end it (`fuser -v {store.path}`)",
            False,
        )
    if wrote and now - wrote > _SILENT:
        silent = (now - wrote).total_seconds()
        return (
            f"the daemon runs, but has written nothing for {silent:.0f} s: it hangs, or its database was replaced: `systemctl restart hijack-monitor`",
            False,
        )
    return "the daemon runs", True


def _accounts(
    store: Store, config: Config, now: datetime, reading_now: dict[str, dict[str, Any]]
) -> tuple[list[dict[str, object]], list[str]]:  # fmt: skip
    lines: list[dict[str, object]] = []
    wrong: list[str] = []
    known = {a.handle.lower(): a for a in config.file.accounts}
    rows = store.sql.execute("SELECT * FROM accounts WHERE key != ? ORDER BY key", [DRILL]).fetchall()
    ids = {f"{a.platform}:{store.pinned(a.platform, a.handle) or a.id}" for a in known.values()}
    for row in rows:
        platform, _, identifier = row["key"].rpartition(":")
        platform = platform.partition(":")[0]
        how = reading_now.get(platform, {})
        seconds = max(config.poll_seconds(platform), float(how.get("interval", 0)))
        try:
            last_ok, since = record.moment(row["last_ok"]), record.moment(row["failing_since"])
        except ValueError:
            lines.append(dict.fromkeys(ACCOUNTS, "") | {"account": row["key"], "handle": row["handle"], "error": "damaged row"})
            wrong.append(_damaged(row))
            continue
        told = how.get("heard_at") if row["told_by"] else None
        reading = Reading(
            row["key"], f"@{row['handle']}", last_ok, since, row["failures"], row["last_error"] or "", row["error_kind"] or "",
            told=told, second_look="failed",
        )  # fmt: skip
        watched = f"{platform}:{identifier}" in ids or row["handle"].lower() in known
        why = blind(reading, now, last_ok or now - limit(seconds) * 2, seconds) if watched else ""
        said = {
            "account": row["key"], "handle": row["handle"], "last_read": when(last_ok),
            "lag": f"{(now - last_ok).total_seconds():.0f} s" if last_ok else "never read",
            "stream": f"{(now - told).total_seconds():.0f} s ago" if told else "",
            "error": (row["last_error"] or "") if watched else "no longer configured: not watched",
        }  # fmt: skip
        lines.append(said)
        wrong += [f"@{row['handle']}: {why}: a hijack would page nobody"] if why else []
        wrong += [f"@{row['handle']}: {row['missed']}"] if row["missed"] and watched else []
    seen = {str(r["handle"]).lower() for r in rows}
    there = {f"{r['key'].partition(':')[0]}:{r['key'].rpartition(':')[2]}" for r in rows}
    unseen = [
        a for h, a in known.items() if h not in seen and f"{a.platform}:{store.pinned(a.platform, a.handle) or a.id}" not in there
    ]  # fmt: skip
    return lines, [*wrong, *(f"@{a.handle}: never watched so far" for a in unseen)]


def _damaged(row: record.Row) -> str:
    found = ", ".join(f"{name} = {str(row[name])[:40]!r}" for name in ("last_ok", "failing_since"))
    return (
        f"@{row['handle']}: its row {row['key']} in the table `accounts` is damaged: found {found}, expected times like 2026-03-03T14:05:00+00:00:"
        " the next good read writes both anew; if it comes back, `restore` a backup"
    )


def _reads(states: Iterable[State], now: datetime) -> list[dict[str, object]]:
    """Every kind of read, also those that nothing has needed so far: of those `of` is empty."""
    found = []
    for read in READS.values():
        mine = [s for s in states if s.read == read.name] or [State(read.name, "", "", now)]
        found += [
            dict(zip(READING, (read.name, s.name, when(s.read_at), round(reads.age(s, now).total_seconds()), s.why), strict=True))
            for s in mine
        ]
    return found


def _how(reading_now: dict[str, dict[str, Any]]) -> Iterator[str]:
    for platform, how in reading_now.items():
        yield f"{platform}: {how['mode']}; without a stream an account is polled every {how['interval']:.0f} s"


def _money(bill: spending.Bill, config: Config, reading_now: dict[str, dict[str, Any]]) -> Iterator[str]:
    """What X costs, by our own count and the configured prices."""
    budget = f" of a budget of ${config.file.x.budget:.2f}" if config.file.x.budget else ""
    left = next((h["balance"] for h in reading_now.values() if h["balance"] is not None), None)
    balance = f"; ${left:.2f} of credits are left" if left is not None else ""
    yield f"X has cost ${bill.today:.2f} today and ${bill.month:.2f} this month, ${bill.forecast:.2f} by its end{budget}{balance}"


def _oddities(store: Store) -> Iterator[str]:
    rows = store.sql.execute("SELECT * FROM oddities ORDER BY last_at DESC").fetchall()
    for row in rows[:_MOST_ODDITIES]:
        what = str(row["what"])
        kind = "X gave no data" if what.startswith(observed.NO_DATA) else "unlike X's documentation"
        seen = f"{kind}, {row['seen']} time(s), last {when(record.moment(row['last_at']))} UTC"
        yield f"{seen}: {what.removeprefix(observed.NO_DATA)} (sample: evidence {str(row['sample'])[:12]})"
    if len(rows) > _MOST_ODDITIES:
        yield f"and {len(rows) - _MOST_ODDITIES} more, seen before these"
