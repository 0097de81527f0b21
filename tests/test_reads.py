"""Every read has an age: what cannot be read is told, whichever read it is, and nothing is claimed of what nobody read."""

from __future__ import annotations

import inspect
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from monitor import health, metrics, reads, status
from monitor.blocklists import Blocklists
from monitor.model import Account, Kind, Post, Profile, Severity, State
from monitor.noted import Noted, unread
from monitor.notifiers.interface import Notifier
from monitor.oncall import Schedule
from monitor.pictures import Pictures
from monitor.reads import AUTHOR, EDITS, LOOKUP, PROFILE, READS, SCHEDULE, THREAD, Read, Reads, overdue
from monitor.sources.interface import Faces, Source, SourceError, Stream, Trouble
from tests.conftest import CONFIG, START, Clock, World, world
from tests.receivers import Receiver

EDGES = {"Source": Source, "Stream": Stream, "Pictures": Pictures, "Notifier": Notifier, "Schedule": Schedule, "Blocklists": Blocklists}
REFUSED: tuple[int, dict[str, object], dict[str, str]] = (
    400,
    {"title": "Invalid Request", "detail": "One or more parameters to your request was invalid.", "status": 400},
    {},
)
ACME = Account("x", "1", "acme")


# --- the table ----------------------------------------------------------------------------------------


def test_every_read_of_an_edge_stands_in_the_table() -> None:
    """A method that is added to a platform's edge and has no age is a read that may fail in silence."""
    named = [method for read in READS.values() for method in read.methods]
    asked = {f"Source.{name}" for name, _ in inspect.getmembers(Source, inspect.isfunction) if not name.startswith("_")}
    streamed = {f"Stream.{name}" for name, _ in inspect.getmembers(Stream, inspect.isfunction) if not name.startswith("_")}
    asks_nobody = {"Stream.read", "Source.since"}  # a line that came, a moment as a cursor
    assert (asked | streamed) - asks_nobody <= set(named)
    assert len(named) == len(set(named))
    for method in named:
        edge, _, name = method.partition(".")
        assert callable(getattr(EDGES[edge], name)), method


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_every_read_has_a_limit_or_a_rule_that_speaks_of_it(read: Read) -> None:
    assert read.means
    assert read.notice or read.elsewhere in ("health.blindness", "health.symptoms")
    assert read.page is None or (read.notice and read.page > read.notice)


class Broken:
    """A platform on which nothing works, in a way that nobody foresaw."""

    def __getattr__(self, name: str) -> Any:
        async def fails(*_: object) -> None:
            raise ValueError(name)

        return fails


ASKED = {
    "resolve": (("acme",),), "profiles": ((ACME,),), "author": (Post(ACME.key, "1", Kind.QUOTE, "", START),),
    "posts": ((ACME,), ("1",)), "search": ((ACME,), START), "balance": (),
}  # fmt: skip


async def test_whatever_an_edge_raises_is_noted_as_a_read_that_failed() -> None:
    methods = {name for name, _ in inspect.getmembers(Source, inspect.isfunction) if not name.startswith("_")}
    assert methods == {*ASKED, "read", "since"}, "the collector notes what `read` comes to: an answer that cannot be handled is no read"
    for name, arguments in ASKED.items():
        going = Reads(Clock())
        with pytest.raises(SourceError, match="ValueError"):
            await getattr(Noted(Broken(), "x", going), name)(*arguments)
        (state,) = going.states()
        assert f"Source.{name}" in READS[state.read].methods
        assert (state.since, state.why) == (START, "it could not be handled (ValueError)")


async def test_an_author_who_is_gone_is_an_answer_and_a_profile_that_is_gone_is_not() -> None:
    class Gone:
        async def author(self, post: Post) -> str:
            raise SourceError(Trouble.GONE, f"the author of {post.id} is suspended")

        async def profiles(self, accounts: tuple[Account, ...]) -> None:
            raise SourceError(Trouble.GONE, f"{accounts[0].name} is suspended")

    going = Reads(Clock())
    noted = Noted(Gone(), "x", going)  # type: ignore[arg-type]
    for name in ("author", "profiles"):
        with pytest.raises(SourceError):
            await getattr(noted, name)(*ASKED[name])
    assert [(s.read, s.since is None) for s in going.states()] == [("author", True), ("profile", False)]


