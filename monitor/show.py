"""What the commands print: tables for people, JSON for programs, no colour where nobody looks."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from monitor import desk, observed, record, safe, spending
from monitor import standing as collecting
from monitor.config import Config
from monitor.health import Reading, blind, limit
from monitor.incidents import DRILL
from monitor.model import ApprovedPost, Incident, Post, ProfileChange
from monitor.store import Kept, Store

Row = Sequence[object]


def when(moment: datetime | None) -> str:
    """UTC, to the second."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if moment else ""


def table(title: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """A table on standard output; every cell is made safe for a terminal."""
    from rich.console import Console
    from rich.table import Table

    made = Table(*columns, title=title, title_justify="left")
    count = 0
    for row in rows:
        made.add_row(*(safe.for_terminal(str(cell), 200).replace("[", r"\[") for cell in row))
        count += 1
    if count:
        Console(width=None if sys.stdout.isatty() else 140).print(made)
    else:
        click.echo(f"{title}: none")


def listing(as_json: bool, title: str, columns: Sequence[str], found: Sequence[Any], row: Callable[[Any], Row]) -> None:  # noqa: FBT001 - the flag is the user's
    """The same rows as a table or as JSON lines of a list."""
    if as_json:
        click.echo(safe.for_json([dict(zip(columns, row(f), strict=True)) for f in found], indent=1))
    else:
        table(title, columns, [row(f) for f in found])


APPROVED = ("id", "standing", "account", "kind", "from", "until", "by", "confirmed", "names", "text")


def whose(one: ApprovedPost) -> str:
    """Who registered it, where, and who has confirmed it."""
    via = f" from {one.via}" if one.via else ""
    said = f"registered {when(one.registered_at)} UTC by {one.registered_by or one.approved_by}{via}"
    return f"{said}; confirmed {when(one.confirmed_at)} UTC by {one.confirmed_by}" if one.confirmed_at else said


def approved_row(one: ApprovedPost, now: datetime, *, two_person: bool = False) -> Row:
    """One registration."""
    text = f"{one.field}: {one.text}" if one.field else f"({one.part}/{one.parts}) {one.text}" if one.parts else one.text
    if not text.strip():
        text = f"({one.media} picture(s) or video(s) without words)" if one.media else f"the {one.kind} that is named"
    if one.conversation or one.author:
        text = f"answers below {one.conversation}" if one.conversation else f"{one.kind}s of @{one.author}"
    return (
        one.id,
        desk.standing(one, now, two_person=two_person),
        one.account,
        one.kind.value,
        when(one.not_before),
        when(one.not_after),
        one.approved_by,
        one.confirmed_by,
        ", ".join(f"{name} {value}" for name, value in one.shown),
        text[:300],
    )


INCIDENTS = ("id", "state", "severity", "account", "opened", "posts", "pages", "headline", "reason")


def incident_row(one: Incident) -> Row:
    """One incident."""
    return (one.id, one.state.value, one.severity.word, one.name, when(one.opened_at), one.posts, one.pages, one.headline, one.reason)


def kept_row(kept: Kept) -> Row:
    """One judged post."""
    item = kept.post
    text = (
        item.text
        if isinstance(item, Post)
        else f"{item.field}: {item.before} -> {item.after}"
        if isinstance(item, ProfileChange)
        else item.reason
    )
    return (item.id, when(item.created_at), kept.verdict.severity.word, kept.verdict.reason, text[:300])


POSTS = ("post", "posted", "severity", "reason", "text")


def incident(store: Store, one: Incident, *, as_json: bool) -> None:
    """Everything about one incident: for the auditor who asks a year later."""
    posts, pages = store.posts("incident = ?", (one.id,)), store.pages.of(one.id)
    acts = store.sql.execute("SELECT at, actor, action, detail FROM audit WHERE subject = ? ORDER BY id", [f"INC-{one.id}"]).fetchall()
    same = [desk.recomputed(store, k) for k in posts]
    if as_json:
        data = record.incident_row(one) | {"id": one.id}
        data["posts"] = [dict(zip(POSTS, kept_row(k), strict=True)) | {"recomputed": s} for k, s in zip(posts, same, strict=True)]
        data["pages"] = [
            {"route": p.route, "kind": p.kind, "state": p.state, "sent_at": when(p.sent_at), "reason": p.reason} for p in pages
        ]
        data["acts"] = [dict(a) for a in acts]
        click.echo(safe.for_json(data, indent=1))
        return
    click.echo(f"INC-{one.id}  {one.state.value}  {safe.for_terminal(one.headline)}: {safe.for_terminal(one.name)}")
    click.echo(safe.for_terminal(one.reason))
    table(
        "Posts (the verdict recomputed from what is stored)",
        (*POSTS, "recomputed"),
        [(*kept_row(k), s) for k, s in zip(posts, same, strict=True)],
    )
    table(
        "Pages",
        ("written", "sent", "route", "kind", "state", "reason"),
        [(when(p.created_at), when(p.sent_at), p.route, p.kind, p.state, p.reason) for p in pages],
    )
    table("Acts", ("at", "who", "what", "detail"), [tuple(a) for a in acts])


def judged(store: Store, posts: Sequence[Kept], *, as_json: bool) -> None:
    """What was decided of posts, why, and whether the same is decided again today."""
    found = [
        record.judge_line(k.post.id, k.verdict)
        | {"seen": when(k.seen_at), "evidence": k.evidence, "incident": k.incident, "recomputed": desk.recomputed(store, k)}
        for k in posts
    ]
    if as_json:
        click.echo(safe.for_json(found, indent=1))
        return
    columns = ("id", "seen", "severity", "reason", "incident", "evidence", "recomputed")
    table("Judged posts (evidence: SHA-256 of the platform's answer)", columns, [[f[c] for c in columns] for f in found])


@dataclass(frozen=True, slots=True)
class Standing:
    """What `status` found."""

    lines: list[dict[str, object]]
    wrong: list[str]
    notes: list[str]
    spending: dict[str, float]


def standing(store: Store, config: Config, now: datetime, lists: Iterable[str] = ()) -> Standing:
    """Every watched account, open incidents and undelivered pages, notes on block `lists`; `wrong` is empty when all is well."""
    lines, wrong = [], []
    reading_now = collecting.told(store)
    known = {a.handle.lower(): a for a in config.file.accounts}
    rows = store.sql.execute("SELECT * FROM accounts WHERE key != ? ORDER BY key", [DRILL]).fetchall()
    for row in rows:
        platform = row["key"].split(":")[0]
        how = reading_now.get(platform, {})
        seconds = max(config.poll_seconds(platform), float(how.get("interval", 0)))
        last_ok, since = record.moment(row["last_ok"]), record.moment(row["failing_since"])
        reading = Reading(
            row["key"], f"@{row['handle']}", last_ok, since, row["failures"], row["last_error"] or "", row["error_kind"] or "",
            told=how.get("heard_at") if row["told_by"] else None, second_look="failed",
        )  # fmt: skip
        why = blind(reading, now, last_ok or now - limit(seconds) * 2, seconds)
        lag = f"{(now - last_ok).total_seconds():.0f} s" if last_ok else "never read"
        told = f"{(now - reading.told).total_seconds():.0f} s ago" if reading.told else ""
        lines.append(
            {
                "account": row["key"],
                "handle": row["handle"],
                "last_read": when(last_ok),
                "lag": lag,
                "stream": told,
                "error": row["last_error"] or "",
            }
        )
        wrong += [f"@{row['handle']}: {why}: a hijack would page nobody"] if why else []
        wrong += [f"@{row['handle']}: {row['missed']}"] if row["missed"] else []
    seen = {str(line["handle"]).lower() for line in lines}
    pinned = {store.pinned(a.platform, a.handle) or a.id for a in known.values()} & {str(r["key"]).split(":")[-1] for r in rows}
    wrong += [
        f"@{a.handle}: never watched so far"
        for h, a in known.items()
        if h not in seen and (store.pinned(a.platform, a.handle) or a.id) not in pinned
    ]
    wrong += [f"INC-{i.id} is {i.state.value}: {i.headline}: {i.name}" for i in store.unresolved()]
    late = [p for p in store.pages.undelivered() if (now - p.created_at).total_seconds() > 60]
    wrong += [f"page {p.key} not accepted by {p.route} for {(now - p.created_at).total_seconds():.0f} s" for p in late]
    wrong += [f"block list {note}" for note in lists]
    wrong += [f"{what}: not read: {why}" for what, why in collecting.notes(store).items() if not what.startswith("block list")]
    unsaid = store.announcements.late(now - timedelta(seconds=60))
    wrong += (
        [f"{unsaid} registration(s) not announced for a minute: Slack does not take them, or the daemon does not run"] if unsaid else []
    )
    broken = store.broken_audit()
    wrong += [f"the audit chain is broken at row {broken}: somebody changed the database"] if broken else []
    bill = spending.bill(observed.days(store), config.prices, now)
    return Standing(lines, wrong, [*_how(reading_now), *_money(bill, config, reading_now), *_oddities(store)], dataclasses.asdict(bill))


def _how(reading_now: dict[str, dict[str, Any]]) -> Iterable[str]:
    for platform, how in reading_now.items():
        yield f"{platform}: {how['mode']}; without a stream an account is polled every {how['interval']:.0f} s"


def _money(bill: spending.Bill, config: Config, reading_now: dict[str, dict[str, Any]]) -> Iterable[str]:
    """What X costs, by our own count and the configured prices."""
    budget = f" of a budget of ${config.file.x.budget:.2f}" if config.file.x.budget else ""
    left = next((h["balance"] for h in reading_now.values() if h["balance"] is not None), None)
    balance = f"; ${left:.2f} of credits are left" if left is not None else ""
    yield f"X has cost ${bill.today:.2f} today and ${bill.month:.2f} this month, ${bill.forecast:.2f} by its end{budget}{balance}"


def _oddities(store: Store) -> Iterable[str]:
    for row in store.sql.execute("SELECT * FROM oddities ORDER BY last_at DESC LIMIT 5"):
        what = str(row["what"])
        kind = "X gave" if what.startswith(observed.NO_DATA) else "unlike X's documentation"
        yield f"{kind}, {row['seen']} time(s), last {row['last_at'][:16]}: {what} (sample: evidence {str(row['sample'])[:12]})"
