"""The commands, as people and programs use them."""

from __future__ import annotations

import fcntl
import json
import os
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from monitor import config as configuration
from monitor import desk, rulebook, vision
from monitor.cli import main
from monitor.lock import is_locked, locked
from monitor.model import Account, Kind, Post
from monitor.notifiers.slack import views
from monitor.planning import Bad, Elsewhere, Plan, PlanError, Reading, read, zone_named
from monitor.reads import READS
from monitor.store import Store

Run = Callable[..., Result]
CONFIG = """
[monitor]
data_dir = "{folder}/data"
[company]
name = "Acme Exchange"
domains = ["acme.example"]
handles = ["acme"]
[[accounts]]
platform = "x"
handle = "acme"
id = "1"
[slack]
channel = "C0INCIDENTS"
mention = ["S0SOCIAL"]
"""
TOMORROW = (datetime.now(UTC) + timedelta(days=1)).replace(hour=10, minute=0, second=0, microsecond=0)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return run_in(tmp_path)


def run_in(folder: Path) -> Run:
    file = folder / "hijack-monitor.toml"
    file.write_text(CONFIG.format(folder=folder))

    def invoke(*arguments: str, text: str | None = None) -> Result:
        return CliRunner().invoke(main, ["--config", str(file), *arguments], input=text)

    return invoke


def test_a_drill_that_no_daemon_would_page_is_refused_before_it_is_written(run: Run) -> None:
    refused = run("drill", "--wait", "0")
    assert (refused.exit_code, "the daemon does not run" in refused.output) == (1, True)
    assert json.loads(run("incidents", "list", "--json").output) == []


def test_a_post_is_added_listed_shown_and_withdrawn(run: Run) -> None:
    added = run("posts", "add", "Fees fall on Monday. https://acme.example/fees", "--as", "carla")
    assert added.exit_code == 0, added.output
    assert "registered as #1" in added.output
    listed = json.loads(run("posts", "list", "--json").output)
    assert (listed[0]["id"], listed[0]["standing"], listed[0]["by"]) == (1, "open", "carla")
    assert "Fees fall on Monday" in run("posts", "show", "1").output
    assert run("posts", "withdraw", "1").exit_code == 0
    again = run("posts", "withdraw", "1")
    assert again.exit_code == 1
    assert "already withdrawn" in again.output


def test_an_auditor_asks_why_nobody_was_paged(run: Run, tmp_path: Path) -> None:
    from monitor.judging import Judge
    from tests.notifiers.test_slack import kept

    loaded = configuration.load(tmp_path / "hijack-monitor.toml")
    store = Store(loaded.database)
    judge = Judge(store, loaded.company, rulebook.load([]))
    account = loaded.account(loaded.file.accounts[0], "1")
    judge.know((account,), datetime.now(UTC))
    posted = Post("x::1", "12", Kind.POST, "Fees fall on Monday for all of you.", datetime.now(UTC), root_id="12")
    run("posts", "add", "Fees fall on Monday for all of you.")
    judge.refresh(datetime.now(UTC))
    decided = judge.verdict(posted, account)
    store.registrations.consume(1, "12", posted.created_at)
    store.account("x::1", "acme")
    store.keep_post(replace(kept("x"), post=posted, verdict=decided, incident=None, rulebook=judge.digest, seen_at=datetime.now(UTC)))
    (found,) = json.loads(run("posts", "show", "x:12", "--json").output)
    assert (found["severity"], found["approved"], found["recomputed"]) == ("clear", 1, "the same")
    assert "the same" in run("posts", "show", "1").output
    assert run("posts", "show", "777").exit_code == 1


def test_the_text_comes_from_standard_input_or_a_file_too(run: Run, tmp_path: Path) -> None:
    assert run("posts", "add", text="From a pipe, with several words.\n").exit_code == 0
    (tmp_path / "post.txt").write_text("From a file, with several words.\n")
    assert run("posts", "add", "--file", str(tmp_path / "post.txt")).exit_code == 0
    assert [p["text"] for p in json.loads(run("posts", "list", "--json").output)][::-1] == [
        "From a pipe, with several words.",
        "From a file, with several words.",
    ]
    assert run("posts", "add", text=" \n").exit_code == 2


def test_what_is_registered_is_linted(run: Run, tmp_path: Path) -> None:
    with closing(Store(configuration.load(tmp_path / "hijack-monitor.toml").database)) as store:
        desk.register(store, Plan("x::1", Kind.POST, "Good morning!", TOMORROW - timedelta(days=1), TOMORROW), "carla", datetime.now(UTC))
    said = run("posts", "add", "Good morning!").output
    assert "excuses whatever else" in said
    assert "note: #1 has the same words, and the windows overlap" in said
    loud = run("posts", "add", "Donate to bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4")
    assert "it will PAGE although registered" in loud.output
    assert "registering it silences this" in run("posts", "add", "Last day for withdrawals in the old app").output


@pytest.mark.parametrize("number", [str(10**23), str(2**63), "0", "-1", "1e3", "²"])
def test_a_number_that_cannot_be_one_is_a_mistake_of_usage_for_every_command_that_takes_one(number: str, run: Run) -> None:
    groups = [group for group in main.commands.values() if isinstance(group, click.Group)]
    taking = [(g, c) for g in groups for c in g.commands.values() if any(p.name == "number" for p in c.params)]
    assert len(taking) >= 10
    for group, command in taking:
        needed = [word for p in command.params if p.required and p.name != "number" for word in (p.opts[0], "attack")]
        said = run(str(group.name), str(command.name), *needed, "--", number)
        assert (said.exit_code, "number" in said.output.lower()) == (2, True), (command.name, said.output)
    assert run("posts", "add", "--answers-under", "1993000000000000000", f"--most={number}").exit_code == 2


