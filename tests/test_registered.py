"""How registrations are stored: as they are read, by whatever version they were written."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import desk, record, redaction, registered
from monitor.model import Kind
from monitor.plan import Plan
from monitor.record import stamp
from monitor.store import Store
from tests import older
from tests.conftest import as_row

NOW = datetime(2026, 3, 3, 14, 5, 6, 789, tzinfo=UTC)
PLAN = Plan(
    "x::1", Kind.QUOTE, "Fees fall on “Monday”.\n\0 \\ 手数料", NOW, NOW + timedelta(hours=1), ("https://acme.example/ä",), 1, external_id="7",
    pictures=("ab" * 32,), alt=("A poster",), shown=(("quotes", "99"),), by="legal", conversation="12", author="partner",
)  # fmt: skip


def register(store: Store, plan: Plan = PLAN, source: str = "november") -> int | None:
    origin = desk.Origin("slack:U01", "an import of plan.csv", desk.new_act(desk.IMPORT), source=source)
    return desk.register(store, plan, "carla", NOW, origin)


def row(store: Store, number: int = 1) -> Any:
    return store.sql.execute("SELECT * FROM approved WHERE id = ?", [number]).fetchone()


def as_before(store: Store, number: int = 1) -> None:
    """The row as earlier versions wrote it."""
    said = registered.whole(row(store, number)) | {"packed": None, "opens": None, "used": None}
    store.sql.execute(f"UPDATE approved SET {', '.join(f'{name} = ?' for name in said)} WHERE id = {number}", [*said.values()])


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with closing(Store(tmp_path / "monitor.db")) as store:
        yield store


def test_a_row_says_the_same_in_both_forms_and_leaves_the_same_digest(store: Store) -> None:
    register(store)
    store.registrations.consume(1, "55", NOW + timedelta(microseconds=1))
    assert "Fees fall" not in str(tuple(row(store)))
    one = store.registrations.get(1)
    assert one
    assert (one.text, one.not_before, one.used_at) == (PLAN.text, NOW, NOW + timedelta(microseconds=1))
    words = ("text", "links", "pictures", "alt", "shown", "conversation", "author")
    digest = record.digest({name: registered.whole(row(store))[name] for name in words})
    left = []
    for stand in (lambda _: None, as_before):
        store.sql.execute("SAVEPOINT one")
        stand(store)
        assert store.registrations.get(1) == one
        assert store.registrations.named("7") == [one]
        redaction.registration(store.sql, 1, NOW)
        left.append(registered.whole(row(store)))
        store.sql.execute("ROLLBACK TO one")
    assert left[0] == left[1]
    assert left[0]["sha256"] == digest
    bare = replace(one, text="", links=(), pictures=(), alt=(), shown=(), redacted_at=NOW)
    assert record.approved(left[0]) == bare, "for whose posts, by whom and when it was stays"


@given(st.text(st.characters(codec="utf-8")), st.datetimes(timezones=st.just(UTC)))
def test_whatever_a_text_holds_it_comes_back(text: str, used: datetime) -> None:
    said = registered.whole(as_row(registered.columns({"text": text, "not_before": stamp(used), "used_at": stamp(used)})))
    assert (said["text"], said["not_before"], said["used_at"], said["links"]) == (text, stamp(used), stamp(used), "[]")


def test_what_is_registered_once_for_a_plan_and_account_stays_once(store: Store) -> None:
    assert register(store) == 1
    assert register(store) is None
    store.registrations.consume(1, "55", NOW)
    assert register(store) is None, "also when it was used"
    assert register(store, replace(PLAN, account="x::2")) == 2
    assert register(store, source="december") == 3
    store.registrations.withdraw(3, "carla", NOW)
    assert register(store, source="december") == 4
    assert register(store, replace(PLAN, account="x::@acme")) == 5
    assert store.registrations.resolve("x::@acme", "x::1") == 0, "by its id it is there and used"
    assert register(store, replace(PLAN, account="x::@acme", external_id="8")) == 6
    assert store.registrations.resolve("x::@acme", "x::1") == 1
    assert [one.account for one in store.registrations.named("7", "8") if one.id > 4] == ["x::@acme", "x::1"]


def test_the_soonest_are_first(store: Store) -> None:
    for number, hours in enumerate((3, 1, 2)):
        window = NOW + timedelta(hours=hours), NOW + timedelta(days=9 - hours)
        register(store, replace(PLAN, external_id=str(number), not_before=window[0], not_after=window[1]))
    as_before(store, 3)
    found, count = store.registrations.next(NOW, 2)
    assert ([one.id for one in found], count) == ([2, 3], 3)


def test_an_act_is_known_before_it_is_announced_and_after(store: Store) -> None:
    origin = desk.Origin("slack:U01", "Slack", desk.new_act(), source="november")
    for name in "abc":
        desk.register(store, replace(PLAN, external_id=name), "carla", NOW, origin)
    register(store, replace(PLAN, external_id="d"))
    one = desk.registration(store, 2)
    for announced in (False, True):
        assert [r.id for r in store.registrations.act_of(one)] == [1, 2, 3]
        assert store.announcements.untold(2)
        if not announced:
            store.announcements.write(origin.batch, NOW)
    while told := store.announcements.due(NOW):
        store.announcements.told(told, "C1", f"{told.id}")
    assert not store.announcements.untold(2)
    assert store.announcements.untold(4), "nobody was told of the other act"


def test_acts_of_an_older_version_are_known_after_the_upgrade(tmp_path: Path) -> None:
    path = tmp_path / "monitor.db"
    older.make(path, older.CAME.index("0030"))
    columns = "account, kind, text, not_before, not_after, approved_by, created_at, revision, batch, announcement"
    with closing(sqlite3.connect(path)) as old, old:
        for number in range(1, 8):
            values = ["x::1", "post", f"Text {number}", *[stamp(NOW)] * 2, "carla", stamp(NOW), number, "act" if number < 7 else "other"]
            old.execute(f"INSERT INTO approved({columns}) VALUES({', '.join('?' * 10)})", [*values, min(number, 3) if number < 6 else None])
        for _ in range(3):
            old.execute("INSERT INTO announcements(created_at, next_at, receipt) VALUES('', '', '1.1')")
    older.upgrade(path)
    with closing(Store(path)) as store:
        one = desk.registration(store, 4)
        assert (one.text, one.not_before, one.used_at) == ("Text 4", NOW, None)
        assert [r.id for r in store.registrations.act_of(one)] == [1, 2, 3, 4, 5, 6]
        assert store.announcements.untold(1), "the sixth"
        assert [r.id for r in store.registrations.act_of(desk.registration(store, 7))] == [7]
        assert [r.id for r in store.registrations.newest()] == [7, 6, 5, 4, 3, 2, 1]


def test_a_cell_that_cannot_be_read_leaves_its_own_digest(store: Store) -> None:
    register(store)
    store.sql.execute("UPDATE approved SET packed = x'28b52ffd00'")
    redaction.registration(store.sql, 1, NOW)
    one = store.registrations.get(1)
    assert one
    assert (one.text, one.redacted_at) == ("", NOW)
    assert row(store)["sha256"] == hashlib.sha256(bytes.fromhex("28b52ffd00")).hexdigest()
