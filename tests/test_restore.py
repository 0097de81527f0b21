"""A backup takes the database's place whole or not at all, and the database stays beside it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from monitor import advice, backup, chain, copies, desk, holds, install_key, numbering, restore, signing, silences
from monitor import config as configuration
from monitor.cli import main
from monitor.config import Config
from monitor.copies import CopyError
from monitor.lock import locked
from monitor.model import Incident, Kind, Severity, State
from monitor.outbox import Outbox
from monitor.planning import Plan
from monitor.store import Store
from tests import older
from tests.test_cli import CONFIG

NOW = datetime(2026, 3, 3, 14, 5, tzinfo=UTC)
LATER = NOW + timedelta(hours=3)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A configuration, a backup `b.db`, and a database with a row more than that, all of which stands in its journal."""
    file = tmp_path / "hijack-monitor.toml"
    file.write_text(CONFIG.format(folder=tmp_path))
    found = configuration.load(file)
    with closing(Store(found.database)) as store:
        store.audit(NOW, "carla", "began", "acme")
        backup.make(found, str(tmp_path / "b.db"), None, "carla", NOW)
    _write_after(found)
    return found


def _write_after(config: Config) -> None:
    """As a daemon that was killed leaves it: in the journal alone."""
    script = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from monitor.store import Store
store = Store(Path(sys.argv[1]))
with store.transaction():
    store.audit(datetime.now(UTC), "carla", "after", "acme")
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run((sys.executable, "-c", script, str(config.database)), check=False)
    assert config.database.with_name("monitor.db-wal").stat().st_size


def _b(config: Config) -> Path:
    return config.path.parent / "b.db"