def test_a_window_without_a_minute_in_it_is_refused_in_a_dry_run_too(run: Run) -> None:
    for commit in ((), ("--commit",)):
        none = run("posts", "import", "plan.csv", "--early", "0", "--late", "0", *commit)
        assert (none.exit_code, "leave a post no time to appear in" in none.output) == (2, True)


def test_a_window_needs_a_zone_and_an_order(run: Run) -> None:
    naive = f"{TOMORROW:%Y-%m-%d} 10:00"
    assert "names no time zone" in run("posts", "add", "Words and more words here", "--from", naive).output
    assert run("posts", "add", "Words and more words here", "--from", naive, "--zone", "Europe/Berlin").exit_code == 0
    assert "expected a name like Europe/Berlin" in run("posts", "add", "Words and more", "--from", naive, "--zone", "Mars").output
    backwards = run("posts", "add", "Words", "--from", TOMORROW.isoformat(), "--until", (TOMORROW - timedelta(hours=1)).isoformat())
    assert backwards.exit_code == 1
    assert "ends before it begins" in backwards.output


def test_a_profile_value_is_registered(run: Run) -> None:
    assert run("posts", "add", "Now in Lisbon.", "--profile", "bio").exit_code == 0
    assert "expected one of: name, handle" in run("posts", "add", "x", "--profile", "boi").output


CSV = f"""Date,Text,Link(s),Media URL(s),Approved
{TOMORROW:%Y-%m-%d} 10:00,"We are hiring: twelve engineers",https://acme.example/jobs,,true
{TOMORROW:%Y-%m-%d} 11:00,"Meet the team, all of it",,1,yes
,"Any time this week is fine for this",,,yes
{TOMORROW:%Y-%m-%d} 12:00,Not this one,,,false
never,"A time that is no time",,,yes
"""


def test_an_import_is_a_dry_run_until_it_is_committed_and_the_same_file_twice_adds_nothing(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "plan.csv"
    file.write_text(CSV)
    dry = run("posts", "import", str(file), "--zone", "UTC")
    assert dry.exit_code == 1
    assert "row 2: would be registered" in dry.output
    assert "row 4: BAD: no date, where other rows have one" in dry.output
    assert "row 5: BAD: column “Approved”: found 'false', which is not approved" in dry.output
    assert "row 6: BAD: column “Date”: time: found 'never'" in dry.output
    assert "2 would be registered (dry run" in dry.output
    assert json.loads(run("posts", "list", "--json").output) == []
    done = run("posts", "import", str(file), "--zone", "UTC", "--commit", "--as", "carla")
    assert "2 registered, 0 already known, 3 bad" in done.output
    again = run("posts", "import", str(file), "--zone", "UTC", "--commit")
    assert "0 registered, 2 already known, 3 bad" in again.output
    assert len(json.loads(run("posts", "list", "--json").output)) == 2


HOW = Reading((Account("x", "1", "acme"), Account("x", "2", "acmesupport")), "acme", UTC)
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def _rows(tmp_path: Path, text: str, how: Reading = HOW) -> list[Plan | Bad | Elsewhere]:
    file = tmp_path / "plan"
    file.write_text(text, encoding="utf-8")
    return [row for _, row in read(file, how, NOW).rows]


@pytest.mark.parametrize(
    "text",
    [
        "message_text,date,time_24hr\nHello to all of you,2026-12-13,10:00\n",
        "postAtSpecificTime (YYYY-MM-DD HH:mm:ss),content,link (OGmetaUrl)\n2026-12-13 10:00:00,Hello to all of you,\n",
        "post,platforms,mediaUrls,scheduleDate\nHello to all of you,twitter,,2026-12-13T10:00:00Z\n",
        "Content,Scheduled Date (YYYY-MM-DD),Scheduled Time (HH:MM),Accounts\nHello to all of you,2026-12-13,10:00,@acme\n",
        "Text;Image URL;Tags;Posting Time\nHello to all of you;;a;2026-12-13 10:00\n",
        "Caption(s),Schedule,Approved\nHello to all of you,2026-12-13 10:00,TRUE\n",
        "13/12/2026 10:00,Hello to all of you,\n",
        '{"account": "acme", "text": "Hello to all of you", "not_before": "2026-12-13T10:00:00Z"}\n',
        "\ufeffText,Posting Time\nHello to all of you,12/13/2026 10:00 AM\n",
    ],
)
def test_what_publishing_tools_export_is_understood(tmp_path: Path, text: str) -> None:
    (plan,) = _rows(tmp_path, text)
    assert isinstance(plan, Plan), plan
    assert (plan.account, plan.text) == ("x::1", "Hello to all of you")
    assert plan.not_before == datetime(2026, 12, 13, 9, 55, tzinfo=UTC)


def test_day_and_month_are_never_guessed(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="can be read as day/month and as month/day; say which with --dates"):
        _rows(tmp_path, "text,date\na b c,03/04/2026\nd e f,05/06/2026\n")
    one, two = _rows(tmp_path, "text,date\na b c,03/04/2027\nd e f,25/06/2027\n")
    assert isinstance(one, Plan)
    assert one.not_before.month == 4
    with pytest.raises(PlanError, match="fit neither"):
        _rows(tmp_path, "text,date\na b c,13/04/2026\nd e f,05/16/2026\n")
    (told,) = _rows(tmp_path, "text,date\na b c,03/04/2027\n", Reading(HOW.accounts, "acme", UTC, "mdy"))
    assert isinstance(told, Plan)
    assert told.not_before.month == 3
    assert isinstance(two, Plan)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("text,account\nHello,acme_lisbon\n", "account 'acme_lisbon' is not watched; watched: @acme, @acmesupport"),
        ("text,date\nHello,2026-12-13 25:00\n", "time: found"),
        ("text,link\na,b,c,d\n", "4 cells where the header has 2"),
        ("text,kind\na,story\n", "kind: found 'story', expected one of: post, reply"),
        ('{"text": 5, "not_before": "x"}\n', "time: found 'x'"),
        ('{"text": "a"}\nnonsense\n', "not JSON"),
    ],
)
def test_a_bad_row_says_what_was_found_and_what_was_expected(tmp_path: Path, row: str, reason: str) -> None:
    assert any(isinstance(r, Bad) and reason in r.reason for r in _rows(tmp_path, row))


