"""`posts import`: a line for every row of a plan, and what became of it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import click

from monitor import assembly, desk, planned_pictures, planning, safe, voters
from monitor.command import progress
from monitor.config import Config
from monitor.public_web import Web
from monitor.store import Store


def import_file(store: Store, config: Config, path: Path, how: planning.Reading, who: str, *, commit: bool, web: Web | None = None) -> int:
    """A line per row; 1 when a row was bad. Raises PlanError when the file cannot be taken at all."""
    now = datetime.now(UTC)
    rows = _with_pictures(store, planning.read(path, how, now), path.parent, now, web or Web())
    rules = assembly.load_rules(config).rules
    counts = {"registered": 0, "known": 0, "bad": 0}
    seen: dict[str, int] = {}
    origin = desk.Origin(voters.of_host(), f"an import of {safe.clean(path.name, 80)}", desk.new_act(desk.IMPORT))
    with progress(rows, "importing") as bar:  # a transaction a row: the daemon gets its turns
        for number, plan in bar:
            said = _one_row(store, plan, who, now, seen, number, origin if commit else None)
            counts[said[0]] += 1
            click.echo(f"row {number}: {said[1]}")
            if isinstance(plan, planning.Plan) and said[0] == "registered":
                for note in desk.lint(plan, config.company, rules):
                    click.echo(f"  note: {safe.for_terminal(note, 300)}")
        if commit:
            store.audit(now, who, "import", path.name, **counts)
    done = "registered" if commit else "would be registered (dry run; --commit registers)"
    click.echo(f"{counts['registered']} {done}, {counts['known']} already known, {counts['bad']} bad")
    if commit and counts["registered"] and config.approving.two_person:
        click.echo("they wait for a second approver: `hijack-monitor posts confirm` with one of their numbers confirms them all")
    return 1 if counts["bad"] else 0


def _with_pictures(
    store: Store, rows: list[tuple[int, planning.Plan | planning.Bad]], folder: Path, now: datetime, web: Web
) -> list[tuple[int, planning.Plan | planning.Bad]]:
    """The rows with the hashes of their pictures, in a dry run too. What is over or known already is not fetched again."""
    new = {
        number: row for number, row in rows
        if isinstance(row, planning.Plan) and row.not_after >= now and not store.registrations.knows(row.external_id)
    }  # fmt: skip
    compared = dict(zip(new, asyncio.run(planned_pictures.compared(new.values(), folder, web)), strict=True))
    return [(number, compared.get(number, row)) for number, row in rows]


def _one_row(
    store: Store, plan: planning.Plan | planning.Bad, who: str, now: datetime, seen: dict[str, int], number: int,
    origin: desk.Origin | None,
) -> tuple[str, str]:  # fmt: skip
    """(registered, known or bad; what to say). Without an origin nothing is registered."""
    if isinstance(plan, planning.Bad):
        return "bad", f"BAD: {safe.for_terminal(plan.reason, 300)}"
    if plan.not_after < now:
        return "bad", f"BAD: its window ended at {plan.not_after:%Y-%m-%d %H:%M} UTC"
    if plan.external_id in seen:
        return "known", f"the same as row {seen[plan.external_id]}"
    seen[plan.external_id] = number
    if store.registrations.knows(plan.external_id):
        return "known", "already registered"
    same_day = plan.not_before.date() == plan.not_after.date()
    window = f"{plan.not_before:%Y-%m-%d %H:%M} to {plan.not_after:{'%H:%M' if same_day else '%Y-%m-%d %H:%M'}} UTC"
    text = safe.for_terminal(plan.text, 60) or f"{len(plan.pictures)} picture(s) without words"
    if origin is None:
        return "registered", f"would be registered, {window}: {text}"
    return "registered", f"#{desk.register(store, plan, who, datetime.now(UTC), origin)}, {window}: {text}"
