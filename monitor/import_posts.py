"""`posts import`: a line for every row of a plan, and what became of it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import click

from monitor import assembly, desk, plan_times, planned_pictures, planning, safe, voters
from monitor.command import progress
from monitor.config import Config
from monitor.public_web import Web
from monitor.store import Store

Row = planning.Plan | planning.Bad | planning.Elsewhere


def import_file(store: Store, config: Config, path: Path, how: planning.Reading, who: str, *, commit: bool, web: Web | None = None) -> int:
    """A line per row; 1 when a row was bad. Raises PlanError when the file cannot be taken at all."""
    now = datetime.now(UTC)
    found = planning.read(path, how, now)
    for note in found.notes:
        click.echo(f"note: {safe.for_terminal(note, 500)}")
    rows = _with_pictures(store, found.rows, path.parent, now, web or Web())
    rules = assembly.load_rules(config).rules
    counts = {"registered": 0, "known": 0, "elsewhere": 0, "bad": 0}
    seen: dict[str, int] = {}
    origin = desk.Origin(voters.of_host(), f"an import of {safe.clean(path.name, 80)}", desk.new_act(desk.IMPORT))
    with progress(rows, "importing") as bar:  # a transaction a row: the daemon gets its turns
        for number, plan in bar:
            said = _one_row(store, plan, how, who, now, seen, number, origin if commit else None)
            counts[said[0]] += 1
            click.echo(f"row {number}: {said[1]}")
            if isinstance(plan, planning.Plan) and said[0] == "registered":
                for note in desk.lint(plan, config.company, rules):
                    click.echo(f"  note: {safe.for_terminal(note, 300)}")
        if commit:
            store.audit(now, who, "import", path.name, **counts)
    done = "registered" if commit else "would be registered (dry run; --commit registers)"
    elsewhere = f", {counts['elsewhere']} for other networks" if counts["elsewhere"] else ""
    click.echo(f"{counts['registered']} {done}, {counts['known']} already known{elsewhere}, {counts['bad']} bad")
    if commit and counts["registered"] and config.approving.two_person:
        click.echo("they wait for a second approver: `hijack-monitor posts confirm` with one of their numbers confirms them all")
    return 1 if counts["bad"] else 0


def _with_pictures(store: Store, rows: tuple[tuple[int, Row], ...], folder: Path, now: datetime, web: Web) -> list[tuple[int, Row]]:
    """The rows with the hashes of their pictures, in a dry run too. What is over or known already is not fetched again."""
    new = {
        place: row for place, (_, row) in enumerate(rows)
        if isinstance(row, planning.Plan) and row.not_after >= now and not store.registrations.knows(row.external_id)
    }  # fmt: skip
    compared = dict(zip(new, asyncio.run(planned_pictures.compared(new.values(), folder, web)), strict=True))
    return [(number, compared.get(place, row)) for place, (number, row) in enumerate(rows)]


def _one_row(
    store: Store, plan: Row, how: planning.Reading, who: str, now: datetime, seen: dict[str, int], number: int,
    origin: desk.Origin | None,
) -> tuple[str, str]:  # fmt: skip
    """(registered, known, elsewhere or bad; what to say). Without an origin nothing is registered."""
    if isinstance(plan, planning.Bad):
        return "bad", f"BAD: {safe.for_terminal(plan.reason, 300)}"
    if isinstance(plan, planning.Elsewhere):
        return "elsewhere", f"skipped: {safe.for_terminal(plan.reason, 300)}"
    if plan.not_after < now:
        return "bad", f"BAD: its window ended at {plan.not_after:%Y-%m-%d %H:%M} UTC"
    if plan.external_id in seen:
        return "known", f"the same as row {seen[plan.external_id]}"
    seen[plan.external_id] = number
    if store.registrations.knows(plan.external_id):
        return "known", "already registered"
    window = plan_times.shown_window(plan.not_before, plan.not_after, how.zone)
    window += f", @{next(a.handle for a in how.accounts if a.key == plan.account)}" if len(how.accounts) > 1 else ""
    window += f", {len(plan.more) + 1} parts" if plan.more else ""
    text = safe.for_terminal(plan.text, 60) or f"{len(plan.pictures)} picture(s) without words"
    done = f"#{desk.register(store, plan, who, datetime.now(UTC), origin)}" if origin else "would be registered"
    return "registered", f"{done}, {window}: {text}"