def test_a_time_that_the_clocks_skip_is_refused(tmp_path: Path) -> None:
    how = Reading(HOW.accounts, "acme", zone_named("Europe/Berlin"))
    (row,) = _rows(tmp_path, "text,date\na b c,2027-03-28 02:30\n", how)
    assert isinstance(row, Bad)
    assert "the clocks change" in row.reason


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"\xff\xfe\x00", "not UTF-16-LE in row 1"),
        (b"text\n\x81\n", "not UTF-8 in row 2"),
        (b"", "empty"),
        (b"a,b\n1,2\n", "no column for the text; found a, b"),
    ],
)
def test_a_file_that_cannot_be_taken_is_refused_whole(run: Run, tmp_path: Path, content: bytes, complaint: str) -> None:
    file = tmp_path / "plan.csv"
    file.write_bytes(content)
    result = run("posts", "import", str(file))
    assert result.exit_code == 2
    assert complaint in result.output


def test_judging_a_file_writes_a_line_a_post_and_says_when_one_would_page(run: Run, tmp_path: Path) -> None:
    run("posts", "add", "Fees fall on Monday for all of you.")
    file = tmp_path / "posts.jsonl"
    when = datetime.now(UTC).isoformat()
    rows = [
        {"id": "1", "text": "Fees fall on Monday for all of you.", "created_at": when, "unknown": 1},
        {"id": "2", "text": "Take your BTC and run"},
    ]
    file.write_text("\n".join(map(json.dumps, rows)) + '\nnot json\n{"id": 3}\n[]\n')
    result = run("judge", str(file))
    assert result.exit_code == 1
    found = [json.loads(line) for line in result.output.splitlines()]
    assert [f["severity"] for f in found] == ["clear", "page", "page", "page", "page"]
    assert found[0]["approved"] == 1
    assert found[1]["findings"][0] == {
        "rule": "panic-withdrawal",
        "version": 2,
        "severity": "page",
        "evidence": found[1]["findings"][0]["evidence"],
    }
    assert set(found[1]) == {"id", "severity", "approved", "near", "reason", "findings"}
    assert "line 3 is not a post" in found[2]["reason"]
    calm = run("judge", "--rules-only", "-", text='{"id": "1", "text": "Good morning."}\n')
    assert calm.exit_code == 0
    assert json.loads(calm.output)["severity"] == "clear"