def _run(config: Config, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--config", str(config.path), "restore", *arguments, "--as", "carla"])


def _put(config: Config, file: Path | None = None, now: datetime = LATER) -> None:
    restore.put(config, restore.plan(config, file or _b(config)), "carla", now)


def _acts(path: Path) -> list[str]:
    """What was done, as it says."""
    with closing(Store(path)) as store:
        assert store.broken_audit() is None
        assert store.malformed(60) == ""
        return [row[0] for row in store.sql.execute("SELECT action FROM audit ORDER BY id")]


def _bytes(folder: Path) -> dict[str, bytes]:
    """But for the index of the journal, which whoever reads writes marks into."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and not path.name.endswith("-shm")}


OLD, NEW = ["began", "backup", "after"], ["began", "restore"]


# --- what it does ------------------------------------------------------------------------------------


def test_without_yes_it_shows_both_and_changes_nothing(config: Config) -> None:
    before = _bytes(config.data_dir)
    said = _run(config, str(_b(config)))
    assert said.exit_code == 0, said.output
    assert _bytes(config.data_dir) == before
    lines = dict(line.split(maxsplit=1) for line in said.output.splitlines() if " " in line)
    digest = hashlib.sha256(_b(config).read_bytes()).hexdigest()
    assert lines["taken"].startswith("2026-03-03 14:05:00 UTC, ")
    assert lines["acts"] == "1 in the file, 3 at present"
    assert lines["posts"] == "0 in the file, 0 at present"
    assert lines["sha256"] == digest
    assert "version 0.1.0, schema 00" in lines["written"]
    assert "version 0.1.0, schema 00" in lines["at"]
    assert lines["install_key"].startswith("not here. Put the one that you kept at")
    assert "Nothing was changed: with --yes" in said.output


def test_the_database_is_moved_aside_whole_and_the_copy_says_who_put_it_there(config: Config) -> None:
    said = _run(config, str(_b(config)), "--yes")
    assert said.exit_code == 0, said.output
    (aside,) = config.data_dir.glob("monitor.db.before-restore-*Z")
    assert str(aside) in said.output
    assert not list(config.data_dir.glob("*-wal")), "nothing that could be replayed into another database"
    assert (config.database.stat().st_mode & 0o777, aside.stat().st_mode & 0o777) == (0o600, 0o600)
    with closing(Store(config.database)) as store:
        row = store.sql.execute("SELECT * FROM audit ORDER BY id DESC").fetchone()
        assert (row["actor"], row["action"], row["subject"]) == ("carla", "restore", str(_b(config)))
        assert json.loads(row["detail"])["sha256"] == hashlib.sha256(_b(config).read_bytes()).hexdigest()
        assert json.loads(row["detail"])["aside"] == aside.name
        assert json.loads(store.kept("restored"))["who"] == "carla"
    assert _acts(config.database) == NEW
    shutil.copy(aside, config.path.parent / "looked-at.db")
    assert _acts(config.path.parent / "looked-at.db") == OLD, "what stood in the journal is in it"


def test_what_was_moved_aside_can_be_put_back(config: Config) -> None:
    _put(config)
    (aside,) = config.data_dir.glob("monitor.db.before-restore-*Z")
    said = _run(config, str(aside), "--yes")
    assert said.exit_code == 0, said.output
    assert _acts(config.database) == [*OLD, "restore"]
    assert len(list(config.data_dir.glob("monitor.db.before-restore-*Z"))) == 2


def test_on_a_new_host_there_need_be_neither_database_nor_folder(config: Config) -> None:
    shutil.rmtree(config.data_dir)
    said = _run(config, str(_b(config)))
    assert "there is no" in said.output
    assert not config.data_dir.exists()
    said = _run(config, str(_b(config)), "--yes")
    assert said.exit_code == 0, said.output
    assert config.data_dir.stat().st_mode & 0o777 == 0o700
    assert _acts(config.database) == NEW
    assert not list(config.data_dir.glob("*before*"))


def test_a_journal_without_its_database_is_not_replayed_into_the_copy(config: Config) -> None:
    config.database.unlink()
    _put(config)
    assert _acts(config.database) == NEW
    assert [p.name for p in config.data_dir.glob("*-wal")] == ["monitor.db.before-restore-20260303T170500Z-wal"]


def test_a_damaged_database_is_moved_aside_as_it_is(config: Config) -> None:
    config.database.write_bytes(b"no database" * 1_000)
    wal = config.database.with_name("monitor.db-wal").read_bytes()
    said = _run(config, str(_b(config)))
    assert "cannot be read" in said.output
    _put(config)
    aside = config.data_dir / "monitor.db.before-restore-20260303T170500Z"
    assert aside.read_bytes() == b"no database" * 1_000
    assert aside.with_name(f"{aside.name}-wal").read_bytes() == wal
    assert _acts(config.database) == NEW


def test_nothing_is_ever_overwritten(config: Config) -> None:
    _put(config)
    (first,) = config.data_dir.glob("monitor.db.before-restore-*Z")
    was = first.read_bytes()
    _put(config)
    assert first.read_bytes() == was
    assert first.with_name(f"{first.name}-2").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_leaves_everything_to_the_owner_of_the_data_directory(config: Config) -> None:
    for path in (config.data_dir, *config.data_dir.iterdir()):
        os.chown(path, 12_345, 12_345)
    said = _run(config, str(_b(config)), "--yes")
    assert said.exit_code == 0, said.output
    assert {path.stat().st_uid for path in (config.data_dir, *config.data_dir.iterdir())} == {12_345}


def test_whose_key_lies_there_is_told(config: Config) -> None:
    secret = install_key.load(config.data_dir, {})
    with closing(Store(config.database)) as store:
        store.keep("signing key", signing.fingerprint(signing.public(secret)))
        backup.make(config, str(config.path.parent / "c.db"), None, "carla", NOW)
    assert "install_key: the one that this database was used with" in _run(config, str(config.path.parent / "c.db")).output
    (config.data_dir / "install_key").write_text("k" * 64)
    assert "is not the one that this database was used with" in _run(config, str(config.path.parent / "c.db")).output


def test_a_database_of_a_newer_version_is_no_reason_not_to_go_back(config: Config) -> None:
    with closing(sqlite3.connect(config.database)) as sql:
        sql.execute("INSERT INTO _sqlite_migrations(migration_set, name, applied_at) VALUES('hijack-monitor', '9999_later', '')")
        sql.commit()
    said = _run(config, str(_b(config)), "--yes")
    assert said.exit_code == 0, said.output
    assert "schema 9999_later" in said.output
    assert _acts(config.database) == NEW


# --- what it refuses -----------------------------------------------------------------------------------


def _refused(config: Config, file: Path, words: str) -> None:
    before = _bytes(config.data_dir)
    said = _run(config, str(file), "--yes")
    assert said.exit_code == 1, said.output
    assert words in said.output
    assert "may be the database" not in said.output, "it is the file that is no good"
    assert said.output.split("error: ")[1].count("\n") == 1
    after = _bytes(config.data_dir)
    assert {name: after[name] for name in before} == before
    assert after.keys() - before.keys() <= {"lock"}


def test_it_refuses_while_a_daemon_runs_also_to_promise_anything(config: Config) -> None:
    with locked(config.data_dir):
        _refused(config, _b(config), "another process has it open: stop the daemon")
        assert _run(config, str(_b(config))).exit_code == 1


def test_it_refuses_while_any_process_has_the_database_open(config: Config) -> None:
    holder = "import sqlite3, sys; sql = sqlite3.connect(sys.argv[1]); sql.execute('SELECT * FROM meta').fetchall(); print(flush=True); sys.stdin.readline()"
    with subprocess.Popen((sys.executable, "-c", holder, str(config.database)), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        said = _run(config, str(_b(config)), "--yes")
        assert (said.exit_code, "another process has it open" in said.output) == (1, True), said.output
        process.communicate(b"\n")
    assert _acts(config.database) == OLD
    _put(config)
    assert _acts(config.database) == NEW


def _of_running(config: Config) -> Path:
    with closing(Store(config.database)) as store:
        store.keep("in", "use")
        shutil.copy(config.database, _b(config).with_name("copied.db"))
    return _b(config).with_name("copied.db")


def _opened_since(config: Config) -> Path:
    path = _of_running(config).rename(config.path.parent / "hijack-monitor-20260303T140500Z.db")
    with closing(sqlite3.connect(path)) as sql:
        sql.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return path


def _changed(config: Config) -> Path:
    with closing(sqlite3.connect(_b(config))) as sql:
        sql.execute("DELETE FROM audit")
        sql.commit()
    return _b(config)


def _cut_off(config: Config) -> Path:
    os.truncate(_b(config), _b(config).stat().st_size - 8_192)
    return _b(config)


def _overwritten(config: Config) -> Path:
    with _b(config).open("r+b") as file:
        file.seek(-8_192, os.SEEK_END)
        file.write(b"\xff" * 4_096)
    return _b(config)


def _newer(config: Config) -> Path:
    with closing(sqlite3.connect(_b(config))) as sql:
        sql.execute("INSERT INTO _sqlite_migrations(migration_set, name, applied_at) VALUES('hijack-monitor', '9999_later', '')")
        sql.commit()
    return _b(config)


def _present(config: Config) -> Path:
    return config.database


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_of_running, "like a `cp` of a database in use, which lacks what stands in its -wal: make one with `hijack-monitor backup`"),
        (_opened_since, "like a `cp` of a database in use"),
        (_changed, "it was changed since it was made"),
        (_cut_off, "b.db: the copy is damaged"),
        (_overwritten, "b.db: the copy is damaged"),
        (_newer, "does not know its step 9999_later"),
        (_present, "this is the present database"),
        (lambda config: config.path, "it is no finished copy"),
        (lambda config: config.path.with_name("nowhere.db"), "there is no such file"),
    ],
)
def test_a_file_that_is_no_good_copy_is_refused(config: Config, make: Callable[[Config], Path], words: str) -> None:
    _refused(config, make(config), words)


def test_a_full_disk_is_refused_before_anything_is_written(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "SPARED", 10**18)
    with pytest.raises(CopyError, match="are free, and the copy takes"):
        _put(config)
    assert _acts(config.database) == OLD


# --- older copies ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3, older.CAME.index("0024"), len(older.CAME) - 1])
def test_a_copy_of_an_older_version_is_restored_and_brought_up_to_date_with_its_mark(config: Config, tmp_path: Path, count: int) -> None:
    older.make(tmp_path / "old.db", count)
    with closing(sqlite3.connect(tmp_path / "old.db")) as old, old:
        chain.append(old, NOW, "monitor", "started", "monitor", {}, repeating=True)
    with copies.checked_copy(tmp_path / "old.db", tmp_path, NOW) as (made, _):
        copies.publish(made, tmp_path / "old-backup.db")
    _put(config, tmp_path / "old-backup.db")
    assert (older.broken_audit(config.database) is None) == (count <= older.CAME.index("0024")), "the old version runs again"
    older.upgrade(config.database)
    with closing(Store(config.database)) as store:
        assert json.loads(store.kept("restored"))["at"] == "2026-03-03T14:05:00.000000+00:00"


def test_the_copy_from_before_an_upgrade_is_restored_though_somebody_changed_rows_of_it(config: Config) -> None:
    with closing(Store(config.database)) as store:
        store.sql.execute("UPDATE audit SET actor = 'somebody' WHERE id = 1")
    aside = config.data_dir / "monitor.db.before-0.0.9"
    copies.keep_before(config.database, aside, NOW)
    said = _run(config, str(aside))
    assert said.exit_code == 0, said.output
    assert "the pages alone, for it was kept as it was before an upgrade or a restore: the audit chain is broken at row 1" in said.output
    _put(config, aside)
    with closing(Store(config.database)) as store:
        assert store.broken_audit() == 1
    shutil.copy(aside, config.path.parent / "renamed.db")
    _refused(config, config.path.parent / "renamed.db", "the audit chain is broken at row 1")


# --- names and numbers -------------------------------------------------------------------------------------


def test_numbers_and_names_that_were_used_meanwhile_are_not_used_again(config: Config) -> None:
    one = Incident(0, "x::1", "@acme on X", Severity.PAGE, "Unapproved post", "nobody", NOW, NOW)
    with closing(Store(config.database)) as store, store.transaction():
        numbering.used_up_to(store.sql, 70_000)
        number = store.save_incident(one)
        keys = numbering.page_keys(store.sql)
    _put(config)
    with closing(Store(config.database)) as store, store.transaction():
        assert store.save_incident(one) > number
        assert numbering.page_keys(store.sql) != keys
    shutil.rmtree(config.data_dir)
    numbers = []
    for minutes in (0, 5):
        _put(config, now=LATER + timedelta(minutes=minutes))
        with closing(Store(config.database)) as store, store.transaction():
            numbers.append(store.save_incident(one))
        shutil.rmtree(config.data_dir)
    assert numbers == [1_181, 1_186], "nor by two restores of the same backup"


# --- kills -------------------------------------------------------------------------------------------------


def test_a_kill_at_any_step_leaves_the_old_database_or_the_new_one(config: Config, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    shutil.copytree(config.data_dir, kept)
    outcomes = list[list[str]]()
    for step in range(1, 1_000):
        shutil.rmtree(config.data_dir)
        shutil.copytree(kept, config.data_dir)
        if not _killed_at(step, lambda: _put(config)):
            break
        assert config.database.exists(), f"killed at {step}"
        outcomes.append(_acts(config.database))
        assert outcomes[-1] in (OLD, NEW), f"killed at {step}"
        for aside in _asides(config):
            assert copies.examined(aside, as_it_is=True), f"killed at {step}, and what is aside can be restored"
        _put(config)
        assert _acts(config.database)[-1] == "restore", "and the next try goes through"
        assert not list(config.data_dir.glob(".hijack-monitor-*")), "which clears what was left"
        assert 1 <= len(_asides(config)) <= 2
    assert len(outcomes) > 20
    assert outcomes.count(OLD) > 10
    assert outcomes.count(NEW) >= 1
    assert sorted(outcomes, key=lambda acts: acts == NEW) == outcomes


def _asides(config: Config) -> list[Path]:
    return [path for path in config.data_dir.glob("monitor.db.before-restore-*") if not path.samefile(config.database)]


def _killed_at(step: int, act: Callable[[], Any]) -> bool:
    """Run it in a child that is killed right before it does this many things to files or databases; False when it does fewer."""
    child = os.fork()
    if child == 0:
        left = step

        def count(event: str, _: tuple[Any, ...]) -> None:
            nonlocal left
            if event in ("open", "os.link", "os.rename", "os.remove", "os.chmod", "os.chown", "sqlite3.connect", "os.mkdir"):
                left -= 1
                if not left:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        try:
            act()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


# --- what going back must not undo ---------------------------------------------------------------------------

_HELD = Incident(0, "x::1", "@acme on X", Severity.PAGE, "Unapproved post", "nobody", NOW, NOW)


def _carried(config: Config) -> Path:
    """A backup, since which a registration was taken back, a silence ended, and two incidents were held: one of them is in no backup."""
    file = config.path.parent / "c.db"
    with closing(Store(config.database)) as store:
        for text in ("Sale.", "Sale of the year."):
            desk.register(store, Plan("x::1", Kind.POST, text, NOW, NOW + timedelta(days=9)), "carla", NOW)
        silences.begin(store, Outbox(store, config.paging), None, "sale", timedelta(hours=6), "a test", "alice", NOW)
        with store.transaction():
            store.save_incident(replace(_HELD, state=State.RESOLVED))
        backup.make(config, str(file), None, "carla", NOW)
        desk.withdraw(store, 1, "carla", LATER)
        with store.transaction():
            store.end_silence(1, "alice")
            store.save_incident(_HELD)
        holds.hold(store, 2, "carol", "case 4711", LATER)
        holds.hold(store, 3, "carol", "case 4712", LATER)
    return file


def test_what_was_taken_back_excuses_nothing_again_and_what_is_held_stays_so(config: Config) -> None:
    file = _carried(config)
    said = _run(config, str(file), "--yes")
    assert said.exit_code == 0, said.output
    assert "INC-3 is held and not in the backup: keep " in said.output
    for times in (1, 0):
        with closing(Store(config.database)) as store:
            assert [bool(desk.registration(store, number).withdrawn_at) for number in (1, 2)] == [True, False]
            assert store.silences(LATER) == ()
            assert holds.settle(store, LATER) == times
            assert {number: hold.reason for number, hold in holds.every(store).items()} == {2: "case 4711"}
            row = store.sql.execute("SELECT detail FROM audit WHERE action = 'restore'").fetchone()
            assert {"withdrawn": 1, "silences ended": 1, "held": 1}.items() <= json.loads(row[0]).items()
            assert store.broken_audit() is None


def test_two_restores_before_a_start_carry_it_over_as_well(config: Config) -> None:
    file = _carried(config)
    _put(config, file)
    _put(config, file, LATER + timedelta(minutes=1))
    with closing(Store(config.database)) as store:
        assert holds.settle(store, LATER) == 1
        assert desk.registration(store, 1).withdrawn_at


def test_another_registration_that_got_the_same_number_stays_in_force(config: Config) -> None:
    file = _carried(config)
    with closing(sqlite3.connect(config.database)) as sql:
        sql.execute("UPDATE approved SET created_at = '2026-03-03T15:00:00.000000+00:00'")
        sql.commit()
    _put(config, file)
    with closing(Store(config.database)) as store:
        assert not desk.registration(store, 1).withdrawn_at


@pytest.mark.parametrize("count", [1, 3, len(older.CAME) - 1])
def test_an_older_copy_is_given_what_it_can_take_and_the_rest_after_its_upgrade(config: Config, tmp_path: Path, count: int) -> None:
    _carried(config)
    older.make(tmp_path / "old.db", count)
    with closing(sqlite3.connect(tmp_path / "old.db")) as old, old:
        chain.append(old, NOW, "monitor", "started", "monitor", {}, repeating=True)
    with copies.checked_copy(tmp_path / "old.db", tmp_path, NOW) as (made, _):
        copies.publish(made, tmp_path / "old-backup.db")
    _put(config, tmp_path / "old-backup.db")
    assert (older.broken_audit(config.database) is None) == (count <= older.CAME.index("0024")), "the old version runs again"
    older.upgrade(config.database)
    with closing(Store(config.database)) as store:
        assert holds.settle(store, LATER) >= 0
        assert store.kept("to hold again") == ""


def test_what_cannot_be_carried_over_is_said(config: Config) -> None:
    file = _carried(config)
    with closing(sqlite3.connect(config.database)) as sql:
        sql.execute("ALTER TABLE approved RENAME COLUMN withdrawn_by TO other")
        sql.commit()
    said = _run(config, str(file), "--yes")
    assert "Not carried over, because it was too damaged to be read: registrations that were withdrawn. Repeat it." in said.output
    with closing(Store(config.database)) as store:
        assert store.silences(LATER) == (), "the rest is"
    shutil.rmtree(config.data_dir)
    assert "no database that can be read was here to say which" in _run(config, str(file), "--yes").output


def test_what_is_moved_aside_is_named_until_somebody_deletes_it(config: Config) -> None:
    assert not [said for said in advice.warnings(config, {}) if "before-restore" in said]
    _put(config)
    (said,) = [said for said in advice.warnings(config, {}) if "before-restore" in said]
    assert "0 MB: monitor.db.before-restore-20260303T170500Z. Nothing deletes it" in said
    (config.data_dir / "monitor.db.before-restore-20260303T170500Z").unlink()
    assert not [said for said in advice.warnings(config, {}) if "before-restore" in said]


# --- whose it is ---------------------------------------------------------------------------------------------


def _watching(config: Config, key: str, handle: str) -> Path:
    file = config.path.parent / "d.db"
    with closing(Store(config.database)) as store:
        store.sql.execute("INSERT INTO accounts(key, handle) VALUES(?, ?)", [key, handle])
        backup.make(config, str(file), None, "carla", NOW)
        store.sql.execute("DELETE FROM accounts")
    return file


def test_the_database_of_another_company_is_refused(config: Config) -> None:
    _refused(config, _watching(config, "x::777", "brand"), "a monitor that watches none of the accounts in")
    assert "but @brand:" in _run(config, str(config.path.parent / "d.db")).output


@pytest.mark.parametrize(("key", "handle"), [("x::1", "renamed"), ("x::777", "ACME")])
def test_an_account_is_known_again_by_its_id_or_its_handle(config: Config, key: str, handle: str) -> None:
    assert _run(config, str(_watching(config, key, handle)), "--yes").exit_code == 0


def test_another_installation_is_named(config: Config) -> None:
    assert "warning" not in _run(config, str(_b(config))).output
    shutil.rmtree(config.data_dir)
    Store(config.database).close()
    said = _run(config, str(_b(config)), "--yes")
    assert "warning: the file is of another installation than what is there." in said.output
    assert said.exit_code == 0


# --- what must not keep anybody from restoring -------------------------------------------------------------


def test_a_key_that_cannot_be_used_is_named_and_the_database_put_back(config: Config) -> None:
    key = config.data_dir / "install_key"
    key.write_text("")
    for _ in range(2):
        said = _run(config, str(_b(config)), "--yes")
        assert said.exit_code == 0, said.output
        assert "install_key    it cannot be used, and the daemon will not start with it: " in said.output
        key.rename(key.with_name("elsewhere"))
        key.symlink_to("elsewhere")


def test_names_that_are_no_text_are_written_down(config: Config) -> None:
    file = os.fsdecode(os.fsencode(config.path.parent) + b"/b\xff.db")
    shutil.copy(_b(config), file)
    said = CliRunner().invoke(main, ["--config", str(config.path), "restore", file, "--yes", "--as", os.fsdecode(b"c\xff")])
    assert said.exit_code == 0, said.output
    with closing(Store(config.database)) as store:
        row = store.sql.execute("SELECT actor, subject FROM audit WHERE action = 'restore'").fetchone()
        assert (row[0], row[1][-9:]) == ("c\\xff", "/b\\xff.db")


def test_what_was_moved_aside_can_be_put_back_though_somebody_changed_rows_of_it(config: Config) -> None:
    with closing(Store(config.database)) as store:
        store.sql.execute("UPDATE audit SET actor = 'somebody' WHERE id = 1")
    _put(config)
    (aside,) = config.data_dir.glob("monitor.db.before-restore-*Z")
    said = _run(config, str(aside), "--yes")
    assert said.exit_code == 0, said.output
    assert "the audit chain is broken at row 1" in said.output