@pytest.mark.parametrize(("unseen", "works"), [(("bio", "link"), False), (("banner",), True), ((), True)])
def test_a_profile_without_what_a_scam_changes_is_not_read(unseen: tuple[str, ...], works: bool) -> None:
    why = unread((ACME,), Faces({ACME.key: Profile(ACME.key, handle="acme")}, unseen=frozenset(unseen)))
    assert (why == {}) is works
    assert works or "bio, link" in why[ACME.key]


def test_a_profile_of_which_nothing_is_said_is_not_read_but_on_a_platform_without_profiles() -> None:
    assert unread((ACME,), Faces({})) == {}
    assert unread((ACME,), Faces({"x::2": Profile("x::2")})) == {ACME.key: "nothing was said of its profile"}
    assert unread((ACME,), Faces({ACME.key: SourceError(Trouble.GONE, "it is suspended")})) == {ACME.key: "it is suspended"}


# --- how they age -------------------------------------------------------------------------------------


def failing(read: Read, clock: Clock, seconds: float, every: float = 30, about: str = "x") -> Reads:
    """A read that worked once and has failed since then, tried again and again."""
    going = Reads(clock)
    going.tried(read, about, ok=True)
    until = clock() + timedelta(seconds=seconds)
    while clock() < until:
        clock.move(every)
        going.tried(read, about, ok=False, why="X answered 400")
    return going


@pytest.mark.parametrize(
    ("read", "seconds", "excused", "severity"),
    [
        (PROFILE, 90, (), None), (PROFILE, 120, (), Severity.NOTIFY), (PROFILE, 180, (), Severity.PAGE), (PROFILE, 3600, ("x",), Severity.NOTIFY),
        (LOOKUP, 600, (), None), (LOOKUP, 660, (), Severity.NOTIFY), (THREAD, 570, (), None), (THREAD, 600, (), Severity.NOTIFY),
    ],
)  # fmt: skip
def test_how_long_a_read_may_fail(read: Read, seconds: float, excused: tuple[str, ...], severity: Severity | None) -> None:
    clock = Clock()
    going = failing(read, clock, seconds)
    found = overdue(going.states(), clock(), {}, excused)
    assert [b.severity for b in found] == ([severity] if severity else [])
    assert overdue(going.states(), clock(), {}, excused, {"x": clock()}) == (), "one cause is one page"
    assert all("X answered 400" in b.why for b in found)


def test_a_read_that_nobody_needed_ages_not_and_one_failure_alone_is_no_finding() -> None:
    clock = Clock()
    going = failing(AUTHOR, clock, 30)
    clock.move(3000)
    assert overdue(going.states(), clock(), {}) == ()
    going.tried(AUTHOR, "x", ok=False, why="X answered 503")
    assert [b.subject for b in overdue(going.states(), clock(), {})] == ["blind:read:author:x"]
    clock.move(3601)
    assert overdue(going.states(), clock(), {}) == (), "for an hour nobody has asked for one"
    said = going.over("blind:read:author:x", ("x",), START + timedelta(minutes=50))
    assert said == "Nobody has needed it for an hour; whether it works is not known: x"


def test_a_read_that_is_due_and_is_never_tried_ages_too() -> None:
    clock = Clock()
    going = Reads(clock)
    going.only(PROFILE, {"x::1": "@acme on X"})
    clock.move(60 * 2 + 119)
    assert overdue(going.states(), clock(), {"profile": 60}) == ()
    clock.move(61)
    (found,) = overdue(going.states(), clock(), {"profile": 60})
    assert (found.severity, found.names) == (Severity.PAGE, ("@acme on X",))
    assert "it was not tried although it was due" in found.why


@pytest.mark.parametrize("read", [r for r in READS.values() if r.steady and r.notice], ids=lambda read: read.name)
def test_every_steady_read_that_is_never_tried_becomes_a_finding(read: Read) -> None:
    clock = Clock()
    going = Reads(clock)
    going.only(read, {"a": "the one"})
    every = going.every[read.name]
    clock.move(2 * every)
    assert overdue(going.states(), clock(), going.every) == ()
    clock.move((read.notice or timedelta()).total_seconds() + 1)
    (found,) = overdue(going.states(), clock(), going.every)
    assert "it was not tried although it was due" in found.why


def test_failing_edits_are_told_by_themselves_only_while_other_lookups_work() -> None:
    clock = Clock()
    going = failing(EDITS, clock, 700)
    assert [b.subject for b in overdue(going.states(), clock(), {})] == ["blind:read:edits:x"]
    for _ in range(25):
        clock.move(30)
        going.tried(LOOKUP, "x", ok=False, why="X answered 503")
    assert [b.subject for b in overdue(going.states(), clock(), {})] == ["blind:read:lookup:x"]