def test_a_file_of_posts_or_of_a_text_is_read_as_it_was_saved_or_refused_with_its_row(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "posts.json"
    file.write_bytes(json.dumps([{"id": "1", "text": "Guten Morgen"}, {"id": "2", "text": "Take your BTC and run"}]).encode("utf-16"))
    found = [json.loads(line) for line in run("judge", "--rules-only", str(file)).output.splitlines()]
    assert [(f["id"], f["severity"]) for f in found] == [("1", "clear"), ("2", "page")]
    file.write_text('[1]\n{"id": "2"}\n{broken\n{"id": "4", "text": 5}\n')
    found = [json.loads(line) for line in run("judge", "--rules-only", str(file)).output.splitlines()]
    assert [f["reason"].partition("not a post: ")[2] for f in found] == [
        "found no JSON object", "it has no 'text'", "not JSON: Expecting property name enclosed in double quotes, at character 2",
        "text: found int, expected a string",
    ]  # fmt: skip
    file.write_bytes('{"id": "1", "text": "a\u2028b"}\n{"id": "2", "text": "'.encode() + b'\xe8"}\n')
    found = [json.loads(line) for line in run("judge", "--rules-only", str(file)).output.splitlines()]
    assert [f["severity"] for f in found] == ["clear", "page"]
    assert "line 2 is not a post: not UTF-8" in found[1]["reason"]
    text = tmp_path / "post.txt"
    text.write_bytes("Offen über die Feiertage – wie immer\r\nBis bald".encode("cp1252"))
    assert run("posts", "add", "--file", str(text)).exit_code == 0
    missing = run("posts", "add", "--file", "gone.txt")
    assert missing.exit_code == 2
    assert "gone.txt: cannot be read (No such file or directory)" in missing.output
    assert json.loads(run("posts", "list", "--json").output)[0]["text"] == "Offen über die Feiertage – wie immer\nBis bald"
    text.write_bytes("Offen\nПоддержка".encode("cp1251"))
    refused = run("posts", "add", "--file", str(text))
    assert (refused.exit_code, "post.txt: not UTF-8 in row 2" in refused.output) == (2, True)


def test_a_post_without_a_time_is_judged_as_of_now_and_not_by_its_short_number(run: Run) -> None:
    run("posts", "add", "Fees fall on Monday for all of you.")
    result = run("judge", "-", text='{"id": "7", "text": "Fees fall on Monday for all of you."}\n')
    assert json.loads(result.output)["approved"] == 1


def test_a_recording_that_cannot_be_read_is_a_mistake_of_the_configuration(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("X_BEARER_TOKEN", "a")
    monkeypatch.setenv("SLACK_BOT_TOKEN", "b")
    file = tmp_path / "hijack-monitor.toml"
    day = tmp_path / "day.jsonl"
    file.write_text(file.read_text().replace('platform = "x"', 'platform = "replay"') + f'[replay]\nfile = "{day}"\n')
    missing = run("check")
    assert missing.exit_code == 2
    assert "day.jsonl" in missing.output
    day.write_text("nonsense\n")
    broken = run("check")
    assert broken.exit_code == 2
    assert "line 1: not a post" in broken.output


def test_check_says_what_would_page_whom(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = run("check")
    assert missing.exit_code == 2
    assert "the secret x_bearer_token is missing" in missing.output
    monkeypatch.setenv("X_BEARER_TOKEN", "a-token")
    monkeypatch.setenv("SLACK_BOT_TOKEN", "b-token")
    result = run("check")
    assert result.exit_code == 0, result.output
    assert "a page goes to Slack channel C0INCIDENTS, waking S0SOCIAL" in result.output
    assert "warning: Slack is the only route" in result.output
    assert "a-token" not in result.output


def test_status_is_1_while_anything_is_wrong(run: Run, tmp_path: Path) -> None:
    with locked(tmp_path / "data"):
        result = run("status")
        assert result.exit_code == 1
        assert "@acme: never watched so far" in result.output
        store = Store(tmp_path / "data" / "monitor.db")
        store.account("x::1", "acme")
        store.read_ok("x::1", datetime.now(UTC), "1")
        assert run("status").exit_code == 0
        assert "all is well" in run("status").output
        data = json.loads(run("status", "--json").output)
        assert (data["wrong"], data["daemon"]["runs"]) == ([], True)
        assert {r["read"] for r in data["reads"]} == set(READS), "every read is named, also one that nothing has needed so far"
        assert run("silence", "begin", "1", "the agency posts by hand").exit_code == 0
        assert "Silence" in run("status").output
        assert run("status").exit_code == 0, "a silence alone is as it should be"
        store.sql.execute("UPDATE accounts SET last_ok = '2020-01-01T00:00:00+00:00'")
        assert "would page nobody" in run("status").output
        store.sql.execute("UPDATE accounts SET key = 'x::2', handle = 'former'")
        said = run("status").output
        assert "no longer configured: not watched" in said
        assert "would page nobody" not in said, "of an account that was taken out nothing is expected"


def test_status_says_first_whether_the_daemon_runs(run: Run, tmp_path: Path) -> None:
    store = Store(tmp_path / "data" / "monitor.db")
    store.read_ok(store.account("x::1", "acme")["key"], datetime.now(UTC), "1")
    first = "the daemon does not run (it never did): nobody watches anything, nobody is paged"
    assert run("status").output.splitlines()[0] == first
    assert run("status").exit_code == 1
    data = json.loads(run("status", "--json").output)
    assert (data["daemon"]["runs"], data["wrong"]) == (False, [first])
    code = "import sys, time, pathlib; from monitor.lock import locked\nwith locked(pathlib.Path(sys.argv[1])): print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "data")], stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout
        daemon.stdout.readline()
        store.beat(datetime.now(UTC))
        with closing(sqlite3.connect(tmp_path / "data" / "monitor.db")) as other:
            other.execute("BEGIN EXCLUSIVE")
            held = run("status")
            assert held.output.splitlines()[0].startswith("the daemon runs, but another process holds "), "before anything is late"
            assert "all is well" not in held.output
            assert held.exit_code == 1
        assert run("status").output.splitlines()[0] == "the daemon runs"
        store.beat(datetime.now(UTC) - timedelta(seconds=90))
        assert run("status").output.splitlines()[0].startswith("the daemon runs, but has written nothing for 9")
        daemon.kill()
    assert run("status").output.splitlines()[0].startswith("the daemon does not run (it last wrote at 20")
    store.close()
    (tmp_path / "data" / "monitor.db").write_bytes(b"this is no database" * 1000)
    broken = run("status")
    assert (broken.exit_code, broken.output.splitlines()[0]) == (1, "the daemon does not run: nobody watches anything, nobody is paged")
    assert "file is not a database" in broken.output


def test_a_daemon_starts_although_somebody_looks_whether_it_runs(tmp_path: Path) -> None:
    with locked(tmp_path):
        pass
    with (tmp_path / "lock").open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Timer(0.1, fcntl.flock, (looking, fcntl.LOCK_UN)).start()
        with locked(tmp_path):
            assert is_locked(tmp_path)
    assert not is_locked(tmp_path)
    assert not is_locked(tmp_path / "nothing")


def test_an_incident_is_acknowledged_resolved_and_approved_from_the_host(run: Run, tmp_path: Path) -> None:
    from monitor.model import Severity
    from monitor.outbox import Outbox
    from monitor.preflight import outbox
    from tests.notifiers.test_slack import kept

    loaded = configuration.load(tmp_path / "hijack-monitor.toml")
    store = Store(loaded.database)
    made: Outbox = outbox(store, loaded)
    from monitor.incidents import Event

    event = Event("x::1", "@acme on X", Severity.PAGE, "Unapproved post", "nobody registered this post", datetime.now(UTC))
    with store.transaction():
        number = made.happened(event, datetime.now(UTC))
        store.keep_post(kept("Good morning, this is us."))
    assert run("incidents", "ack", str(number), "--as", "alice").exit_code == 0
    twice = run("incidents", "ack", str(number), "--as", "bob")
    assert twice.exit_code == 1
    assert "already acknowledged by alice" in twice.output
    shown = run("incidents", "show", str(number))
    assert "acknowledge" in shown.output
    assert json.loads(run("incidents", "show", str(number), "--json").output)["acknowledged_by"] == "alice"
    resolved = ("incidents", "resolve", str(number), "--note", "a phone was stolen", "--as", "alice")
    assert run(*resolved).exit_code == run(*resolved, "--cause", "bad luck").exit_code == 2, (
        "without one of the causes nobody could count them"
    )
    assert run(*resolved, "--cause", "insider").exit_code == 0
    one = json.loads(run("incidents", "show", str(number), "--json").output)
    assert (one["outcome"], one["cause"]) == ("insider", "insider: a phone was stolen")
    assert run("incidents", "reopen", str(number), "--as", "alice").exit_code == 0
    store.keep_rulebook("r", '{"rules": {}}', datetime.now(UTC))
    approved = run("incidents", "approve", str(number), "--reason", "the CEO phoned", "--as", "carla", text="y\n")
    assert approved.exit_code == 0, approved.output
    assert json.loads(run("incidents", "list", "--json").output)[0]["state"] == "resolved"
    assert [p["standing"] for p in json.loads(run("posts", "list", "--json").output)] == ["used"]
    assert run("incidents", "show", "99").exit_code == 1


def test_rules_are_listed_shown_and_tested(run: Run) -> None:
    assert "panic-withdrawal" in run("rules", "list").output
    assert "Take your BTC and run" in run("rules", "show", "panic-withdrawal").output
    tested = run("rules", "test")
    assert tested.exit_code == 0, tested.output
    assert run("rules", "show", "nothing").exit_code == 1


def test_accounts_and_their_baseline(run: Run, tmp_path: Path) -> None:
    assert json.loads(run("accounts", "list", "--json").output)[0]["id"] == "1"
    assert run("accounts", "baseline").exit_code == 0
    assert "records a new baseline" in run("accounts", "baseline", "--redo", "@acme").output
    assert run("accounts", "baseline", "--redo", "nobody").exit_code == 1


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("domains", "domians"), "company.domians: unknown key; did you mean 'domains'?"),
        (("C0INCIDENTS", "#incidents"), "slack.channel: found '#incidents'"),
        (('platform = "x"', 'platform = "y"'), "accounts.0.platform: found 'y'"),
        (("[slack]", "[slakc]"), "slakc: unknown key; did you mean 'slack'?"),
        (('mention = ["S0SOCIAL"]', 'mention = ["@oncall"]'), "slack.mention.0: found '@oncall'"),
        (("[company]", "[company"), "not TOML"),
        (('platform = "x"', 'platform = "replay"'), "needs a [replay] table"),
    ],
)
def test_a_configuration_that_cannot_be_used_names_key_and_expectation(
    run: Run, tmp_path: Path, change: tuple[str, str], complaint: str
) -> None:
    file = tmp_path / "hijack-monitor.toml"
    file.write_text(file.read_text().replace(*change))
    result = run("status")
    assert result.exit_code == 2
    assert str(file) in result.output
    assert complaint in result.output


