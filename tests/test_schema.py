"""A database of an older version is taken over as it is."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

from monitor import record, schema
from monitor.store import Store


def test_a_database_of_the_first_version_gains_what_is_new_and_loses_nothing(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "monitor.db")
    first = schema._FIRST.split(";\n")
    for statement in first:
        old.execute(statement) if statement.strip() else None
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
    store = Store(tmp_path / "monitor.db")
    one = record.approved(store.sql.execute("SELECT * FROM approved").fetchone())
    assert (one.text, one.pictures, one.parts, one.conversation) == ("Good news", (), 0, "")
    assert [(known.id, known.source) for known in store.registrations.named("7")] == [(5, "")], "its row of a plan is still known"
    indexes = {row[0] for row in store.sql.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'approved'")}
    assert indexes >= {"approved_revision", "approved_unannounced", "approved_batch", "approved_in_force"}
    assert store.habits("x::1").counts == {}
    (incident,) = store.unresolved()
    assert incident.held_until == incident.acknowledged_at, "what somebody took before acknowledgements ended is asked about at once"
    store.close()


def test_a_row_of_several_accounts_is_known_by_its_own_id_in_an_older_database_too(tmp_path: Path) -> None:
    store = Store(tmp_path / "monitor.db")
    older = [
        ("7", "x::1", "7"), ("7@x::2", "x::2", "7"), ("8@x::@acme2", "x::2", "8"), ("me@acme@x::3", "x::3", "me@acme"),
        ("me@acme", "x::1", "me@acme"), ("9@mastodon:a.example:2", "mastodon:a.example:2", "9"), ("a@b:c:d", "x::1", "a@b:c:d"),
        ("5", "x::2", "5"), ("5@x::2", "x::2", "5@x::2"),
    ]  # fmt: skip
    for external_id, account, _ in older:
        store.sql.execute(
            "INSERT INTO approved(account, kind, text, not_before, not_after, approved_by, created_at, external_id, revision)"
            " VALUES(?, 'post', '', '', '', '', '', ?, 1)",
            [account, external_id],
        )
    store.sql.execute("DELETE FROM _sqlite_migrations WHERE name = '0021_rows_of_several_accounts'")
    store.close()
    store = Store(tmp_path / "monitor.db")
    assert [row[0] for row in store.sql.execute("SELECT external_id FROM approved ORDER BY id")] == [new for _, _, new in older]
    store.close()


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