def test_a_daemon_that_is_started_again_and_again_does_not_make_a_failure_young() -> None:
    clock = Clock()
    going = failing(PROFILE, clock, 100, about="x::1")
    again = Reads(clock)
    again.remember(going.written())
    assert overdue(again.states(), clock(), {}) == (), "not before it has failed once more"
    clock.move(90)
    again.tried(PROFILE, "x::1", "@acme on X", ok=False, why="X answered 400")
    (found,) = overdue(again.states(), clock(), {})
    assert found.severity is Severity.PAGE
    clock.move(5)
    again.tried(PROFILE, "x::1", "@acme on X", ok=True)
    assert overdue(again.states(), clock(), {}) == ()


def test_what_is_written_down_for_others_says_how_much_more_there_is() -> None:
    clock = Clock()
    going = Reads(clock)
    for number in range(130):
        going.tried(PROFILE, f"x::{number}", f"@a{number} on X", ok=number < 10, why="X answered 400")
    told, more = reads.told(going.written())
    assert (sum(s.since is not None for s in told), more) == (100, 20)
    assert [s.read for s in told if s.since is None] == ["profile"], "and the one of those that work which was read longest ago"


def test_a_clock_that_is_set_ages_nothing() -> None:
    clock = Clock()
    going = failing(PROFILE, clock, 60)
    for hours in (5, -9):
        clock.move(hours * 3600)
        going.stepped(timedelta(hours=hours))
        assert overdue(going.states(), clock(), {}) == ()


# --- what is said when it is over ---------------------------------------------------------------------


def test_nothing_is_claimed_of_what_is_no_longer_wanted() -> None:
    clock = Clock()
    going = Reads(clock)
    names, subject = ("@acme on X", "@beta on X"), "blind:read:profile:x"
    assert going.over(subject, names, START) == "", "after a restart nobody knows yet what is wanted"
    going.only(PROFILE, {"x::1": "@acme on X"})
    clock.move(5)
    assert going.over(subject, names, START) == "", "and not being tried is not being read"
    going.tried(PROFILE, "x::1", "@acme on X", ok=True)
    said = going.over(subject, names, START)
    assert said.startswith("Read again at 03:00:05 UTC: @acme on X. What they showed in between is not known")
    assert said.endswith("No longer configured or needed; not checked: @beta on X")
    going.only(SCHEDULE, {})
    assert (
        going.over("blind:read:schedule", ("the on-call schedule",), START)
        == "No longer configured or needed; not checked: the on-call schedule"
    )


def reading(name: str = "acme", **more: Any) -> health.Reading:
    """An account that has been read twice since."""
    usual = {"last_ok": START + timedelta(minutes=9), "failing_since": None, "failures": 0, "error": "", "trouble": ""}
    return health.Reading(f"x::{name}", f"@{name} on X", **(usual | more))


@pytest.mark.parametrize(
    ("names", "configured", "says", "never"),
    [
        (("@gone on X",), (), "No longer configured; not checked: @gone on X", "read and judged"),
        (("@gone on X",), (reading(),), "No longer configured; not checked: @gone on X", "read and judged"),
        (("@acme on X", "@gone on X"), (reading(),), "posted in between of @acme on X that was not deleted again has been read and judged. No longer configured", "gone on X has"),
        (("@acme on X", "@gone on X"), (reading(failures=1),), "", "judged"),
        ((), (), "No longer configured; not checked: ", "read and judged"),
    ],
)  # fmt: skip
def test_an_account_that_was_taken_out_is_not_said_to_have_been_read(
    names: tuple[str, ...], configured: tuple[health.Reading, ...], says: str, never: str
) -> None:
    said = health.recovered("blind:x", names, START, configured, START + timedelta(minutes=10))
    assert says in said
    assert bool(said) == bool(says)
    assert never not in said


def test_an_account_under_another_handle_is_still_the_same_and_those_that_found_no_room_count_too() -> None:
    later = START + timedelta(minutes=10)
    said = health.recovered("blind:x::acme", ("@old on X",), START, (reading(),), later)
    assert "has been read and judged" in said
    assert "No longer" not in said
    many = tuple(f"@a{n} on X" for n in range(50))
    still = (*(reading(f"a{n}") for n in range(50)), reading("a50", last_ok=START))
    assert health.recovered("blind:x", many, START, still, later) == "", (
        "the incident keeps fifty names, and the fifty-first was not read yet"
    )