def test_a_missing_configuration_says_how_to_name_one(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--config", str(tmp_path / "none.toml"), "status"])
    assert result.exit_code == 2
    assert "--config or $HIJACK_MONITOR_CONFIG" in result.output


def test_secrets_come_from_systemd_before_the_environment(tmp_path: Path) -> None:
    (tmp_path / "x_bearer_token").write_text("from-systemd\n")
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path), "X_BEARER_TOKEN": "from-env", "SLACK_BOT_TOKEN": "slack"}
    (tmp_path / "slack_bot_token").write_text("\n")  # as the unit makes it where the file is missing
    assert configuration.secrets(environment) == {"x_bearer_token": "from-systemd", "slack_bot_token": "slack"}


def test_hostile_text_does_not_reach_the_terminal_as_control_sequences(run: Run) -> None:
    run("posts", "add", "Evil \x1b[2J\u202e words [bold]and[/bold] more", "--as", "carla\x1b[31m")
    output = run("posts", "list").output
    assert "\x1b" not in output
    assert "\u202e" not in output
    assert "[bold]" in output


def test_a_hostile_file_does_not_reach_the_terminal_through_an_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "plan.csv").write_text("a\x1b[2J,b\u202e\n1,2\n")
    output = run("posts", "import", str(tmp_path / "plan.csv")).output
    assert "no column for the text" in output
    assert "\x1b" not in output
    assert "\u202e" not in output


