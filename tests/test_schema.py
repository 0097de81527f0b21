"""A database of an older version is taken over as it is."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monitor import oncall, record, schema, standing, steps
from monitor.first_sight import FirstSight
from monitor.model import PageKind, Paging
from monitor.outbox import Outbox
from monitor.reads import Reads
from monitor.store import Store
from tests import older


def test_a_database_of_the_first_version_gains_what_is_new_and_loses_nothing(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "monitor.db")
    schema.run(old, schema._FIRST)
    old.execute("INSERT INTO meta VALUES('install', 'abc'), ('revision', '1')")
    old.execute("CREATE TABLE _sqlite_migrations(migration_set TEXT, name TEXT, applied_at TEXT, PRIMARY KEY(migration_set, name))")
    old.execute("INSERT INTO _sqlite_migrations VALUES('hijack-monitor', '0001_first', '2026-11-01')")
    old.execute(
        "INSERT INTO approved(account, kind, text, not_before, not_after, approved_by, created_at, revision)"
        " VALUES('x::1', 'post', 'Good news', '2026-11-01T00:00:00.000000+00:00', '2026-12-01T00:00:00.000000+00:00', 'carla', '2026-11-01', 1)"
    )
    old.execute("UPDATE approved SET id = 5, external_id = '7'")
    old.execute(
        "INSERT INTO incidents(subject, name, severity, headline, reason, opened_at, last_at, state, posts, hosts, skeletons, acknowledged_by,"
        " acknowledged_at, resolved_by, cause, pages, steps) VALUES('x::1', '@acme on X', 3, 'Unapproved post', 'nobody', '2026-11-01T00:00:00.000000+00:00',"
        " '2026-11-01T00:00:00.000000+00:00', 'acknowledged', 1, '[]', '[]', 'alice', '2026-11-01T00:01:00.000000+00:00', '', '', 1, 0)"
    )
    old.commit()
    old.close()
    older.upgrade(tmp_path / "monitor.db")
    store = Store(tmp_path / "monitor.db")
    one = record.approved(store.sql.execute("SELECT * FROM approved").fetchone())
    assert (one.text, one.pictures, one.parts, one.conversation) == ("Good news", (), 0, "")
    assert [(known.id, known.source) for known in store.registrations.named("7")] == [(5, "")], "its row of a plan is still known"
    indexes = {row[0] for row in store.sql.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'approved'")}
    assert indexes >= {"approved_revision", "approved_unannounced", "approved_unused"}
    assert store.habits("x::1").counts == {}
    (incident,) = store.unresolved()
    assert incident.held_until is None, "the daemon says until when, from its start on"
    store.close()


def test_a_row_of_several_accounts_is_known_by_its_own_id_in_an_older_database_too(tmp_path: Path) -> None:
    store = Store(tmp_path / "monitor.db")
    rows = [
        ("7", "x::1", "7"), ("7@x::2", "x::2", "7"), ("8@x::@acme2", "x::2", "8"), ("me@acme@x::3", "x::3", "me@acme"),
        ("me@acme", "x::1", "me@acme"), ("9@mastodon:a.example:2", "mastodon:a.example:2", "9"), ("a@b:c:d", "x::1", "a@b:c:d"),
        ("5", "x::2", "5"), ("5@x::2", "x::2", "5@x::2"),
    ]  # fmt: skip
    for external_id, account, _ in rows:
        store.sql.execute(
            "INSERT INTO approved(account, kind, text, not_before, not_after, approved_by, created_at, external_id, revision)"
            " VALUES(?, 'post', '', '', '', '', '', ?, 1)",
            [account, external_id],
        )
    store.sql.execute("DELETE FROM _sqlite_migrations WHERE name = '0021_rows_of_several_accounts'")
    store.close()
    older.upgrade(tmp_path / "monitor.db")
    store = Store(tmp_path / "monitor.db")
    assert [row[0] for row in store.sql.execute("SELECT external_id FROM approved ORDER BY id")] == [new for _, _, new in rows]
    store.close()


def test_steps_of_an_older_database_are_counted_from_behind_its_highest(tmp_path: Path) -> None:
    path = tmp_path / "monitor.db"
    older.make(path, count := older.CAME.index("0022"))
    older.fill(
        path,
        count,
        datetime(2026, 11, 1, tzinfo=UTC),
        ["1"],
        older.Known("", dict.fromkeys(older.POSTS, "0") | {"version": 1, "severity": 0, "baseline": 0}),
    )
    with closing(sqlite3.connect(path)) as old:
        old.execute("UPDATE pages SET key = 'abc:inc' || incident || ':note:41:slack:C1' WHERE incident = 1")
        old.execute("UPDATE pages SET key = 'a name of nobody' WHERE incident = 2")
        old.commit()
    older.upgrade(path)
    with closing(Store(path)) as store:
        counted = dict(store.sql.execute("SELECT id, next_step FROM incidents ORDER BY id").fetchall())
        assert counted == {1: 42, 2: 0} | dict.fromkeys(range(3, older.DUE + 2), 1) | {older.DUE + 2: 0}
        assert store.pages.next_step(1, PageKind.NOTE).endswith(":inc1:note:42")


def test_a_database_that_is_up_to_date_needs_no_sqlite_utils_and_a_new_one_no_numpy(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from monitor.store import Store; Store(pathlib.Path(sys.argv[1])).close();"
        " print(sorted({'numpy', 'sqlite_utils'} & set(sys.modules))); import numpy"
    )
    loaded = [
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "monitor.db")], capture_output=True, text=True, check=True
        ).stdout.strip()
        for _ in range(2)
    ]
    assert loaded == ["['sqlite_utils']", "[]"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A database of ours."""
    store = Store(tmp_path_factory.mktemp("kept") / "monitor.db")
    yield store
    store.close()


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.just("2026-11-21T03:00:00+00:00") | st.just("timeline"),
    lambda some: st.lists(some, max_size=4) | st.dictionaries(st.sampled_from(["states", "more", "said", "at", "mode", "x"]), some),
    max_leaves=12,
)