# --- whole stories ------------------------------------------------------------------------------------


async def pass_(w: World, seconds: float, step: float = 10) -> None:
    """Let time pass in steps of a few seconds."""
    for _ in range(round(seconds / step)):
        await w.skip(step)


async def blinded(w: World, seconds: float) -> list[str]:
    """Profiles are refused for so long; what Slack was told."""
    w.x.faults.add("json", "/2/users$", times=10_000, value=REFUSED)
    await pass_(w, seconds)
    return [m.words() for m in w.slack.roots()]


async def answers(w: World, stack: AsyncExitStack) -> None:
    """What Prometheus and a load balancer see while profiles have been unread for a page's time."""
    port = await metrics.serve(metrics.Figures(w.service.store, w.clock, w.service.check, w.service.reads), 0, stack)
    session = await stack.enter_async_context(aiohttp.ClientSession())
    figures = await (await session.get(f"http://127.0.0.1:{port}/metrics")).text()
    (line,) = [one for one in figures.splitlines() if one.startswith("hijack_monitor_read_age_seconds") and 'read="profile"' in one]
    assert 180 <= float(line.rpartition(" ")[2]) <= 300
    health = await (await session.get(f"http://127.0.0.1:{port}/healthz")).json()
    assert (health["ok"], health["wrong"]) == (False, ["Profiles cannot be read: @acme on X"])
    assert "400" in health["unread"][0]


async def test_profiles_that_cannot_be_read_are_a_notice_then_a_page_everywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with AsyncExitStack() as stack:
        outside = await Receiver().start(stack)
        w = await stack.enter_async_context(
            world(tmp_path, extra="[deadman]\nevery_seconds = 20\n", secrets={"deadman_url": f"{outside.base}/ping/abc"})
        )
        await pass_(w, 50)
        w.x.change("acme", name="Free Coins", bio="DM us to claim", link="https://free-coins.xyz")
        told = await blinded(w, 130)
        assert ["Profiles cannot be read: @acme on X" in words for words in told] == [True]
        assert not w.slack.waking()
        assert "400" in told[0]
        assert "Nobody would see a change of name, handle, bio or link" in told[0]
        assert [p for p, *_ in outside.got][-1] == "/ping/abc", "a notice wakes nobody, in this way neither"
        await pass_(w, 110)
        (page,) = w.slack.waking()
        assert "Profiles cannot be read: @acme on X" in page.words()
        assert "nothing else does now" not in page.words(), "its posts are read"
        await answers(w, stack)
        assert status.say(w.service.store, w.config, w.clock(), runs=True) == 1
        printed = capsys.readouterr().out
        assert "Profiles cannot be read: @acme on X: " in printed
        assert "all is well" not in printed
        path, said, *_ = outside.got[-1]
        assert (path, said) == ("/ping/abc/fail", "Profiles cannot be read: @acme on X")
        w.x.faults.script.clear()
        await pass_(w, 70)
        assert "Read again at 03:0" in page.words()
        assert "What they showed in between is not known" in page.words()
        assert "; unread from 03:00:" in page.words()
        assert any("Profile changed: name" in m.words() for m in w.slack.waking()), "and what it shows now is compared"
        assert all(i.state is State.RESOLVED for i in w.service.store.incidents() if i.subject.startswith("blind:"))


