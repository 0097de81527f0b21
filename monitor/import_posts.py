"""`posts import`: a line for every row of a plan, and what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import click

from monitor import assembly, desk, plan_changes, plan_times, planned_pictures, planning, safe, voters
from monitor.command import progress
from monitor.config import Config
from monitor.desk import DeskError
from monitor.model import ApprovedPost
from monitor.plan import Bad, Elsewhere, Plan, PlanFile, names
from monitor.public_web import Web
from monitor.store import Store
from monitor.verdict.rules import Rules

Row = tuple[int, Plan | Bad | Elsewhere]


@dataclass(frozen=True, slots=True)
class Act:
    """Who imports, `source` the plan that `--replace` names; a dry run unless `commit`."""

    who: str
    commit: bool
    source: str = ""


def import_file(store: Store, config: Config, path: Path, how: planning.Reading, act: Act, web: Web | None = None) -> int:
    """A line per row; 1 when a row was bad, or could not be understood well enough to replace the plan. Raises PlanError when the
    file cannot be taken at all: then nothing was changed.
    """
    now = datetime.now(UTC)
    found = planning.read(path, how, now)
    rules = assembly.load_rules(config).rules
    return Import(store, config, rules, how, act, now, path.name).file(found, path.parent, web or Web())


_WORDS = ("registered", "replaced", "known", "elsewhere", "bad", "withdrawn")
_NAMED = 20  # registrations in a sentence


@dataclass
class Import:
    """One file, row by row; see `import_file`."""

    store: Store
    config: Config
    rules: Rules
    how: planning.Reading
    act: Act
    now: datetime
    name: str
    accounts: Mapping[str, frozenset[str]] = field(default_factory=dict)  # which the file plans a post for, by external id
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_WORDS, 0))
    seen: dict[tuple[str, str], tuple[int, Plan]] = field(default_factory=dict)
    moved: set[int] = field(default_factory=set)  # registrations replaced by one of another account
    gone: list[tuple[ApprovedPost, str]] = field(default_factory=list)  # what left the plan, and why it is withdrawn
    kept_all: str = ""  # why nothing of it is

    def __post_init__(self) -> None:
        via = f"an import of {safe.clean(self.name, 80)}"
        self._origin = desk.Origin(voters.of_host(), via, desk.new_act(desk.IMPORT), source=self.act.source)
        self._unnamed, self._notes = 0, list[str]()
        if self.act.source and self.act.source not in (sources := self.store.registrations.sources()):
            others = f"; the plans so far: {', '.join(sources)}" if sources else ""
            click.echo(safe.for_terminal(f"note: nothing was registered from the plan “{self.act.source}” so far{others}", 500))

    def file(self, found: PlanFile, folder: Path, web: Web) -> int:
        """Take all of it. `folder` is where the pictures lie."""
        for note in found.notes:
            click.echo(f"note: {safe.for_terminal(note, 500)}")
        rows = plan_changes.with_noes(found.rows)
        self.accounts = plan_changes.accounts(row for _, row in rows)
        rows = self._with_pictures(rows, folder, web)
        self._compare(rows)
        with progress(rows, "importing") as bar:  # a transaction a row: the daemon gets its turns
            for number, row in bar:
                self._take(number, row)
        self._withdraw_what_left()
        self._end()
        return 1 if self.counts["bad"] or self.kept_all else 0

    def _with_pictures(self, rows: Sequence[Row], folder: Path, web: Web) -> list[Row]:
        """The rows with the hashes of their pictures, in a dry run too. What cannot be registered any more is not fetched."""
        new = {place: row for place, (_, row) in enumerate(rows) if isinstance(row, Plan) and self._is_compared(row)}
        compared = dict(zip(new, asyncio.run(planned_pictures.compared(new.values(), folder, web)), strict=True))
        back = {
            place: replace(row, external_id=new[place].external_id, also=new[place].also)
            for place, row in compared.items()
            if isinstance(row, Bad)
        }
        return [(number, back.get(place, compared.get(place, row))) for place, (number, row) in enumerate(rows)]

    def _is_compared(self, plan: Plan) -> bool:
        """Whether its pictures matter. The id of a row without one of its own says which pictures it names."""
        try:
            one = self._known(plan)
        except plan_changes.AmbiguousError:
            return False
        if one is None:
            return plan.not_after >= self.now
        return not one.used_by and (not plan.derived or bool(self._differences(one, plan, pictures=False)))

    def _named(self, *identifiers: str) -> list[ApprovedPost]:
        """What is registered for a row, once for each of its accounts."""
        return plan_changes.of_plan(self.store.registrations.named(*identifiers), self.act.source)

    def _known(self, plan: Plan) -> ApprovedPost | None:
        """The registration that a row stands for: of its account, or of one that the row names no more."""
        found = self._named(*names(plan))
        return next((one for one in found if one.account == plan.account), None) or next(iter(self._left(found, plan.external_id)), None)

    def _left(self, found: Iterable[ApprovedPost], external_id: str) -> list[ApprovedPost]:
        accounts = self.accounts.get(external_id)
        return [one for one in found if one.account not in accounts and one.id not in self.moved] if accounts else []

    def _changes(self, one: ApprovedPost, plan: Plan) -> list[str]:
        return self._differences(one, plan, pictures=not plan.files or self._is_compared(plan))

    def _differences(self, one: ApprovedPost, plan: Plan, *, pictures: bool) -> list[str]:
        return plan_changes.differences(self.store.registrations.thread(one), plan, self.now, pictures=pictures)

    def _open_part(self, one: ApprovedPost) -> int:
        """The number of the first part of a thread, mostly its only one, that may still be posted; 0 where there is none."""
        thread = self.store.registrations.thread(one)
        return next((part.id for part in thread if not (part.used_by or part.withdrawn_at) and part.not_after >= self.now), 0)

    # --- a row --------------------------------------------------------------------------------------

    def _take(self, number: int, row: Plan | Bad | Elsewhere) -> None:
        """Do what a row asks for, or say what would be done."""
        try:
            with self.store.transaction() if self.act.commit else nullcontext():  # what it is compared with may not change meanwhile
                word, said = self._planned(number, row) if isinstance(row, Plan) else self._not_planned(row)
        except (DeskError, plan_changes.AmbiguousError) as error:
            word, said = "bad", f"BAD: {safe.for_terminal(str(error), 300)}"
        self.counts[word] += 1
        click.echo(f"{'+ ' if word == 'registered' else '~ ' if word == 'replaced' else ''}row {number}: {said}")
        if isinstance(row, Plan) and word in ("registered", "replaced"):
            self._say_notes(number, row)

    def _not_planned(self, row: Bad | Elsewhere) -> tuple[str, str]:
        """Why, and what is still registered for it."""
        leaving = {one.id for one, _ in self.gone} if not self.kept_all else set()
        found = [one for one in self.store.registrations.named(*names(row)) if one.id not in leaving]
        stay = [part for one in found if self.act.source in (one.source or self.act.source, "") and (part := self._open_part(one))]
        if isinstance(row, Elsewhere):  # its id may stand in a row of ours as well
            keeps = "" if any(name in self.accounts for name in names(row)) else "".join(map(_stays, stay))
            return "elsewhere", f"skipped: {safe.for_terminal(row.reason, 300)}{keeps}"
        return "bad", f"BAD: {safe.for_terminal(row.reason, 300)}{''.join(map(_stays, stay))}"

    def _planned(self, number: int, plan: Plan) -> tuple[str, str]:
        """(registered, replaced, known or bad; what to say)."""
        before = self.seen.setdefault((plan.external_id, plan.account), (number, plan))
        if before[1] is not plan:
            same = replace(before[1], pictures=plan.pictures) == plan
            return (
                ("known", f"the same as row {before[0]}")
                if same
                else ("bad", f"BAD: row {before[0]} has its external_id, and says otherwise")
            )
        one = self._known(plan)
        if one is None:
            return self._registered(plan)
        if changed := self._changes(one, plan):
            return self._replaced(one, plan, ", ".join(changed))
        if self.act.source != one.source and self.act.source and self.act.commit:
            self.store.registrations.belongs(one.id, self.act.source)
            self.store.audit(self.now, self.act.who, "plan", f"#{one.id}", source=self.act.source)
        beside = [part for o in self._named(*names(plan)) if o.account == one.account and o.id != one.id and (part := self._open_part(o))]
        return "known", f"already registered: #{one.id}, {desk.standing(one, self.now)}{''.join(map(_stays, beside))}"

    def _registered(self, plan: Plan) -> tuple[str, str]:
        if plan.not_after < self.now:
            return "bad", f"BAD: its window ended at {plan.not_after:%Y-%m-%d %H:%M} UTC"
        desk.check(plan, self.now)
        said = self._words(plan)
        if taken_back := self.store.registrations.withdrawn(plan.external_id, plan.account):
            said += f" (#{taken_back}, the same row, was withdrawn)"
        if not self.act.commit:
            return "registered", f"would be registered, {said}"
        return "registered", f"#{desk.register(self.store, plan, self.act.who, datetime.now(UTC), self._origin)}, {said}"

    def _replaced(self, one: ApprovedPost, plan: Plan, changed: str) -> tuple[str, str]:
        """The old registration is withdrawn and the new one made, together."""
        try:
            desk.unused_thread(self.store, one)
        except DeskError as error:
            raise DeskError(f"it changes {changed}, and {error}; give the new post an external_id of its own") from None
        if plan.not_after < self.now:
            return "bad", f"BAD: its window ended at {plan.not_after:%Y-%m-%d %H:%M} UTC{_stays(one.id)}"
        desk.check(plan, self.now)
        self._notes = (
            [f"#{one.id} was confirmed by {one.confirmed_by}: whoever confirms has to read the new one"] if one.confirmed_at else []
        )
        self.moved.add(one.id)
        said = f"{changed}; {self._words(plan)}"
        if not self.act.commit:
            return "replaced", f"#{one.id} would be replaced: {said}"
        origin = replace(self._origin, source=self.act.source or one.source)
        made = desk.register(self.store, plan, self.act.who, datetime.now(UTC), origin, replacing=one)
        return "replaced", f"#{one.id} is replaced by #{made}: {said}"

    def _words(self, plan: Plan) -> str:
        window = plan_times.shown_window(plan.not_before, plan.not_after, self.how.zone)
        window += f", @{next(a.handle for a in self.how.accounts if a.key == plan.account)}" if len(self.how.accounts) > 1 else ""
        parts = f", {len(plan.more) + 1} parts" if plan.more else ""
        return f"{window}{parts}: {safe.for_terminal(plan.text, 60) or f'{len(plan.pictures)} picture(s) without words'}"

    def _say_notes(self, number: int, plan: Plan) -> None:
        self._unnamed += plan.derived
        for note in [*self._notes, *desk.lint(plan, self.config.company, self.rules), *self._twins.of(plan)]:
            click.echo(f"  note: {safe.for_terminal(note, 300)}")
        self._notes = []
        self._twins.add(f"row {number}", plan)

    # --- what left the plan ---------------------------------------------------------------------------

    def _compare(self, rows: Sequence[Row]) -> None:
        """Find what the file no longer holds and nobody has used: accounts that a row names no more and, of a plan that is replaced,
        rows. All of it is withdrawn together, or nothing where a row cannot be told from one that left.
        """
        to_come = self.store.registrations.to_come(self.now)
        first = {one.id: self.store.registrations.first(one) for one in to_come}
        if self.act.source:
            known = {one.id: one for one in first.values() if not (one.after or one.withdrawn_at)}
            self.gone, self.kept_all = plan_changes.what_left(rows, known.values(), self.act.source)
        leaving = self._leaving(rows)
        self._twins = plan_changes.Twins(one for one in to_come if first[one.id].id not in leaving)

    def _leaving(self, rows: Iterable[Row]) -> set[int]:
        """What is withdrawn or replaced by the end, whichever row comes first: none of it is anybody's twin."""
        plans = {(row.external_id, row.account): row for _, row in reversed(list(rows)) if isinstance(row, Plan)}
        for row in plans.values():
            with suppress(plan_changes.AmbiguousError, DeskError):
                desk.check(row, self.now)
                one = self._known(row)
                if one and self._changes(one, row) and desk.unused_thread(self.store, one):
                    self.moved.add(one.id)
        left = {one.id for one, _ in [*([] if self.kept_all else self.gone), *self._find_dropped()] if not one.used_by}
        leaving, self.moved = self.moved | left, set()
        return leaving

    def _find_dropped(self) -> list[tuple[ApprovedPost, str]]:
        """What is registered for accounts that the file's rows name no more."""
        found = []
        for external_id in self.accounts:
            with suppress(plan_changes.AmbiguousError):
                dropped = self._left(self._named(external_id), external_id)
                found += [(one, "its row no longer names its account") for one in dropped if self._open_part(one)]
        return found

    def _withdraw_what_left(self) -> None:
        """All of it together; see `_compare`."""
        gone = self.gone
        if self.kept_all and gone:
            click.echo(safe.for_terminal(_all_stay([one.id for one, _ in gone], self.act.source, self.kept_all), 1000))
            gone = []
        else:
            self.kept_all = ""
        with self.store.transaction() if self.act.commit else nullcontext():
            for one, why in [*gone, *self._find_dropped()]:
                self._leaves(one, why)

    def _leaves(self, one: ApprovedPost, why: str) -> None:
        """A thread that has begun goes on as it was registered."""
        try:
            thread = desk.unused_thread(self.store, one)
        except DeskError as error:
            left = self._open_part(one)
            rest = _stays(left) if left else ""
            click.echo(f"#{one.id} is not withdrawn: {safe.for_terminal(why, 200)}, but {error}{rest}")
            return
        self.counts["withdrawn"] += 1
        what = "is withdrawn" if self.act.commit else "would be withdrawn"
        click.echo(f"- #{one.id} {what}: {safe.for_terminal(why, 200)}: {safe.for_terminal(one.text, 60)}")
        for part in thread if self.act.commit else ():
            desk.withdraw(self.store, part.id, self.act.who, datetime.now(UTC), why)

    def _end(self) -> None:
        """Count, and write it down."""
        counts = self.counts
        if self.act.commit:
            with self.store.transaction():
                given = {"source": self.act.source} if self.act.source else {}
                self.store.audit(self.now, self.act.who, "import", self.name, **counts, **given)
        done = "registered" if self.act.commit else "would be registered (dry run; --commit registers)"
        more = "".join(f", {counts[word]} {word}" for word in ("replaced", "withdrawn") if counts[word])
        elsewhere = f", {counts['elsewhere']} for other networks" if counts["elsewhere"] else ""
        click.echo(f"{counts['registered']} {done}, {counts['known']} already known{elsewhere}, {counts['bad']} bad{more}")
        if self._unnamed and not self.act.source:
            click.echo(
                "note: rows without an external_id are known by what they say: a changed one is registered beside the old one,"
                " which stays registered unless the plan is imported with --replace"
            )
        if self.act.commit and counts["registered"] + counts["replaced"] and self.config.approving.two_person:
            click.echo("they wait for a second approver: `hijack-monitor posts confirm` with one of their numbers confirms them all")


def _stays(number: int) -> str:
    return f"; #{number} stays registered: `hijack-monitor posts withdraw {number}` takes it back"


def _all_stay(numbers: Sequence[int], source: str, why: str) -> str:
    one = len(numbers) == 1
    listed = ", ".join(f"#{number}" for number in numbers[:_NAMED]) + (
        f" and {len(numbers) - _NAMED} more" if len(numbers) > _NAMED else ""
    )
    return (
        f"Nothing is taken back, because {why}. {len(numbers)} {'post' if one else 'posts'} from the plan “{source}”"
        f" {'is' if one else 'are'} still approved and no longer in this file (or refused in it): {listed}."
        f" To take {'it' if one else 'one'} back: hijack-monitor posts withdraw {numbers[0]}"
    )
