"""How a row of a plan differs from what is registered for it, and what else has its words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from monitor.model import ApprovedPost
from monitor.plan import Bad, Elsewhere, Plan, names
from monitor.verdict.shown_pictures import unlike
from monitor.verdict.text import canonical

_AT_ONCE = timedelta(hours=1)  # an import of many pictures takes that long


class AmbiguousError(ValueError):
    """Several plans have this row's id, and which one is meant is not said."""


def of_plan(found: Sequence[ApprovedPost], source: str) -> list[ApprovedPost]:
    """Of what is registered under a row's id, what the row means. The ids of a plan are its own; what was imported without a
    name belongs to whichever plan has its id. Raises AmbiguousError.
    """
    mine = [one for one in found if one.source == source] or [one for one in found if not source or not one.source]
    if len(plans := {one.source for one in mine}) > 1:
        raise AmbiguousError(f"its external_id is in several plans ({', '.join(sorted(plans))}): say which with --replace")
    return mine


def with_noes(rows: Iterable[tuple[int, Plan | Bad | Elsewhere]]) -> list[tuple[int, Plan | Bad | Elsewhere]]:
    """The rows of a file, where one that says no refuses every other row of the same id."""
    rows = list(rows)
    noes = {name: (number, row.reason) for number, row in rows if isinstance(row, Bad) and row.refused for name in names(row)}
    return [(number, _refused(row, noes) if isinstance(row, Plan) else row) for number, row in rows]


def _refused(row: Plan, noes: Mapping[str, tuple[int, str]]) -> Plan | Bad:
    no = next((noes[name] for name in names(row) if name in noes), None)
    if no is None:
        return row
    same = "is the same post" if row.derived else "has the same external_id"
    return Bad(f"row {no[0]} {same} and is not approved: {no[1]}", row.external_id, refused=True, also=row.also)


def accounts(rows: Iterable[Plan | Bad | Elsewhere]) -> dict[str, frozenset[str]]:
    """For which accounts each external id of a file plans a post. An id of which a row was not understood is left out."""
    found: dict[str, set[str]] = {}
    for row in (known := list(rows)):
        if isinstance(row, Plan):
            found.setdefault(row.external_id, set()).add(row.account)
    unclear = {row.external_id for row in known if isinstance(row, Bad)}
    return {identifier: frozenset(named) for identifier, named in found.items() if identifier not in unclear}


def what_left(
    rows: Sequence[tuple[int, Plan | Bad | Elsewhere]], registered: Iterable[ApprovedPost], source: str
) -> tuple[list[tuple[ApprovedPost, str]], str]:
    """(what is registered and no longer in the plan, or refused in it, and why; the reason why all of it has to stay).

    A plan holds what was registered from it. What was registered without a name joins it by its id alone: what has none, like
    everything that `posts add` made, is of no plan.
    """
    bad = [(number, row) for number, row in rows if isinstance(row, Bad)]
    there = {name for _, row in rows if isinstance(row, Plan) or (isinstance(row, Bad) and not row.refused) for name in names(row)}
    says_no = {name: f"row {number}: {row.reason}" for number, row in bad if row.refused for name in names(row)}
    mine = [one for one in registered if one.source == source or (not one.source and one.external_id in says_no)]
    gone = [(one, says_no.get(one.external_id, f"it left the plan “{source}”")) for one in mine if one.external_id not in there]
    if unclear := [number for number, row in bad if not (row.refused or row.external_id)]:
        return gone, f"row {unclear[0]} could not be understood and may stand for one of these"
    if not any(isinstance(row, Plan) or (isinstance(row, Bad) and row.refused) for _, row in rows):
        return gone, "the file says of no post whether it is approved"
    return gone, ""


def differences(thread: Sequence[ApprovedPost], plan: Plan, now: datetime, *, pictures: bool = True) -> list[str]:
    """What a row says otherwise than the registration of it, in words; empty when it is the same.

    Without `pictures` those of the row were not looked at. Who approved it is no part of the post.
    """
    one = thread[0]
    shown, planned = dict(one.shown), dict(plan.shown)
    changes = {
        "the account": one.account != plan.account,
        "the kind": one.kind is not plan.kind,
        "the text": one.text != plan.text or one.field != plan.field,
        "the parts": _texts(thread) != list(plan.more),
        "the links": one.links != plan.links,
        "the media": one.media != max(plan.media, len(plan.pictures)) or (pictures and _other_pictures(one.pictures, plan.pictures)),
        "the alt texts": one.alt != plan.alt,
        "the time": _other_time(one, plan, now),
    }
    changes |= {f"its {name}": shown.get(name) != planned.get(name) for name in dict.fromkeys((*shown, *planned))}
    return [what for what, changed in changes.items() if changed]


def _texts(thread: Sequence[ApprovedPost]) -> list[str]:
    return [one.text for one in thread[1:] if not one.withdrawn_at]


def _other_pictures(before: Sequence[str], after: Sequence[str]) -> bool:
    return len(before) != len(after) or any(unlike(mine, theirs) for mine, theirs in zip(before, after, strict=True))


def _other_time(one: ApprovedPost, plan: Plan, now: datetime) -> bool:
    """A row without a time is open from its import on: as long as that window lasts, it says the same."""
    if plan.dated:
        return (one.not_before, one.not_after) != (plan.not_before, plan.not_after)
    made = one.registered_at or one.not_before
    undated = timedelta() <= made - one.not_before <= _AT_ONCE and one.not_after - one.not_before == plan.not_after - plan.not_before
    return not undated or (one.not_after < now and not one.used_by)


class Twins:
    """What may still be posted, by its words: two registrations of the same words let two posts go by."""

    def __init__(self, registered: Iterable[ApprovedPost] = ()) -> None:
        self._found: dict[tuple[object, ...], dict[str, tuple[datetime, datetime]]] = {}
        for one in registered:
            self.add(f"#{one.id}", one)

    def add(self, name: str, one: ApprovedPost | Plan) -> None:
        """It may be posted, and is called so."""
        self._found.setdefault(_words(one), {})[name] = (one.not_before, one.not_after)

    def of(self, plan: Plan) -> list[str]:
        """A note for each that has the same words and a window that overlaps."""
        start, end = plan.not_before, plan.not_after
        notes = []
        for name, window in self._found.get(_words(plan), {}).items():
            if window == (start, end):
                notes.append(f"{name} has the same words and the same window: two such posts would go by")
            elif window[0] <= end and start <= window[1]:
                notes.append(f"{name} has the same words, and the windows overlap: two such posts would go by")
        return notes


def _words(one: ApprovedPost | Plan) -> tuple[object, ...]:
    """What tells posts apart beside their time; for posts without words their pictures do."""
    text = canonical(one.text, one.links)
    without = (one.conversation, one.author, one.pictures) if not text else ()
    return one.account, one.kind, one.field, text, one.shown, without
