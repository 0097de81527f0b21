"""What the commands print: tables for people, JSON for programs, no colour where nobody looks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain as chained
from itertools import islice
from typing import Any

import click

from monitor import chain, desk, holds, lists, record, safe
from monitor.command import Part
from monitor.holds import Hold
from monitor.model import ApprovedPost, Incident, Post, ProfileChange, Redacted
from monitor.post_rows import Kept
from monitor.recomputing import Recomputing
from monitor.store import Store

Row = Sequence[object]


_TIMES = {"at", "from", "last", "last_read", "opened", "posted", "seen", "sent", "until", "when", "written"}  # columns


def when(moment: datetime | None) -> str:
    """UTC, to the second."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if moment else ""


def table(title: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """A table on standard output; every cell is made safe for a terminal."""
    from rich.console import Console
    from rich.table import Table

    made = Table(*columns, title=f"{title}, times in UTC" if _TIMES & {*columns} else title, title_justify="left")
    count = 0
    for row in rows:
        made.add_row(*(safe.for_terminal(str(cell), 200).replace("[", r"\[") for cell in row))
        count += 1
    if count:
        Console(width=None if sys.stdout.isatty() else 140).print(made)
    else:
        click.echo(f"{title}: none")


def listing(
    as_json: bool,  # noqa: FBT001 - the flag is the user's
    title: str,
    columns: Sequence[str],
    found: Iterable[Any],
    row: Callable[[Any], Row],
    *,
    part: Part = Part(),  # noqa: B008 - frozen
    count: Callable[[], int] | None = None,
) -> None:
    """Rows as a table, or as a JSON list that is written while it is read. Where the list is cut to a `part`, that is said, with the
    `count` of all rows; `found` must then hold one row more than the limit, and a row's first column be its number.
    """
    rows = iter(found)
    first = [row(one) for one in (rows if part.limit < 0 and not as_json else islice(rows, max(part.limit, 0)))]
    if as_json:
        told = chained(first, map(row, rows)) if part.limit < 0 else first
        _write_json(dict(zip(columns, one, strict=True)) for one in told)
    else:
        table(title, columns, first)
    if part.limit >= 0 and next(rows, None) is not None and count is not None:
        click.echo(f"{len(first):,} of {count():,}; --before {first[-1][0]} shows the next ones, --all every one", err=as_json)


_AT_ONCE = 100  # rows


def _write_json(rows: Iterable[Mapping[str, object]]) -> None:
    """A list, as `json.dumps` writes it with an indent of 1, never whole in memory."""
    between, waiting = "[\n ", iter(rows)
    while some := [safe.for_json(one, indent=1).replace("\n", "\n ") for one in islice(waiting, _AT_ONCE)]:
        click.echo(between + ",\n ".join(some), nl=False)
        between = ",\n "
    click.echo("[]" if between.startswith("[") else "\n]")


APPROVED = ("id", "standing", "account", "kind", "from", "until", "by", "confirmed", "names", "text")


def whose(one: ApprovedPost) -> str:
    """Who registered it, where, and who has confirmed it."""
    via = f" from {one.via}" if one.via else ""
    said = f"registered {when(one.registered_at)} UTC by {one.registered_by or one.approved_by}{via}"
    said += f"; row {one.external_id}" + (f" of the plan “{one.source}”" if one.source else "") if one.external_id else ""
    said += f"; instead of #{one.replaces}" if one.replaces else ""
    return f"{said}; confirmed {when(one.confirmed_at)} UTC by {one.confirmed_by}" if one.confirmed_at else said


def approved_row(one: ApprovedPost, now: datetime, *, two_person: bool = False) -> Row:
    """One registration."""
    text = f"{one.field}: {one.text}" if one.field else f"({one.part}/{one.parts}) {one.text}" if one.parts else one.text
    if not text.strip():
        text = f"({one.media} picture(s) or video(s) without words)" if one.media else f"the {one.kind} that is named"
    if one.redacted_at:
        text = f"(redacted on {one.redacted_at:%Y-%m-%d})"
    elif one.conversation or one.author:
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


INCIDENTS = ("id", "state", "severity", "account", "opened", "posts", "pages", "headline", "reason", "hold")


def incident_row(one: Incident, held: Mapping[int, Hold]) -> Row:
    """One incident, and who keeps it and why."""
    hold = str(held.get(one.id, ""))
    return (one.id, one.state.value, one.severity.word, one.name, when(one.opened_at), one.posts, one.pages, one.headline, one.reason, hold)


def kept_row(kept: Kept) -> Row:
    """One judged post."""
    item = kept.post
    text = (
        item.text
        if isinstance(item, Post)
        else f"{item.field}: {item.before} -> {item.after}"
        if isinstance(item, ProfileChange)
        else str(item)
        if isinstance(item, Redacted)
        else item.reason
    )
    return (item.id, when(item.created_at), kept.verdict.severity.word, kept.verdict.reason, text[:300])


POSTS = ("post", "posted", "severity", "reason", "text")


BASELINE = ("id", "account", "handle", *POSTS, "rules")


def baseline(store: Store, part: Part, *, as_json: bool) -> None:
    """What was there at first sight, with what rules say of it: the accused ones first, the newest first."""
    handles = {row["key"]: f"@{row['handle']}" for row in store.sql.execute("SELECT key, handle FROM accounts")}

    def row(found: tuple[int, Kept]) -> Row:
        number, kept = found
        rules = ", ".join(dict.fromkeys(f"{f.rule} ({f.severity.word})" for f in kept.verdict.accusations))
        return number, kept.post.account, handles.get(kept.post.account, ""), *kept_row(kept), rules

    columns = BASELINE if as_json else ("id", "handle", "post", "posted", "rules", "text")
    listing(
        as_json, "Baseline", columns, lists.baseline(store, part.limit, part.before),
        row if as_json else lambda f: tuple(dict(zip(BASELINE, row(f), strict=True))[c] for c in columns), part=part, count=lambda: lists.count_baseline(store),
    )  # fmt: skip


def incident(store: Store, one: Incident, *, as_json: bool) -> None:
    """Everything about one incident: for the auditor who asks a year later."""
    posts, pages = store.posts("incident = ?", (one.id,), -1), store.pages.of(one.id)
    acts = chain.acts(store.sql, one.id)
    same = Recomputing(store, posts).in_words(posts)
    held = holds.every(store).get(one.id)
    if as_json:
        data = record.incident_row(one) | {"id": one.id, "hold": held.row() if held else None}
        data["posts"] = [dict(zip(POSTS, kept_row(k), strict=True)) | {"recomputed": s} for k, s in zip(posts, same, strict=True)]
        data["pages"] = [
            {"route": p.route, "kind": p.kind, "state": p.state, "sent_at": when(p.sent_at), "reason": p.reason} for p in pages
        ]
        data["acts"] = acts
        click.echo(safe.for_json(data, indent=1))
        return
    click.echo(f"INC-{one.id}  {one.state.value}  {safe.for_terminal(one.headline)}: {safe.for_terminal(one.name)}")
    click.echo(safe.for_terminal(one.reason))
    if held:
        click.echo(safe.for_terminal(str(held), 500))
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
    table("Acts", ("at", "who", "what", "of", "detail"), [tuple(a.values()) for a in acts])


def judged(store: Store, posts: Sequence[Kept], *, as_json: bool) -> None:
    """What was decided of posts, why, and whether the same is decided again today."""
    again = Recomputing(store, posts).in_words(posts)
    found = [
        record.judge_line(k.post.id, k.verdict)
        | {"seen": when(k.seen_at), "evidence": k.evidence, "incident": k.incident, "recomputed": said}
        for k, said in zip(posts, again, strict=True)
    ]
    if as_json:
        click.echo(safe.for_json(found, indent=1))
        return
    columns = ("id", "seen", "severity", "reason", "incident", "evidence", "recomputed")
    table("Judged posts (evidence: SHA-256 of the platform's answer)", columns, [[f[c] for c in columns] for f in found])