async def test_an_outage_of_x_is_one_page_and_not_one_for_each_kind_of_read(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register("Fees fall to zero on Monday.")
        w.x.post("acme", "Fees fall to zero on Monday.")
        await w.run(1)
        w.x.faults.add("html", "", times=100_000, value=503)
        await pass_(w, 15 * 60, 60)
        assert len(w.slack.roots()) == 1
        assert {s.read for s in w.service.reads.states() if s.since} >= {"timeline", "profile", "edits", "lookup", "search"}
        w.x.faults.script.clear()
        await pass_(w, 120)
        assert len(w.slack.roots()) == 1
        assert not [s for s in w.service.reads.states() if s.since and s.read in ("timeline", "profile", "edits", "lookup")]


async def test_lookups_and_threads_that_fail_for_ten_minutes_are_a_notice_and_close_when_they_work(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register("Fees fall to zero on Monday.")
        w.x.post("acme", "Fees fall to zero on Monday.")
        w.x.post("acme", "We are sold.")
        await w.run(1)
        w.x.faults.add("html", "/2/tweets$", times=100_000, value=503)
        w.slack.faults.add("json", "/api/conversations.replies", times=100_000, value=(200, {"ok": False, "error": "missing_scope"}, {}))
        await pass_(w, 15 * 60, 60)
        notices = [m for m in w.slack.roots() if "cannot be" in m.words()]
        assert sorted(m.words().split(" · ")[0].split(" ", 1)[1] for m in notices) == [
            "Posts cannot be looked up by id: X", "Threads cannot be read: INC-1",
        ]  # fmt: skip
        assert not any(m.wakes for m in notices)
        w.x.faults.script.clear()
        w.slack.faults.script.clear()
        await pass_(w, 120, 60)
        assert {i.subject: i.state for i in w.service.store.incidents() if ":read:" in i.subject} == {
            "blind:read:lookup:x": State.RESOLVED, "blind:read:thread": State.RESOLVED,
        }  # fmt: skip


async def test_while_a_stream_tells_of_profiles_those_that_cannot_be_read_wake_nobody(tmp_path: Path) -> None:
    async with world(tmp_path, CONFIG | {"push": "auto"}) as w:
        await w.run(2)
        assert w.service.tells_of_profile("x::2244994945")
        (notice,) = await blinded(w, 400)
        assert "Only the stream still tells of changes of name, handle, bio and link" in notice
        assert not w.slack.waking()
        w.x.change("acme", name="Free Coins")
        await w.run(5)
        assert any("Profile changed: name" in m.words() for m in w.slack.waking())


async def test_an_account_that_is_taken_out_while_nobody_could_read_it_closes_without_a_claim(tmp_path: Path) -> None:
    data = CONFIG | {"accounts": [*CONFIG["accounts"], {"handle": "beta", "id": "77", "earlier": ["Hello."]}]}
    async with world(tmp_path, data) as w:
        w.x.faults.add("html", "/2/users/77/", times=10_000, value=503)
        await pass_(w, 80)
        assert "Not being watched: @beta on X" in w.slack.waking()[0].words()
        async with world(tmp_path, CONFIG, beside=w) as again:
            await again.run(8)
            (page,) = w.slack.waking()
            assert "No longer configured; not checked: @beta on X" in page.words()
            assert not [m for m in w.slack.messages.values() if "read and judged" in m.words()]


async def test_a_restart_neither_closes_nor_forgets_what_cannot_be_read(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.post("acme", "We are sold.")
        await w.run(1)
        w.slack.faults.add("json", "/api/conversations.replies", times=100_000, value=(200, {"ok": False, "error": "missing_scope"}, {}))
        w.x.faults.add("json", "/2/users$", times=10_000, value=REFUSED)
        await pass_(w, 12 * 60, 60)
        before = {i.subject: i.state for i in w.service.store.unresolved() if ":read:" in i.subject}
        assert set(before.values()) == {State.OPEN}
        assert set(before) == {"blind:read:thread", "blind:read:profile:x"}
        async with world(tmp_path, beside=w) as again:
            await pass_(again, 60)
            store = again.service.store
            assert {i.subject: i.state for i in store.unresolved() if ":read:" in i.subject} == before
            profile = store.open_incident("blind:read:profile:x")
            assert profile
            assert profile.severity is Severity.PAGE
            assert "last read 03:00:" in overdue(again.service.reads.states(), w.clock(), {})[0].why
            w.slack.faults.script.clear()
            w.x.faults.script.clear()
            await pass_(again, 90)
            assert not [i for i in store.unresolved() if ":read:" in i.subject]


def test_what_pages_names_only_what_no_stream_tells_of() -> None:
    clock = Clock()
    going = Reads(clock)
    for about in ("x::1", "x::2", "y::3"):
        going.tried(PROFILE, about, f"@{about} on X", ok=True)
    for _ in range(5):
        clock.move(50)
        for about in ("x::1", "x::2", "y::3"):
            going.tried(PROFILE, about, ok=False, why="X answered 400")
    found = overdue(going.states(), clock(), {}, excused={"x::2", "y::3"})
    assert [(b.subject, b.severity, b.names) for b in found] == [
        ("blind:read:profile:x", Severity.PAGE, ("@x::1 on X",)), ("blind:read:profile:y", Severity.NOTIFY, ("@y::3 on X",)),
    ]  # fmt: skip
    assert found[1].means == PROFILE.excused


async def test_a_process_that_was_stopped_for_long_has_not_failed_to_read(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.run(1)
        w.service.mind_clock(100.0, w.clock())
        w.clock.move(900)
        w.service.mind_clock(1000.0, w.clock())
        w.service.check_health()
        assert w.service.store.unresolved() == ()
