"""A backup is whole and proven, or it is not there; the daemon never waits for one."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from monitor import backup, chain, checkpoints, copies, database, schema
from monitor import config as configuration
from monitor.cli import main
from monitor.config import Config, ConfigError
from monitor.copies import CopyError
from monitor.database import UnsuitableDatabaseError, look
from monitor.store import Store
from tests import older
from tests.conftest import world
from tests.test_cli import CONFIG

NOW = datetime(2026, 3, 3, 14, 5, tzinfo=UTC)
FIRST = "hijack-monitor-20260303T140500Z.db"
WRITER = """
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from monitor.store import OF_THE_DAEMON, Store
store, number, worst = Store(Path(sys.argv[1]), OF_THE_DAEMON), 0, 0.0
print(flush=True)
while not Path(sys.argv[2]).exists():
    begun = time.monotonic()
    with store.transaction():
        number += 1
        store.keep("number", str(number))
        store.keep_evidence(b"%d" % number, datetime.now(UTC))
        store.audit(datetime.now(UTC), "monitor", "written", str(number))
    worst = max(worst, time.monotonic() - begun)
print(number, worst)
"""
COPIER = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from monitor import copies
database, folder, when = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
with copies.checked_copy(database, folder, datetime.now(UTC)) as (path, _):
    if when == "named":
        copies.publish(path, folder / "b.db")
    elif when == "between":
        os.link(path, folder / "b.db")
    print(flush=True)
    if when == "waits":
        sys.stdin.readline()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Config]:
    """A configuration, and a database with something in it that is in use."""
    file = tmp_path / "hijack-monitor.toml"
    file.write_text(CONFIG.format(folder=tmp_path))
    (tmp_path / "out").mkdir()
    found = configuration.load(file)
    with closing(Store(found.database)) as store:
        store.audit(NOW, "carla", "began", "acme")
        store.keep_evidence(b"an answer", NOW)
        yield found


def _run(config: Config, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--config", str(config.path), *arguments])


def _process(config: Config, *arguments: str, limit: int = 0, into: int | None = None) -> subprocess.CompletedProcess[bytes]:
    command = (sys.executable, "-m", "monitor", "--config", str(config.path), *arguments)
    bound = (lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))) if limit else None
    return subprocess.run(command, stdout=subprocess.PIPE if into is None else into, stderr=subprocess.PIPE, preexec_fn=bound, check=False)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _out(config: Config) -> Path:
    return config.path.parent / "out"


# --- what a copy is --------------------------------------------------------------------------------


def test_a_backup_is_one_checked_file_for_its_owner_that_says_what_wrote_it(config: Config) -> None:
    made = backup.make(config, str(_out(config)), None, "carla", NOW)
    file = _out(config) / FIRST
    assert _names(_out(config)) == [FIRST], "no journal, nothing unfinished"
    assert file.stat().st_mode & 0o777 == 0o600
    assert (made.where, made.size, made.sha256) == (str(file), file.stat().st_size, hashlib.sha256(file.read_bytes()).hexdigest())
    copy = copies.examined(file)
    assert copy == made.copy
    assert (copy.version, copy.schema, copy.at) == ("0.1.0", max(schema.STEPS), NOW)
    assert (copy.rows["evidence"], copy.rows["audit"]) == (1, 1), "what stands in the -wal is in it"
    with closing(Store(config.database)) as store:
        assert copy.install == store.install
        last = store.sql.execute("SELECT actor, action, subject, detail FROM audit ORDER BY id DESC").fetchone()
        assert tuple(last)[:3] == ("carla", "backup", str(file))
        assert json.loads(last["detail"])["sha256"] == made.sha256
        assert store.broken_audit() is None


def test_the_command_says_what_it_copied_and_where_the_key_lies_that_is_not_in_it(config: Config) -> None:
    (config.data_dir / "install_key").write_text("k" * 64)
    said = _run(config, "backup", str(_out(config)), "--as", "carla")
    assert said.exit_code == 0, said.output
    (name,) = _names(_out(config))
    for words in (
        str(_out(config) / name),
        f"version 0.1.0, schema {max(schema.STEPS)}",
        "0 posts, 0 registrations",
        f"{config.data_dir}/install_key: not in",
    ):
        assert words in said.output
    assert b"k" * 64 not in (_out(config) / name).read_bytes()


def test_a_copy_can_be_read_where_nothing_can_be_written_and_used_as_a_database(config: Config) -> None:
    backup.make(config, str(_out(config)), None, "carla", NOW)
    with closing(copies.opened(_out(config) / FIRST, "mode=ro")) as sql:
        assert sql.execute("SELECT count(*) FROM evidence").fetchone() == (1,)
    assert _names(_out(config)) == [FIRST]
    shutil.copy(_out(config) / FIRST, config.path.parent / "again.db")
    with closing(Store(config.path.parent / "again.db")) as store:
        at, where = backup.last(store) or (None, "")
    assert (at, where) == (NOW, "this database is a copy from then"), "after a restore its age is the copy's"


@pytest.mark.parametrize("name", ["b.db", "b ?#%41.db", "ü.db", os.fsdecode(b"\xff.db")])
def test_a_file_may_have_any_name(config: Config, name: str) -> None:
    backup.make(config, str(_out(config) / name), None, "carla", NOW)
    assert copies.examined(_out(config) / name).rows["evidence"] == 1


def test_a_relative_target_is_below_the_folder_one_is_in(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(_out(config))
    assert backup.make(config, "b.db", None, "carla", NOW).where == str(_out(config) / "b.db")
    monkeypatch.chdir(config.path.parent)
    assert backup.make(config, "out", None, "carla", NOW).where == str(_out(config) / FIRST)


def test_a_copy_on_another_disk_is_as_good(config: Config) -> None:
    other = next((p for p in map(Path, ("/dev/shm", "/var/tmp")) if p.is_dir() and p.stat().st_dev != config.data_dir.stat().st_dev), None)
    if other is None:
        pytest.skip("there is one disk only")
    folder = other / f"hijack-monitor-test-{os.getpid()}"
    folder.mkdir(mode=0o700)
    try:
        backup.make(config, str(folder), None, "carla", NOW)
        assert copies.examined(folder / FIRST).rows["evidence"] == 1
    finally:
        shutil.rmtree(folder)


# --- nothing is overwritten, nothing half done stays -----------------------------------------------


@pytest.mark.parametrize("what", ["file", "link to a file", "link to nothing", "pipe"])
def test_nothing_is_ever_overwritten(config: Config, what: str) -> None:
    target, other = _out(config) / "b.db", config.path.parent / "other"
    other.write_text("mine")
    if what == "file":
        target.write_text("mine")
    elif what == "pipe":
        os.mkfifo(target)
    else:
        target.symlink_to(other if what == "link to a file" else "nowhere")
    said = _run(config, "backup", str(target))
    assert (said.exit_code, "already there" in said.output) == (1, True)
    assert other.read_text() == "mine"
    assert _names(_out(config)) == ["b.db"]
    (_out(config) / FIRST).write_text("made within the same second, or before the clock was set back")
    with pytest.raises(CopyError, match="already there"):
        backup.make(config, str(_out(config)), None, "carla", NOW)


@pytest.mark.parametrize("name", [copies.publish, copies.rename_only], ids=["link", "rename"])
def test_a_name_that_is_taken_at_the_last_moment_is_left_alone(tmp_path: Path, name: object) -> None:
    made, target = tmp_path / "made", tmp_path / "b.db"
    made.write_text("new")
    target.write_text("mine")
    with pytest.raises((CopyError, FileExistsError)):
        name(made, target)  # type: ignore[operator]
    assert (made.read_text(), target.read_text()) == ("new", "mine")
    target.unlink()
    name(made, target)  # type: ignore[operator]
    assert (_names(tmp_path), target.read_text()) == (["b.db"], "new")


def test_a_folder_that_is_missing_is_not_taken_for_a_file(config: Config) -> None:
    missing = _out(config) / "mounted"
    for target in (f"{missing}/", f"{missing}/b.db"):
        said = _run(config, "backup", target)
        assert (said.exit_code, f"{missing}: there is no such folder" in said.output) == (1, True)
    assert _names(_out(config)) == []


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder in which nobody can make a file")  # noqa: PTH112
def test_a_folder_in_which_nothing_can_be_written_is_said(config: Config) -> None:
    said = _run(config, "backup", "/proc/self/")
    assert (said.exit_code, "nothing was copied to /proc/self" in said.output) == (1, True)


def test_a_full_disk_leaves_no_file_and_the_next_backup_is_good(config: Config) -> None:
    with closing(Store(config.database)) as store:
        store.keep_evidence(os.urandom(400_000), NOW)
        store.sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for target in (str(_out(config)), "-"):
        said = _process(config, "backup", target, limit=300_000)
        assert (said.returncode, said.stdout) == (1, b""), said.stderr
        assert b"error: nothing was copied" in said.stderr
        assert _names(_out(config)) == []
        assert not [name for name in _names(config.data_dir) if "part" in name]
    backup.make(config, str(_out(config)), None, "carla", NOW)
    copies.examined(_out(config) / FIRST)


def test_the_disk_of_the_daemon_is_not_filled(config: Config, tmp_path: Path) -> None:
    with config.database.open("r+b") as file:
        file.truncate(shutil.disk_usage(tmp_path).free)  # takes no room: it is a hole
    with pytest.raises(CopyError, match="have to stay free"):
        backup.make(config, str(_out(config)), None, "carla", NOW)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("UPDATE audit SET actor = 'nobody' WHERE id = 1", "audit chain is broken at row 1"),
        (
            "PRAGMA foreign_keys = OFF; INSERT INTO votes VALUES(9, 'x::1', '1', 1, 'U1', '', '')",
            "a row of votes refers to none of incidents",
        ),
        ("PRAGMA writable_schema = ON; UPDATE sqlite_master SET rootpage = 3 WHERE name = 'posts_recent'", "the copy is damaged"),
    ],
)
def test_a_copy_that_fails_a_check_leaves_no_file_and_sends_nothing(config: Config, damage: str, said: str) -> None:
    with closing(sqlite3.connect(config.database)) as sql:
        sql.executescript(damage)
    for target in (str(_out(config)), "-"):
        found = _run(config, "backup", target)
        assert (found.exit_code, said in found.output) == (1, True), found.output
    assert _names(_out(config)) == []
    with closing(Store(config.database)) as store:
        assert backup.last(store) is None, "only a good one counts"


def test_a_copy_that_was_changed_or_was_made_by_cp_is_none(config: Config) -> None:
    backup.make(config, str(_out(config)), None, "carla", NOW)
    file = _out(config) / FIRST
    shutil.copy(config.database, _out(config) / "cp.db")
    with pytest.raises(CopyError, match="`cp` of a database in use"):
        copies.examined(_out(config) / "cp.db")
    with closing(sqlite3.connect(file)) as sql:
        sql.execute("DELETE FROM evidence")
        sql.commit()
    with pytest.raises(CopyError, match="changed since"):
        copies.examined(file)
    with closing(sqlite3.connect(file)) as sql:
        sql.execute("INSERT INTO evidence VALUES('a', '', x'00')")
        sql.execute("INSERT INTO _sqlite_migrations(migration_set, name, applied_at) VALUES('hijack-monitor', '9001_tomorrow', '')")
        sql.commit()
    with pytest.raises(CopyError, match=r"hijack-monitor 0\.1\.0 wrote it, .* does not know its step 9001_tomorrow"):
        copies.examined(file)
    for size in (file.stat().st_size - 4096, 100, 20, 0):
        os.truncate(file, size)
        with pytest.raises(CopyError, match=r"the copy is damaged|no finished copy"):
            copies.examined(file)


# --- a pipe ----------------------------------------------------------------------------------------


def test_through_a_pipe_goes_the_checked_copy_and_nothing_else(config: Config) -> None:
    sent = _process(config, "backup", "-")
    assert sent.returncode == 0, sent.stderr
    (_out(config) / "b.db").write_bytes(sent.stdout)
    assert copies.examined(_out(config) / "b.db").rows["evidence"] == 1
    assert b"only whoever read it can say" in sent.stderr
    assert hashlib.sha256(sent.stdout).hexdigest().encode() in sent.stderr
    assert "part" not in "".join(_names(config.data_dir))
    with closing(Store(config.database)) as store:
        assert (backup.last(store) or (None, ""))[1] == "a pipe"


def test_a_pipe_that_nobody_reads_to_the_end_is_no_backup(config: Config) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    closed = _process(config, "backup", "-", into=writing)
    os.close(writing)
    assert closed.returncode == 1
    assert "part" not in "".join(_names(config.data_dir))
    with closing(Store(config.database)) as store:
        assert backup.last(store) is None


# --- kills -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("when", "left"), [("checked", []), ("between", ["b.db"]), ("named", ["b.db"])])
def test_a_kill_leaves_the_whole_copy_or_none_and_the_next_backup_clears_the_rest(config: Config, when: str, left: list[str]) -> None:
    command = (sys.executable, "-c", COPIER, str(config.database), str(_out(config)), when)
    assert subprocess.run(command, capture_output=True, check=False).returncode == -signal.SIGKILL
    assert [name for name in _names(_out(config)) if not name.endswith(".part")] == left
    for name in left:
        assert copies.examined(_out(config) / name).rows["evidence"] == 1
    theirs = _out(config) / ".hijack-monitor-notes.part"
    theirs.write_text("not ours")
    backup.make(config, str(_out(config)), None, "carla", NOW)
    assert _names(_out(config)) == sorted([*left, FIRST, theirs.name])
    with closing(Store(config.database)) as store, store.transaction():
        store.keep("no lock", "is left")


def test_a_copy_for_a_pipe_that_was_killed_is_cleared_by_the_next_one_into_a_folder(config: Config) -> None:
    left = config.data_dir / f".hijack-monitor-{'0' * 16}.part"
    left.write_text("half")
    backup.make(config, str(_out(config)), None, "carla", NOW)
    assert not left.exists()


def test_a_copy_that_is_being_made_is_not_cleared_by_another(config: Config) -> None:
    command = (sys.executable, "-c", COPIER, str(config.database), str(_out(config)), "waits")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout
        other.stdout.readline()
        backup.make(config, str(_out(config)), None, "carla", NOW)
        assert len(_names(_out(config))) == 2
        other.kill()
    copies.clear(_out(config))
    assert _names(_out(config)) == [FIRST]


LOOKER = """
import sys
from pathlib import Path
from monitor import database
with database.reading(Path(sys.argv[1])):
    print("looks", flush=True)
    sys.stdin.read()