@given(st.one_of(JSON.map(json.dumps), st.text(max_size=5)))
@example(json.dumps({"states": [["timeline", "x:1", "@acme", "2026-11-21T03:00:00+00:00", None, None, 0]], "more": 0}))
@example(json.dumps({"states": [["timeline", "x:1", "@acme", "2026-11-21T03:00:00+00:00", None, None, 0, "", "new"]], "more": 0}))
@example(json.dumps({"said": ["jo"], "at": "2026-11-21T03:00:00+00:00", "nobody_since": "2026-11-21T03:00:00+00:00"}))
@example(json.dumps({"said": [], "at": "2026-11-21T03:00:00+00:00", "nobody_since": ""}))
@example(json.dumps({"x": {"mode": "polling only"}}))
def test_what_another_version_kept_keeps_nobody_from_starting(made: Store, text: str) -> None:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    for name in ("reads", "notes", "collecting", "on call", "clock", "standing question"):
        made.keep(name, text)
    Reads(lambda: now).remember(standing.reads(made))
    standing.note(made, "metrics", "")
    assert all(isinstance(one["interval"], float) for one in standing.told(made).values())
    assert oncall.nobody_for(made, now) is not None
    assert isinstance(oncall.said(made), tuple)
    steps.since_last(made, now)
    assert FirstSight(made, lambda: now, tuple, Outbox(made, Paging()))._to_ask()


def test_only_one_place_reads_what_was_kept_as_json() -> None:
    for path in (Path(__file__).parent.parent / "monitor").rglob("*.py"):
        assert "json.loads(store.kept(" not in path.read_text().replace("self._store", "store").replace("self.store", "store"), path
