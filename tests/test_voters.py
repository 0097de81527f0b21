"""One human is one voice, wherever they speak."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import voters

LOGINS = {"alice": "U01ALICE", "ali": "U01ALICE", "bob": "U02BOB"}


@pytest.mark.parametrize(
    ("given", "count"),
    [
        ((), 0),
        (("slack:U01ALICE",), 1),
        (("slack:U01ALICE", "slack:U02BOB"), 2),
        (("login:carl", "login:dora"), 2),
        (("login:carl", "slack:U02BOB"), 1),
        (("login:bob", "slack:U02BOB"), 1),
        (("login:bob", "slack:U01ALICE"), 2),
        (("login:alice", "login:ali"), 1),
        (("login:alice", "login:ali", "slack:U01ALICE"), 1),
        (("login:carl", "login:bob", "slack:U01ALICE"), 2),
        (("carla", "U01ALICE", ""), 0),
    ],
)
def test_so_many_people_are_surely_there(given: tuple[str, ...], count: int) -> None:
    assert voters.people(given, LOGINS) == count


NAMES = st.lists(
    st.sampled_from([f"login:{n}" for n in ("alice", "ali", "bob", "carl", "dora")] + ["slack:U01ALICE", "slack:U02BOB", "two"])
)


@given(NAMES, NAMES)
def test_more_votes_never_count_less_and_never_more_than_there_are(some: list[str], more: list[str]) -> None:
    assert voters.people(some, LOGINS) <= voters.people(some + more, LOGINS) <= len(set(some + more))
    assert voters.people(some + some, LOGINS) == voters.people(some, LOGINS)


def test_what_to_set_is_said_only_where_it_would_help() -> None:
    assert 'logins = {carl = "U…"} in [approvals]' in voters.unknown(("login:carl", "slack:U02BOB"), LOGINS)
    assert voters.unknown(("login:carl", "login:dora"), LOGINS) == ""
    assert voters.unknown(("login:bob", "slack:U02BOB"), LOGINS) == ""


def test_the_login_is_nothing_that_a_name_in_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    if Path("/proc/self/loginuid").read_text() != str(2**32 - 1):
        pytest.skip("this session has a login id: nothing else counts")
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody")
    monkeypatch.delenv("SUDO_USER", raising=False)
    assert "somebody" not in voters.of_host()
    assert voters.login() == Path(f"/proc/{os.getpid()}").owner()
    monkeypatch.setenv("SUDO_USER", "alice")
    assert voters.of_host() == "login:alice"
