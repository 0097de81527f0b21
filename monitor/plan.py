"""A planned post, as a file or a form says it, and how such a file is to be read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from monitor.model import Account, Kind


class PlanError(ValueError):
    """The whole file cannot be taken; the message says what to do."""


class NotApprovedError(ValueError):
    """A row says that it is not approved: understood, and refused."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One row, understood. Times are UTC. `more` are the texts of a thread's further parts; `pictures`
    are PDQ hashes, `files` what the media column says, as it says it, `alt` the pictures' alt texts in their order. A row without a
    time is not `dated`; one without an id of its own has `derived` its `external_id` from what it says, and may have been registered
    by what it is called `also`.
    """

    account: str
    kind: Kind
    text: str
    not_before: datetime
    not_after: datetime
    links: tuple[str, ...] = ()
    media: int = 0
    field: str = ""
    by: str = ""
    external_id: str = ""
    pictures: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    conversation: str = ""
    author: str = ""
    files: tuple[str, ...] = ()
    alt: tuple[str, ...] = ()
    shown: tuple[tuple[str, str], ...] = ()
    most: int = 0
    dated: bool = True
    derived: bool = False
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bad:
    """One row that was not understood, or says no (`refused`), and why; with its own id where that could be read, or with what it
    would be called `also` if it said yes.
    """

    reason: str
    external_id: str = ""
    refused: bool = False
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """One row that is only for networks or accounts that we do not watch, and which; with its own id, or with what it would be
    called `also` if it were for an account of ours.
    """

    reason: str
    external_id: str = ""
    also: tuple[str, ...] = ()


def names(row: Plan | Bad | Elsewhere) -> tuple[str, ...]:
    """Everything that a registration of this row may be called."""
    return tuple(filter(None, (row.external_id, *row.also)))


@dataclass(frozen=True, slots=True)
class PlanFile:
    """What a file says: its rows by the number that a spreadsheet shows, several plans for a row of several accounts, and
    in `notes` what whoever imports it has to know of the whole file.
    """

    rows: tuple[tuple[int, Plan | Bad | Elsewhere], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read: the accounts we watch, the default one, the zone of times that name none, the
    order of slashed dates (dmy, mdy or nothing), and the window around a time. `columns` are pairs of what a column
    means and its name, `ignore` names those to leave out, `approved` are more words of a status that say yes, and `thread`
    says whether `||` parts a thread or belongs to the text.
    """

    accounts: tuple[Account, ...]
    account: str = ""
    zone: tzinfo | None = None
    dates: str = ""
    early: timedelta = timedelta(minutes=5)
    late: timedelta = timedelta(hours=1)
    days: int = 7
    columns: tuple[tuple[str, str], ...] = ()
    ignore: tuple[str, ...] = ()
    approved: tuple[str, ...] = ()
    thread: bool | None = None
