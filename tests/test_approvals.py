"""By one or by two: what the command line lets one person do alone, and what not."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from monitor import approvals, desk, preflight
from monitor import config as configuration
from monitor.approvals import Approval
from monitor.desk import DeskError, Origin
from monitor.incidents import Event
from monitor.model import Kind, Post, Severity, State, Unreadable
from monitor.outbox import Outbox
from monitor.planning import Plan
from monitor.record import stamp
from monitor.store import Store
from tests import older
from tests.conftest import START
from tests.notifiers.test_slack import kept
from tests.test_cli import Run, run_in

TWO = "two_person_approve = true\n"


def set_up(folder: Path, slack: str = "", more: str = "") -> Run:
    run = run_in(folder)
    file = folder / "hijack-monitor.toml"
    file.write_text(f"{file.read_text()}{slack}{more}")
    return run


def incident(folder: Path, *texts: str) -> tuple[Store, Outbox, int]:
    """An open incident with these posts, numbered from 12."""
    loaded = configuration.load(folder / "hijack-monitor.toml")
    store = Store(loaded.database)
    box = preflight.outbox(store, loaded)
    event = Event("x::1", "@acme on X", Severity.PAGE, "Unapproved post", "nobody registered this post", datetime.now(UTC))
    with store.transaction():
        number = box.happened(event, datetime.now(UTC))
    for identifier, text in enumerate(texts, 12):
        join(store, number, str(identifier), text)
    return store, box, number


def join(store: Store, number: int, identifier: str, text: str) -> None:
    with store.transaction():
        one = kept(text)
        assert isinstance(one.post, Post)
        store.keep_rulebook(one.rulebook, '{"rules": {}}', one.seen_at)
        store.keep_post(replace(one, post=replace(one.post, id=identifier, root_id=identifier, media=()), incident=number))


def state(store: Store) -> State:
    return store.incidents()[0].state


# --- votes ------------------------------------------------------------------------------------------


def test_one_login_under_two_names_is_one_voice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = set_up(tmp_path, TWO)
    store, _, number = incident(tmp_path, "We are sold.")
    monkeypatch.setenv("SUDO_USER", "alice")
    for name in ("one", "two", "U02BOB", "slack:U02BOB", "login:bob"):
        result = run("incidents", "approve", str(number), "--reason", "it was us", "--as", name, text="y\n")
        assert "waits for a second approver" in result.output
    assert state(store) is State.OPEN
    assert desk.registrations(store) == []
    monkeypatch.setenv("SUDO_USER", "bob")
    result = run("incidents", "approve", str(number), "--reason", "it was us", "--as", "one", text="y\n")
    assert result.exit_code == 0, result.output
    assert state(store) is State.RESOLVED


def test_votes_of_an_earlier_version_are_nobodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = set_up(tmp_path, TWO)
    store, _, number = incident(tmp_path, "We are sold.")
    for name in ("one", "two", "U01ALICE"):
        store.sql.execute("INSERT INTO votes VALUES(?, 'x::1', '12', 1, ?, ?, '')", [number, name, START.isoformat()])
    monkeypatch.setenv("SUDO_USER", "alice")
    assert "waits for a second" in run("incidents", "approve", str(number), "--reason", "it was us", text="y\n").output
    assert state(store) is State.OPEN


@pytest.mark.parametrize(("logins", "over"), [({}, False), ({"alice": "U01ALICE"}, False), ({"alice": "U02BOB"}, True)])
def test_host_and_slack_add_up_only_where_two_people_are_known(tmp_path: Path, logins: dict[str, str], over: bool) -> None:
    set_up(tmp_path)
    store, box, number = incident(tmp_path, "We are sold.")
    now = datetime.now(UTC)
    host = Approval("alice", "login:alice", "it was us", "the command line", now, two_person=True, logins=logins)
    slack = Approval("alice (U01ALICE)", "slack:U01ALICE", "it was us", "Slack", now, two_person=True, logins=logins)
    first = approvals.approve(store, box, number, ("12",), host)
    assert first.waiting
    second = approvals.approve(store, box, number, ("12",), slack)
    assert second.over is over
    assert ("set logins = {alice" in second.words()) is (not over and not logins)


def test_who_is_not_known_has_no_vote(tmp_path: Path) -> None:
    set_up(tmp_path)
    store, box, number = incident(tmp_path, "We are sold.")
    with pytest.raises(DeskError, match="who approves is not known"):
        approvals.approve(store, box, number, ("12",), Approval("x", "", "why", "nowhere", datetime.now(UTC)))


# --- exactly these posts ----------------------------------------------------------------------------


def test_the_host_prints_every_text_whole_and_asks(tmp_path: Path) -> None:
    run = set_up(tmp_path)
    long = "We are sold.\n" + "word " * 2_000 + "\x1b[2J the end"
    store, _, number = incident(tmp_path, "Good morning.", long)
    for answer in ("n\n", None):
        result = run("incidents", "approve", str(number), "--reason", "it was us", text=answer)
        assert result.exit_code == 1
        assert "the end" in result.output
        assert "\x1b" not in result.output
        assert "…" not in result.output
        assert "nothing is approved" in result.output
    assert state(store) is State.OPEN
    assert run("incidents", "approve", str(number), "--reason", "it was us", text="y\n").exit_code == 0
    assert state(store) is State.RESOLVED


def test_what_joins_after_the_question_is_not_approved(tmp_path: Path) -> None:
    set_up(tmp_path)
    store, box, number = incident(tmp_path, "Good morning.")
    listed = tuple(map(approvals.name_of, approvals.unapproved(store, number)))
    join(store, number, "13", "We are sold.")
    done = approvals.approve(store, box, number, listed, Approval("alice", "login:alice", "us", "the command line", datetime.now(UTC)))
    assert (len(done.made), done.over) == (1, False)
    assert [k.post.id for k in approvals.unapproved(store, number)] == ["13"]
    with pytest.raises(DeskError, match="no post was named"):
        approvals.approve(store, box, number, (), Approval("alice", "login:alice", "us", "the command line", datetime.now(UTC)))


def test_posts_can_be_named_and_then_nobody_is_asked(tmp_path: Path) -> None:
    run = set_up(tmp_path)
    store, _, number = incident(tmp_path, "Good morning.", "Good evening.", "We are sold.")
    assert "has no post 99" in run("incidents", "approve", str(number), "--post", "99", "--reason", "us").output
    assert run("incidents", "approve", str(number), "--post", "12", "--post", "13", "--reason", "us").exit_code == 0
    assert [k.post.id for k in approvals.unapproved(store, number)] == ["14"]
    assert state(store) is State.OPEN


def test_an_approval_of_what_can_be_read_does_not_close_what_could_not(tmp_path: Path) -> None:
    run = set_up(tmp_path)
    store, _, number = incident(tmp_path, "Good morning.")
    with store.transaction():
        store.keep_post(replace(kept("x"), post=Unreadable("x::1", "77", "no text", START), incident=number))
    assert run("incidents", "approve", str(number), "--reason", "it was us", text="y\n").exit_code == 0
    assert state(store) is State.OPEN


def test_a_plan_cannot_claim_the_monitors_own_ids(tmp_path: Path) -> None:
    run = set_up(tmp_path)
    rows = [{"text": f"Words and more of them, {n}.", "external_id": name} for n, name in enumerate(("approved:x::1:12:1", "slack:e1"))]
    (tmp_path / "plan.jsonl").write_text("\n".join(map(json.dumps, rows)))
    result = run("posts", "import", str(tmp_path / "plan.jsonl"), "--commit")
    assert result.output.count("are the monitor's own") == 2


# --- registrations ----------------------------------------------------------------------------------


def test_a_registration_waits_for_somebody_else_and_then_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = set_up(tmp_path, TWO)
    monkeypatch.setenv("SUDO_USER", "alice")
    assert "waits for a second approver" in run("posts", "add", "Our spring sale begins.", "--as", "carla").output
    assert json.loads(run("posts", "list", "--json").output)[0]["standing"] == "waiting"
    for name in ("alice", "bob"):
        refused = run("posts", "confirm", "1", "--as", name)
        assert refused.exit_code == 1
        assert "Our spring sale begins." in refused.output, "who confirms has read it"
        assert "carla (login alice) registered it: somebody else has to confirm it" in refused.output
    monkeypatch.setenv("SUDO_USER", "bob")
    assert run("posts", "confirm", "1").exit_code == 0
    (row,) = json.loads(run("posts", "list", "--json").output)
    assert (row["standing"], row["confirmed"]) == ("open", "bob")
    assert "already confirmed by bob" in run("posts", "confirm", "1").output
    assert "confirmed" in run("posts", "show", "1").output


def test_an_import_is_confirmed_as_a_whole_and_nothing_else_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = set_up(tmp_path, TWO)
    monkeypatch.setenv("SUDO_USER", "alice")
    run("posts", "add", "Before the import.")
    (tmp_path / "plan.jsonl").write_text("\n".join(json.dumps({"text": f"Words and more of them, {n}."}) for n in range(8)))
    assert "wait for a second approver" in run("posts", "import", str(tmp_path / "plan.jsonl"), "--commit").output
    monkeypatch.setenv("SUDO_USER", "bob")
    assert run("posts", "confirm", "4").exit_code == 0
    rows = json.loads(run("posts", "list", "--json").output)
    assert sorted(r["id"] for r in rows if r["standing"] == "waiting") == [1]


def test_what_was_used_withdrawn_or_registered_by_nobody_known_cannot_be_confirmed(tmp_path: Path) -> None:
    store = Store(tmp_path / "monitor.db")
    plan = Plan("x::1", Kind.POST, "Words.", START, START + timedelta(hours=1))
    numbers = [desk.register(store, plan, "alice", START, Origin("login:alice")) or 0 for _ in range(2)]
    numbers.append(desk.register(store, plan, "comms", START) or 0)
    store.registrations.consume(numbers[0], "5", START)
    desk.withdraw(store, numbers[1], "alice", START)
    for number, why in zip(numbers, ("already used", "was withdrawn", "was not recorded"), strict=True):
        with pytest.raises(DeskError, match=why):
            desk.confirm(store, number, "bob", "login:bob", {}, START)


def test_check_says_what_one_persons_word_is_worth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("X_BEARER_TOKEN", "SLACK_BOT_TOKEN"):
        monkeypatch.setenv(name, "token")
    run = set_up(tmp_path)
    assert "less than 10 min before is a notice" in run("check").output
    run = set_up(tmp_path, TWO, "[approvals]\nfresh_minutes = 0\n")
    said = run("check").output
    assert "warning: fresh_minutes = 0" in said
    assert "no second approver is known" in said


def test_a_channel_for_announcements_needs_slack(tmp_path: Path) -> None:
    file = tmp_path / "hijack-monitor.toml"
    run = run_in(tmp_path)
    file.write_text(file.read_text().split("[slack]")[0] + '[approvals]\nchannel = "C0APPROVALS"\n')
    assert "without a [slack] table" in run("posts", "list").output


def test_a_post_whose_time_is_ahead_of_our_clock_can_be_approved(tmp_path: Path) -> None:
    run = set_up(tmp_path)
    store, _, number = incident(tmp_path, "We are not sold.")
    ahead = datetime.now(UTC) + timedelta(minutes=20)
    with store.transaction():
        older.unpack(store.sql)
        store.sql.execute("UPDATE posts SET created_at = ?, post = json_set(post, '$.created_at', ?)", [stamp(ahead)] * 2)
    result = run("incidents", "approve", str(number), "--reason", "it was us", text="y\n")
    assert result.exit_code == 0, result.output
    assert state(store) is State.RESOLVED
