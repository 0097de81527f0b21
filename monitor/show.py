"""What the commands print: tables for people, JSON for programs, no colour where nobody looks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from monitor import chain, desk, holds, record, safe
from monitor.holds import Hold
from monitor.model import ApprovedPost, Incident, Post, ProfileChange, Redacted
from monitor.recomputing import Recomputing
from monitor.store import Kept, Store

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


LISTED = 100  # rows of a table, unless all are asked for


def listing(
    as_json: bool,  # noqa: FBT001 - the flag is the user's
    title: str,
    columns: Sequence[str],
    found: Sequence[Any],
    row: Callable[[Any], Row],
    *,
    most: int | None = None,
) -> None:
    """The same rows as a table, of which it says how many more than `most` there are, or all of them as a JSON list."""
    if as_json:
        click.echo(safe.for_json([dict(zip(columns, row(f), strict=True)) for f in found], indent=1))
    else:
        table(title, columns, [row(f) for f in found[:most]])
        if most is not None and len(found) > most:
            click.echo(f"and {len(found) - most} more; --all shows them")


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


MOST_OF_BASELINE = 200  # in a table; JSON has them all


def baseline(store: Store, *, as_json: bool) -> None:
    """What was there at first sight, with what rules say of it: the accused ones first, the newest first."""
    handles = {row["key"]: f"@{row['handle']}" for row in store.sql.execute("SELECT key, handle FROM accounts")}

    def row(kept: Kept) -> dict[str, object]:
        rules = ", ".join(dict.fromkeys(f"{f.rule} ({f.severity.word})" for f in kept.verdict.accusations))
        post = dict(zip(POSTS, kept_row(kept), strict=True))
        return {"account": kept.post.account, "handle": handles.get(kept.post.account, ""), **post, "rules": rules}

    found = [row(k) for k in sorted(store.posts("baseline = 1", limit=-1), key=lambda k: (bool(k.verdict.accusations), k.post.created_at))][
        ::-1
    ]
    if as_json:
        click.echo(safe.for_json(found, indent=1))
        return
    columns = ("handle", "post", "posted", "rules", "text")
    table("Baseline", columns, [[line[c] for c in columns] for line in found[:MOST_OF_BASELINE]])
    if len(found) > MOST_OF_BASELINE:
        click.echo(f"and {len(found) - MOST_OF_BASELINE} more: --json has them all")


def incident(store: Store, one: Incident, *, as_json: bool) -> None:
    """Everything about one incident: for the auditor who asks a year later."""
    posts, pages = store.posts("incident = ?", (one.id,)), store.pages.of(one.id)
    acts = chain.acts(store.sql, one.id)
    same = Recomputing(store, posts).in_words(posts)
    held = holds.every(store).get(one.id)
    if as_json:
        data = record.incident_row(one) | {"id": one.id, "hold": held.row() if held else None}
        data["posts"] = [dict(zip(POSTS, kept_row(k), strict=True)) | {"recomputed": s} for k, s in zip(posts, same, strict=True)]
        data["pages"] = [
            {"route": p.route, "kind": p.kind, "state": p.state, "sent_at": when(p.sent_at), "reason": p.reason} for p in pages
        ]
        data["acts"] = [dict(a) for a in acts]
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
    table("Acts", ("at", "who", "what", "detail"), [tuple(a) for a in acts])


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