def test_a_registration_is_never_made_twice_by_its_external_id(tmp_path: Path) -> None:
    store = Store(tmp_path / "x.db")
    plan = Plan("x::1", Kind.POST, "a b c", NOW, NOW + timedelta(hours=1), external_id="7")
    assert desk.register(store, plan, "carla", NOW) == 1
    assert desk.register(store, plan, "carla", NOW) is None


def test_rules_alone_need_no_time_and_the_queue_does(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "posts.jsonl"
    file.write_text(json.dumps({"id": "1", "text": "We open at nine.", "created_at": "11/30/15 18:19"}) + "\n")
    alone = run("judge", "--rules-only", str(file))
    assert (alone.exit_code, json.loads(alone.output)["severity"]) == (0, "clear")
    queued = json.loads(run("judge", str(file)).output)
    assert queued["severity"] == "page"
    assert "time data '11/30/15 18:19' does not match" in queued["reason"]


def test_a_silence_takes_its_hours_as_slacks_command_does(run: Run) -> None:
    for hours, good in (("2h", True), ("30m", True), ("0.5", True), ("9h", False), ("2 days", False)):
        assert (run("silence", "begin", hours, "the agency posts by hand").exit_code == 0) is good, hours


def test_what_is_no_registration_is_said_in_words(run: Run, tmp_path: Path) -> None:
    assert "found one part" in run("posts", "add", "--thread", "One thing only.").output
    for given in ("abc", "x:", "1993000000000000000", "https://example.com/1"):
        assert (
            run("posts", "show", given).exit_code,
            "expected the number of a registration, x:ID, or a post's link" in run("posts", "show", given).output,
        ) == (2, True)
    assert "there is no registered post #7" in run("posts", "show", "7").output
    added = run("posts", "add", "--reposts", "1993000000000000000").output
    assert "that repost goes by in its window" in added
    (listed,) = json.loads(run("posts", "list", "--json").output)
    assert (listed["text"], listed["names"]) == ("the repost that is named", "reposts 1993000000000000000")


def test_a_row_without_a_time_says_until_which_day_and_from_is_a_time(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "plan.jsonl"
    said = []
    for row in (
        {"text": "At some time this week."},
        {"text": "Then, and not before.", "from": "2099-12-02T10:00Z", "until": "2099-12-02T11:00Z"},
    ):
        file.write_text(json.dumps(row))
        said.append(run("posts", "import", str(file)).output)
    first, second = said
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d to \d{4}-\d\d-\d\d \d\d:\d\d UTC", first)
    assert "2099-12-02 10:00 to 2099-12-02 11:00 UTC" in second


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('[approvals]\nlogins = {alice = "alice"}', "approvals.logins.alice: found 'alice', expected: the id of a Slack user (U…)"),
        ('[approvals]\nchannel = "approvals"', "the id of a Slack channel (C…)"),
        ('[slack]\nchannel = "C0A"\nresponders = ["alice"]', "the id of a Slack user group (S…) or user (U…)"),
    ],
)
def test_a_value_of_another_form_is_answered_in_words(line: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "hm.toml"
    file.write_text(f'[company]\nname = "Acme"\n[[accounts]]\nplatform = "x"\nhandle = "acme"\n{line}\n')
    with pytest.raises(configuration.ConfigError, match=re.escape(said)):
        configuration.load(file)


def test_check_names_what_makes_foreign_links_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "hm.toml"
    file.write_text(
        '[company]\nname = "Acme"\nshorteners = ["bit.ly", "go.acme.example"]\n'
        'wallets = ["bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", "acme.eth"]\n[[accounts]]\nplatform = "x"\nhandle = "acme"\n'
    )
    monkeypatch.setenv("X_BEARER_TOKEN", "t")
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    said = CliRunner().invoke(main, ["--config", str(file), "check"]).output
    assert "warning: [company] shorteners: bit.ly makes links for anybody" in said
    assert "warning: [company] domains is empty" in said
    assert "warning: [company] handles is empty" in said
    file.write_text(file.read_text().replace("shorteners =", "domains ="))
    assert "warning: [company] domains: bit.ly makes links for anybody" in CliRunner().invoke(main, ["--config", str(file), "check"]).output
    assert "warning: [company] wallets: found 'bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5', which is no address" in said
    assert said.count("warning: [company] wallets") == 1
    assert "pictures       registered ones are compared; words and codes in those of an incident are read" in said


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (("words",), "words in those of an incident are read, codes are not: install hijack-monitor[vision]"),
        (("codes",), "codes in those of an incident are read, words are not: install hijack-monitor[vision]"),
        ((), "nothing in those of an incident is read: install hijack-monitor[vision]"),
    ],
)
def test_check_names_what_of_pictures_is_not_read(there: tuple[str, ...], said: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vision, "readers", lambda: there)
    for name in ("X_BEARER_TOKEN", "SLACK_BOT_TOKEN", "PAGERDUTY_ROUTING_KEY"):
        monkeypatch.setenv(name, "t")
    assert said in run("check").output