"""


def test_what_a_look_left_that_was_killed_is_cleared_and_one_that_goes_on_is_not(config: Config) -> None:
    there = _out(config) / "copied" / "monitor.db"
    there.parent.mkdir()
    with closing(Store(config.database)) as store:
        store.keep("a word", "1")
        for end in ("", "-wal"):
            shutil.copy(f"{config.database}{end}", f"{there}{end}")
    with subprocess.Popen((sys.executable, "-c", LOOKER, str(there)), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as looking:
        assert looking.stdout
        looking.stdout.readline()
        copies.clear(there.parent)
        assert len(list(there.parent.glob(".look-*"))) == 1
        looking.kill()
    copies.clear(there.parent)
    assert _names(there.parent) == ["monitor.db", "monitor.db-wal"]
    with database.reading(there) as whole:
        assert whole.execute("SELECT value FROM meta WHERE key = 'a word'").fetchone() == ("1",)


@pytest.mark.slow
def test_killed_at_random_moments_it_leaves_whole_copies_only(config: Config) -> None:
    dice = random.Random(5)
    with closing(Store(config.database)) as store:
        store.keep_evidence(os.urandom(30_000_000), NOW)
    command = (sys.executable, "-m", "monitor", "--config", str(config.path), "backup", str(_out(config)))
    for _ in range(8):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as going:
            try:
                going.wait(dice.uniform(0.2, 0.9))
            except subprocess.TimeoutExpired:
                going.kill()
    for path in _out(config).glob("*.db"):
        copies.examined(path)
    backup.make(config, str(_out(config) / "last.db"), None, "carla", NOW)
    assert not [name for name in _names(_out(config)) if not name.endswith(".db")]


# --- the daemon goes on ----------------------------------------------------------------------------


def test_a_daemon_that_writes_at_full_speed_waits_for_no_backup(config: Config) -> None:
    with closing(Store(config.database)) as store:
        for _ in range(4):
            store.keep_evidence(os.urandom(5_000_000), NOW)
    end = config.path.parent / "end"
    command = (sys.executable, "-c", WRITER, str(config.database), str(end))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout
        assert daemon.stderr
        daemon.stdout.readline()
        with closing(Store(config.database)) as store:
            for again in range(2):
                before = int(store.kept("number") or 0)
                made = backup.make(config, str(_out(config)), None, "carla", NOW + timedelta(seconds=again))
                assert made.said == (), "its note found its turn"
                file = max(_out(config).iterdir())
                with closing(copies.opened(file, "mode=ro&immutable=1")) as sql:
                    last = int((sql.execute("SELECT value FROM meta WHERE key = 'number'").fetchone() or [0])[0])
                    acts = sql.execute("SELECT count(*) FROM audit WHERE action = 'written'").fetchone()[0]
                assert last >= before, "what was written before it began is in it"
                assert acts == last, "of a transaction all or nothing"
            assert int(store.kept("number")) > last, "and the daemon went on"
        end.touch()
        assert daemon.wait(20) == 0, daemon.stderr.read()  # a write that waits for a quarter of a second fails
        written, worst = daemon.stdout.readline().split()
    assert float(worst) < 1.5
    with closing(Store(config.database)) as store:
        assert int(store.kept("number")) == int(written)
        assert store.broken_audit() is None


def test_a_writer_that_holds_the_database_delays_no_copy_and_only_the_note_is_missing(config: Config) -> None:
    with closing(sqlite3.connect(config.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        said = _run(config, "backup", str(_out(config) / "b.db"))
        assert (said.exit_code, "the backup is good, but could not be noted" in said.output) == (0, True)
    copies.examined(_out(config) / "b.db")


@pytest.mark.parametrize("count", [1, older.CAME.index("0024"), len(older.CAME) - 1])
def test_an_older_database_is_copied_as_it_is_and_a_newer_one_refused_without_a_write(tmp_path: Path, count: int) -> None:
    file, out = tmp_path / "hijack-monitor.toml", tmp_path / "out"
    file.write_text(CONFIG.format(folder=tmp_path))
    out.mkdir()
    config = configuration.load(file)
    older.make(config.database, count)
    said = _run(config, "backup", str(out / "b.db"))
    assert (said.exit_code, f"schema {max(older.steps(count))}" in said.output, "warning" in said.output) == (0, True, False), said.output
    copies.examined(out / "b.db")
    assert _run(config, "backup", str(out / "again.db")).exit_code == 0
    assert (older.broken_audit(config.database) is None) == (count <= older.CAME.index("0024")), "the old version may go on"
    (out / "again.db").unlink()
    shape = look(config.database)
    assert shape
    assert len(shape.applied) == count, "it was not brought up to date"
    with closing(sqlite3.connect(config.database)) as sql:
        sql.execute("INSERT INTO _sqlite_migrations(migration_set, name, applied_at) VALUES('hijack-monitor', '9001_tomorrow', '')")
        sql.commit()
    before = config.database.read_bytes()
    with pytest.raises(UnsuitableDatabaseError, match="9001_tomorrow"):
        backup.make(config, str(out / "c.db"), None, "carla", NOW)
    assert config.database.read_bytes() == before
    assert _names(out) == ["b.db"]


def test_without_a_database_of_ours_it_says_what_to_do(config: Config, tmp_path: Path) -> None:
    other = Config(config.path, config.file, tmp_path / "other", config.company, config.paging)
    with pytest.raises(ConfigError, match="there is no database yet"):
        backup.make(other, str(_out(config)), None, "carla", NOW)
    other.data_dir.mkdir()
    with closing(sqlite3.connect(other.database)) as sql:
        sql.execute("CREATE TABLE anything(a)")
    with pytest.raises(ConfigError, match="none of hijack-monitor's"):
        backup.make(other, str(_out(config)), None, "carla", NOW)
    assert _names(_out(config)) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be root")
def test_root_is_refused_where_the_data_are_somebody_elses(config: Config) -> None:
    os.chown(config.database, 65534, 65534)
    said = _run(config, "backup", str(_out(config)))
    assert (said.exit_code, "run this as that user" in said.output, _names(_out(config))) == (2, True, [])


# --- older ones ------------------------------------------------------------------------------------


def test_only_older_backups_of_this_installation_by_our_name_are_deleted(config: Config, tmp_path: Path) -> None:
    out = _out(config)
    for day in range(1, 5):
        backup.make(config, str(out), None, "carla", NOW - timedelta(days=day))
    kept = [
        "hijack-monitor-20260101T000000Z.db.age", "hijack-monitor-20260101T000000.db", "hijack-monitor-20261341T000000Z.db",
        "Hijack-monitor-20260101T000000Z.db", "hijack-monitor-20260101T000000Z.db\n", "hijack-monitor-２0260101T000000Z.db", "monitor.db",
        "hijack-monitor-20270101T000000Z.db",  # from before the clock was set back
    ]  # fmt: skip
    for name in kept:
        (out / name).write_text("mine")
    folder, link, other = (out / f"hijack-monitor-2025010{n}T000000Z.db" for n in (1, 2, 3))
    folder.mkdir()
    link.symlink_to(out / kept[0])
    elsewhere = Config(config.path, config.file, tmp_path / "elsewhere", config.company, config.paging)
    Store(elsewhere.database).close()
    backup.make(elsewhere, str(other), None, "carla", NOW)
    (out / "hijack-monitor-20200101T000000Z.db").write_text("by its name it is ours, and says nothing else")
    made = backup.make(config, str(out), 2, "carla", NOW)
    assert [path.name[15:23] for path in made.deleted] == ["20260301", "20260228", "20260227", "20200101"]
    assert set(_names(out)) == {FIRST, "hijack-monitor-20260302T140500Z.db", *kept, folder.name, link.name, other.name}


def test_a_backup_that_fails_deletes_no_older_one(config: Config) -> None:
    backup.make(config, str(_out(config)), None, "carla", NOW)
    with closing(Store(config.database)) as store:
        store.sql.execute("UPDATE audit SET actor = 'nobody'")
    assert _run(config, "backup", str(_out(config)), "--keep", "1").exit_code == 1
    assert _names(_out(config)) == [FIRST]


@pytest.mark.parametrize("target", ["-", "out/b.db"])
def test_keep_needs_a_folder(config: Config, target: str) -> None:
    said = _run(config, "backup", target if target == "-" else str(config.path.parent / target), "--keep", "3")
    assert (said.exit_code, "--keep: found" in said.output, _names(_out(config))) == (2, True, [])
    assert _run(config, "backup", str(_out(config)), "--keep", "0").exit_code == 2


# --- how old the last one is -----------------------------------------------------------------------


async def test_an_old_backup_is_a_notice_that_a_new_one_ends(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    async with world(tmp_path) as w:
        await w.run(5.5)
        assert w.slack.roots() == [], "before the first, only `check` says so"
        backup.make(w.config, str(tmp_path / "out"), None, "carla", w.clock() - timedelta(hours=48) + timedelta(seconds=10))
        await w.run(5.5)
        assert w.slack.roots() == []
        await w.run(10.5)
        (told,) = w.slack.roots()
        assert "The last backup is old" in told.words()
        assert "The last good backup is of 19 Nov 2026 03:00 UTC" in told.words()
        backup.make(w.config, str(tmp_path / "out"), None, "carla", w.clock())
        await w.run(5.5)
        assert "There is a good backup again" in w.slack.roots()[0].words()


@pytest.mark.parametrize(
    ("hours", "ago", "wrong"), [(48, 47.9, False), (48, 48.1, True), (1.5, 2, True), (0, 9_000, False), (48, -1, False), (48, -49, True)]
)
def test_when_the_last_one_is_too_old(config: Config, hours: float, ago: float, wrong: bool) -> None:
    with closing(Store(config.database)) as store:
        assert not backup.overdue(store, NOW, hours)
        store.keep("last backup", json.dumps({"at": (NOW - timedelta(hours=ago)).isoformat(), "where": "-"}))
        assert bool(backup.overdue(store, NOW, hours)) is wrong
        assert ("backup" in str(backup.vitals(store, NOW, hours)["gone"])) is (hours == 0)
        store.keep("last backup", '{"at": 5}')
        assert backup.words(store, NOW) == "never", "what another version kept keeps nobody from starting"


def test_check_and_status_say_how_old_the_last_one_is(config: Config) -> None:
    given = {"X_BEARER_TOKEN": "x-token", "SLACK_BOT_TOKEN": "xoxb-token"}

    def said(name: str) -> str:
        return CliRunner().invoke(main, ["--config", str(config.path), name], env=given).output

    assert "warning: there has never been a backup: make one with `hijack-monitor backup FOLDER`" in said("check")
    assert "last backup: never" in said("status")
    backup.make(config, str(_out(config)), None, "carla", datetime.now(UTC) - timedelta(hours=3))
    assert f"h ago, {_out(config)}/hijack-monitor-" in said("status")
    assert "warning: there has never" not in said("check")
    backup.make(config, str(_out(config)), None, "carla", datetime.now(UTC) - timedelta(days=9))
    assert "warning: the last good backup is of" in said("check")
    assert json.loads(_run(config, "status", "--json").output)["last_backup"].endswith(".db")


def test_a_negative_number_of_hours_is_an_error(config: Config) -> None:
    config.path.write_text(config.path.read_text() + "[backup]\nwarn_hours = -1\n")
    with pytest.raises(ConfigError, match="warn_hours"):
        configuration.load(config.path)


# --- the chain -------------------------------------------------------------------------------------


def test_the_chain_is_the_same_whoever_appends_to_it(config: Config) -> None:
    with closing(Store(config.database)) as store, store.transaction():
        chain.append(store.sql, NOW, "carla", "wrote", "it", {"ü": 1})
        store.audit(NOW, "carla", "wrote", "it", ü=1)
        rows = store.sql.execute("SELECT detail FROM audit ORDER BY id DESC LIMIT 2").fetchall()
        assert rows[0]["detail"] == rows[1]["detail"]
        assert chain.broken(store.sql) is None
        assert chain.head(store.sql) == store.audit_head()


# --- the journal -----------------------------------------------------------------------------------


async def test_after_ten_quiet_seconds_the_journal_is_moved_at_most_once_a_minute(config: Config) -> None:
    with closing(Store(config.database)) as daemon, closing(Store(config.database)) as command:
        looking, done = checkpoints.Checkpoints(daemon.path), []
        for second in range(140):
            if second in (3, 40) or second >= 125:
                command.keep("a word", str(second))
            if await looking.look(NOW + timedelta(seconds=second)):
                done.append(second)
                shutil.copy(config.database, _out(config) / "cp.db")
                with closing(sqlite3.connect(_out(config) / "cp.db")) as copied:
                    row = copied.execute("SELECT value FROM meta WHERE key = 'a word'").fetchone()
                    assert row == ("3" if second < 40 else "40",)
        assert done == [13, 73]


async def test_a_reader_is_not_waited_for_and_the_rest_is_moved_a_minute_later(config: Config) -> None:
    with closing(Store(config.database)) as daemon, closing(sqlite3.connect(config.database, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM meta").fetchall()
        daemon.keep("a word", "1")
        looking = checkpoints.Checkpoints(daemon.path)
        assert [s for s in range(75) if await looking.look(NOW + timedelta(seconds=s))] == [10, 70]
        reader.execute("COMMIT")
        assert [s for s in range(75, 250) if await looking.look(NOW + timedelta(seconds=s))] == [130]
        back = NOW - timedelta(hours=5)
        daemon.keep("a word", "2")
        assert [s for s in range(75) if await looking.look(back + timedelta(seconds=s))] == [10], "whatever the clock was set to"


async def test_whoever_has_a_turn_does_not_wait_for_the_journal_to_be_moved(config: Config) -> None:
    with closing(Store(config.database)) as daemon:
        looking = checkpoints.Checkpoints(daemon.path)
        daemon.keep("a word", "1")
        assert not await looking.look(NOW)
        moving = asyncio.create_task(looking.look(NOW + timedelta(seconds=11)))
        await asyncio.sleep(0)
        assert not moving.done()
        daemon.keep("a word", "2")
        assert await moving


def test_a_clean_stop_empties_the_journal_though_a_command_has_the_file_open(config: Config) -> None:
    journal = config.database.with_name("monitor.db-wal")
    with closing(Store(config.database)) as command:
        command.keep("a word", "1")
        assert journal.stat().st_size
        checkpoints.fold(config.database)
        assert journal.stat().st_size == 0
        command.keep("a word", "2")
        with closing(sqlite3.connect(config.database, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM meta").fetchall()
            command.keep("a word", "3")
            checkpoints.fold(config.database)
            assert journal.stat().st_size, "it waits for a second and no longer"
    checkpoints.fold(config.database.with_name("nowhere.db"))
    assert not config.database.with_name("nowhere.db").exists()


async def test_the_daemon_moves_its_journal_by_itself(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        for _ in range(2):
            await w.service.look_at_journal()
            w.clock.move(10)
        shutil.copy(w.config.database, tmp_path / "cp.db")
        with closing(sqlite3.connect(tmp_path / "cp.db")) as copied:
            assert copied.execute("SELECT count(*) FROM posts").fetchone() == (1,)