def test_a_thread_is_registered_from_a_file_and_from_a_cell(run: Run, tmp_path: Path) -> None:
    (tmp_path / "thread.txt").write_text("Five things we learned.\n---\nFirst: uptime is a feature.\n----\nSecond: tell people early.\n")
    added = run("posts", "add", "--thread", "--file", str(tmp_path / "thread.txt"))
    assert "registered as #1 in 3 parts, in order" in added.output
    (tmp_path / "plan.csv").write_text("text\nOne thing||Another thing\nA dash - is none\n")
    assert "2 registered" in run("posts", "import", str(tmp_path / "plan.csv"), "--commit").output
    listed = sorted(json.loads(run("posts", "list", "--json").output), key=lambda one: one["id"])
    assert [one["text"] for one in listed] == [
        "(1/3) Five things we learned.", "(2/3) First: uptime is a feature.", "(3/3) Second: tell people early.",
        "(1/2) One thing", "(2/2) Another thing", "A dash - is none",
    ]  # fmt: skip
    again = run("posts", "import", str(tmp_path / "plan.csv"), "--commit").output
    assert "0 registered, 2 already known" in again


BEFORE = CONFIG.replace('id = "1"\n', "")


def test_what_is_registered_before_the_first_start_is_kept_by_handle(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    file = tmp_path / "hijack-monitor.toml"
    file.write_text(BEFORE.format(folder=tmp_path))
    assert run("posts", "add", "Our spring sale begins today.").exit_code == 0
    line = json.dumps({"id": "9", "text": "Our spring sale begins today.", "created_at": datetime.now(UTC).isoformat()})
    (tmp_path / "posts.jsonl").write_text(line)
    assert json.loads(run("judge", str(tmp_path / "posts.jsonl")).output)["approved"] == 1
    assert json.loads(run("posts", "list", "--json").output)[0]["account"] == "x::@acme"
    store = Store(configuration.load(file).database)
    with store.transaction():
        store.pin("x", "acme", "77")
    now = datetime.now(UTC)
    late = Plan("x::@acme", Kind.POST, "Read before, written after", now, now + timedelta(hours=1), external_id="7")
    number = desk.register(store, late, "carla", now) or 0
    assert desk.registration(store, number).account == "x::77"
    assert json.loads(run("judge", str(tmp_path / "posts.jsonl")).output)["approved"] == 1
    assert {one.account for one in desk.registrations(store)} == {"x::77"}
    store.close()


def test_a_command_opens_one_store_and_closes_it_and_root_makes_no_file_beside_another_users(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    init, close = Store.__init__, Store.close

    def opened(self: Store, path: Path) -> None:
        made.append("opened")
        init(self, path)

    def closed(self: Store) -> None:
        made.append("closed")
        close(self)

    monkeypatch.setattr(Store, "__init__", opened)
    monkeypatch.setattr(Store, "close", closed)
    (tmp_path / "posts.jsonl").write_text('{"id": "1", "text": "Hello"}')
    for command in (
        ("posts", "add", "Hello to all of you."),
        ("posts", "list"),
        ("posts", "show", "x:1"),
        ("judge", str(tmp_path / "posts.jsonl")),
    ):
        run(*command)
        assert made == ["opened", "closed"], command
        made.clear()
    monkeypatch.setattr("os.geteuid", lambda: 0)
    data = tmp_path / "data"
    for there in (data / "monitor.db", data):
        os.chown(there, 65534, 65534) if os.getuid() == 0 else pytest.skip("only root can give a file away")
        for given in (("check",), ("judge", str(tmp_path / "posts.jsonl")), ("posts", "list")):
            refused = run(*given)
            assert (refused.exit_code, "belongs to nobody: run this as that user" in refused.output) == (2, True), given
        (data / "monitor.db").unlink(missing_ok=True)
    assert not list(data.glob("monitor.db*")), "where there is none yet, root makes none"


def test_what_stands_instead_of_a_text_is_said_and_guarded(run: Run) -> None:
    assert "as often as it happens" in run("posts", "add", "--answers-under", "555").output
    assert "every repost of @partner goes by in its window" in run("posts", "add", "--author", "@partner", "--kind", "repost").output
    assert run("posts", "add", "--author", "partner").exit_code == 2
    assert run("posts", "add", "Hello", "--answers-under", "555").exit_code == 2
    texts = [one["text"] for one in json.loads(run("posts", "list", "--json").output)]
    assert set(texts) == {"answers below 555", "reposts of @partner"}


def test_check_says_what_it_will_cost_and_asks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "hijack-monitor.toml"
    text = (Path(__file__).parent.parent / "systemd" / "hijack-monitor.toml").read_text()
    text = text.replace("/var/lib/hijack-monitor", str(tmp_path)).replace("budget          = 0 ", "budget          = 2 ")
    file.write_text(text.replace("https://api.x.com", "http://127.0.0.1:9").replace("# [deadman]", "[deadman]"))  # nobody is there
    monkeypatch.setenv("DEADMAN_URL", "https://kuma.acme.example/api/push/s3cr3tPushToken?status=up&msg=OK&ping=")
    monkeypatch.setenv("X_BEARER_TOKEN", "a")
    monkeypatch.setenv("SLACK_BOT_TOKEN", "b")
    done = CliRunner().invoke(main, ["--config", str(file), "check"])
    assert done.exit_code == 0, done.output
    assert "cost           $3.30 a month: 1 account(s) with 20.0 posts a day each (assumed until three days were watched)" in done.output
    assert "warning: that is more than the budget of $2.00" in done.output
    assert "dead-man       while all is well GET https://kuma.acme.example/…oken?status=up, every 60 s" in done.output
    assert "dead-man       otherwise GET https://kuma.acme.example/…oken?status=down" in done.output
    assert "s3cr3tPush" not in done.output
    assert "posts told by  whatever stream X lets this app use (`check --live` asks); polls every 5 s without it" in done.output


@pytest.mark.parametrize(
    ("prices", "words"),
    [("{ tweet = 1 }", r"x.prices.tweet: no such kind, expected one of: post, user"), ("{ post = -1 }", "x.prices.post")],
)
def test_prices_of_kinds_that_x_does_not_have_are_refused(tmp_path: Path, prices: str, words: str) -> None:
    file = tmp_path / "hijack-monitor.toml"
    file.write_text(f'[company]\nname = "Acme"\n[x]\nprices = {prices}\n[[accounts]]\nplatform = "x"\nhandle = "acme"\n')
    with pytest.raises(configuration.ConfigError, match=words):
        configuration.load(file)


def test_what_a_post_quotes_answers_and_shows_is_registered_and_listed(run: Run) -> None:
    named = run("posts", "add", "Look at this, everybody.", "--quotes", "https://x.com/partner/status/1993000000000000000?s=20")
    assert named.exit_code == 0, named.output
    assert "does not say which post" not in named.output
    unnamed = run("posts", "add", "Look at that, everybody.", "--kind", "quote")
    assert "it does not say which post it quotes: it will be a NOTICE (name the post with --quotes)" in unnamed.output
    assert run("posts", "add", "--reposts", "1993000000000000001").exit_code == 0
    assert run("posts", "add", "Which one do you want?", "--poll", "Yes", "--poll", "No", "--part", "place=01a9a39529b27f36").exit_code == 0
    assert run("posts", "add", "--answers-under", "https://x.com/acme/status/555", "--most", "20").exit_code == 0
    listed = {one["id"]: one for one in json.loads(run("posts", "list", "--json").output)}
    assert [listed[n]["names"] for n in (1, 2, 3, 4)] == [
        "quotes 1993000000000000000", "", "reposts 1993000000000000001", "place 01a9a39529b27f36, poll 2 choices",
    ]  # fmt: skip
    assert [listed[n]["kind"] for n in (1, 3, 5)] == ["quote", "repost", "reply"]
    assert listed[4]["text"] == "Which one do you want?\n- Yes\n- No"
    assert "more than 20 answers are a notice" in run("posts", "show", "5").output.replace("\n", " ")
    for wrong in (("--quotes", "abc"), ("--most", "3"), ("--poll", "one"), ("--part", "colour=red"), ("--kind", "live", "--answers", "5")):
        assert run("posts", "add", "Hello there, everybody.", *wrong).exit_code == 2, wrong


def test_a_list_that_is_cut_says_how_much_is_left_and_json_is_never_cut(run: Run, tmp_path: Path) -> None:
    store, now = Store(configuration.load(tmp_path / "hijack-monitor.toml").database), datetime.now(UTC)
    with store.transaction():
        for number in range(105):
            window = (now + timedelta(hours=105 - number), now + timedelta(hours=200))
            desk.register(store, Plan("x::1", Kind.POST, f"Number {number} of ours", *window), "carla", now)
    found, count = store.registrations.next(now, 40)
    view = json.dumps(views.planned([(one, "acme") for one in found], count))
    assert "and 65 more: `hijack-monitor posts list` on the host shows them" in view
    assert found[0].text == "Number 104 of ours", "the soonest first"
    home = views.home([f"line {n}" for n in range(33)], (), "never", [(one, "acme") for one in found], count)
    said = json.dumps(home)
    assert "and 85 more" in said
    assert "and 3 more: `hijack-monitor status`" in said
    assert len(home["blocks"]) <= 100
    store.close()
    assert "50 of 105; --before 56 shows the next ones, --all every one" in run("posts", "list").output
    assert "35 of 105; --before 46" in run("posts", "list", "--before", "81", "--limit", "35").output
    assert "5 of" not in run("posts", "list", "--before", "6").output, "the end of the list is no cut"
    assert "--before" not in run("posts", "list", "--all").output
    assert [one["id"] for one in json.loads(run("posts", "list", "--json").output)] == [*range(105, 0, -1)]
    limited = run("posts", "list", "--json", "--limit", "2", "--before", "10")
    assert [one["id"] for one in json.loads(limited.stdout)] == [9, 8]
    assert "2 of 105; --before 8" in limited.stderr
    assert run("posts", "list", "--limit", "2", "--all").exit_code == 2
    assert run("posts", "list", "--limit", "0").exit_code == 2


def test_a_list_is_written_while_it_is_read_and_whoever_has_read_enough_may_go(run: Run, tmp_path: Path) -> None:
    store, now = Store(configuration.load(tmp_path / "hijack-monitor.toml").database), datetime.now(UTC)
    with store.transaction():
        for number in range(3_000):
            desk.register(store, Plan("x::1", Kind.POST, f"Number {number} of ours", now, now + timedelta(hours=9)), "carla", now)
    command = [sys.executable, "-m", "monitor", "--config", str(tmp_path / "hijack-monitor.toml"), "posts", "list", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as listing:
        assert listing.stdout is not None
        assert listing.stderr is not None
        assert listing.stdout.readline() == "[\n"
        desk.register(store, Plan("x::1", Kind.POST, "Made meanwhile, by others", now, now + timedelta(hours=9)), "carla", now)
        listed = json.loads("[" + listing.stdout.read())
        assert [one["id"] for one in listed] == [*range(3_000, 0, -1)], "as it was when the list began"
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as listing:
        assert listing.stdout is not None
        assert listing.stderr is not None
        listing.stdout.readline()
        listing.stdout.close()
        assert listing.stderr.read() == ""
    store.close()
