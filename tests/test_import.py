"""A plan that is imported again: what changed is replaced, what left it is withdrawn, and all of it is said."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import config as configuration
from monitor import desk, plan_changes, voters
from monitor.desk import DeskError, Origin
from monitor.import_posts import Act, Import
from monitor.model import Account, ApprovedPost, Kind
from monitor.plan import Bad, Elsewhere, Plan, PlanFile, Reading
from monitor.planning import plans_of
from monitor.public_web import Web
from monitor.record import stamp
from monitor.store import Store
from monitor.verdict.rules import Rules
from tests.conftest import overwrite
from tests.test_cli import TOMORROW, run_in

CASES = Path(__file__).parents[2] / "shared" / "cases" / "plans"
LATER = TOMORROW + timedelta(hours=2)
MINUTE = timedelta(minutes=1)
ROW = Plan("x::1", Kind.POST, "Fees fall to 0.2 % on Monday", TOMORROW, LATER, ("https://acme.example/fees",), external_id="7", media=1)
Row = Plan | Bad | Elsewhere
Take = Callable[..., tuple[int, str]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    run_in(tmp_path)
    made = Store(configuration.load(tmp_path / "hijack-monitor.toml").database)
    yield made
    made.close()


@pytest.fixture
def take(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Take:
    """Import these rows; (exit code, what was said)."""
    loaded = configuration.load(tmp_path / "hijack-monitor.toml")

    def taken(*rows: Row, source: str = "", commit: bool = True) -> tuple[int, str]:
        act, now = Act("carla", commit, source), datetime.now(UTC)
        code = Import(store, loaded, Rules(()), Reading(()), act, now, "plan.csv").file(
            PlanFile(tuple(enumerate(rows, 1))), tmp_path, Web()
        )
        return code, capsys.readouterr().out

    return taken


def standings(store: Store) -> dict[int, str]:
    now = datetime.now(UTC)
    return {one.id: desk.standing(one, now) for one in sorted(desk.registrations(store), key=lambda one: one.id)}


def use(store: Store, number: int) -> None:
    with store.transaction():
        store.registrations.consume(number, "1859", datetime.now(UTC))


@pytest.mark.skipif(not CASES.is_dir(), reason="the shared cases are not here")
def test_a_corrected_plan_withdraws_what_the_first_registered(tmp_path: Path) -> None:
    run, files = run_in(tmp_path), []
    for name in ("plan_first.jsonl", "plan_corrected.jsonl"):
        files.append(tmp_path / name)
        files[-1].write_text((CASES / name).read_text().replace("2026-12-01", f"{TOMORROW:%F}"))
    first, corrected = map(str, files)
    assert "+ row 1: #1, " in run("posts", "import", first, "--commit").output
    assert "~ row 1: #1 is replaced by #2: the text; " in run("posts", "import", corrected, "--commit").output
    assert "row postiz-77; instead of #1" in run("posts", "show", "2").output


def test_the_first_version_can_come_back_and_a_dry_run_changes_nothing(take: Take, store: Store) -> None:
    new = replace(ROW, text="Fees fall to 0.1 % on Tuesday, legal asked us to change it")
    take(ROW)
    assert "~ row 1: #1 would be replaced: the text; " in take(new, commit=False)[1]
    assert standings(store) == {1: "planned"}
    code, said = take(new)
    assert "~ row 1: #1 is replaced by #2: the text; " in said
    assert "0 registered, 0 already known, 0 bad, 1 replaced" in said
    assert (code, standings(store)) == (0, {1: "withdrawn", 2: "planned"})
    assert "row 1: already registered: #2, planned" in take(new)[1]
    take(ROW)
    assert standings(store) == {1: "withdrawn", 2: "withdrawn", 3: "planned"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"text": "Fees fall to 0.1 % on Monday"}, "the text"),
        ({"not_after": LATER + MINUTE}, "the time"),
        ({"not_before": TOMORROW - MINUTE}, "the time"),
        ({"not_before": TOMORROW.astimezone(tz=None)}, ""),
        ({"by": "somebody else"}, ""),
        ({"links": ()}, "the links"),
        ({"links": ("https://acme.example/fees2",)}, "the links"),
        ({"media": 2}, "the media"),
        ({"alt": ("A door",)}, "the alt texts"),
        ({"account": "x::2"}, "the account"),
        ({"kind": Kind.DM}, "the kind"),
        ({"more": ("And a second part",)}, "the parts"),
        ({"shown": (("community", "77"),)}, "its community"),
        ({"kind": Kind.QUOTE, "shown": (("quotes", "1993000000000000000"),)}, "the kind, its quotes"),
        ({"text": "Another text", "media": 3}, "the text, the media"),
    ],
)
def test_a_change_in_any_field_is_a_change(change: dict[str, Any], said: str, take: Take) -> None:
    take(ROW)
    again = take(replace(ROW, **change))[1]
    assert (f"~ row 1: #1 is replaced by #2: {said}; " if said else "already registered: #1") in again
    assert f"already registered: #{2 if said else 1}" in take(replace(ROW, **change))[1]


def test_a_row_without_a_time_is_the_same_row_as_long_as_its_window_lasts(take: Take, store: Store) -> None:
    def undated() -> Plan:
        now = datetime.now(UTC)
        return replace(ROW, not_before=now, not_after=now + timedelta(days=7), dated=False)

    take(undated())
    assert "already registered: #1" in take(undated())[1]
    assert "~ row 1: #1 is replaced by #2: the time" in take(ROW)[1]
    assert "~ row 1: #2 is replaced by #3: the time" in take(undated())[1]
    with store.transaction():
        begun, over = stamp(datetime.now(UTC) - timedelta(days=9)), stamp(datetime.now(UTC) - timedelta(days=2))
        overwrite(store, 3, not_before=begun, created_at=begun, not_after=over)
    assert "~ row 1: #3 is replaced by #4: the time" in take(undated())[1], "its window is over: it would excuse nothing any more"


def test_what_is_used_is_not_replaced_and_the_row_says_so(take: Take, store: Store) -> None:
    take(ROW)
    use(store, 1)
    assert "already registered: #1, used" in take(ROW)[1]
    for source, commit in (("", False), ("", True), ("november", True)):
        code, said = take(replace(ROW, text="Another text"), source=source, commit=commit)
        assert code == 1
        assert "row 1: BAD: it changes the text, and registered post #1 was already used at" in said
    assert standings(store) == {1: "used"}


@pytest.mark.parametrize("change", [{"alt": ("A door", "A key")}, {"not_after": ROW.not_before}, {"not_after": LATER - timedelta(days=9)}])
def test_a_dry_run_refuses_what_the_import_would(change: dict[str, Any], take: Take, store: Store) -> None:
    for rows in ((replace(ROW, **change),), (ROW,), (replace(ROW, **change),)):
        dry, done = take(*rows, commit=False), take(*rows)
        assert dry[0] == done[0] == (rows[0] is not ROW)
        assert ("BAD: " in dry[1], "BAD: " in done[1]) == (rows[0] is not ROW, rows[0] is not ROW)
    assert standings(store) == {1: "planned"}


def test_a_thread_is_replaced_whole_and_not_when_it_has_begun(take: Take, store: Store) -> None:
    thread = replace(ROW, text="One", more=("Two", "Three"), external_id="t")
    take(thread, replace(ROW, external_id="t#2"))
    assert "already registered: #1" in take(thread)[1]
    assert "~ row 1: #1 is replaced by #5: the parts; " in take(replace(thread, more=("Two", "Three, corrected")))[1]
    assert [number for number, standing in standings(store).items() if standing == "withdrawn"] == [1, 2, 3]
    assert [(one.id, one.text, one.after, one.replaces) for one in store.registrations.to_come(datetime.now(UTC))][1:] == [
        (5, "One", 0, 1), (6, "Two", 5, 2), (7, "Three, corrected", 6, 3),
    ]  # fmt: skip
    assert "already registered: #4" in take(replace(ROW, external_id="t#2"))[1], "a part has no id that a row could have"
    use(store, 6)
    assert "BAD: it changes the parts, and registered post #6, part 2 of its thread, was already used" in take(thread)[1]


def test_a_new_version_is_as_young_and_unconfirmed_as_any_other(take: Take, store: Store) -> None:
    take(ROW)
    login = voters.of_host().removeprefix(voters.LOGIN)
    desk.confirm(store, 1, "bob", "slack:U02BOB", {login: "U06CAROL"}, datetime.now(UTC))
    assert "note: #1 was confirmed by bob: whoever confirms has to read the new one" in take(replace(ROW, text="Another text"))[1]
    old, new = desk.registration(store, 1), desk.registration(store, 2)
    assert (new.confirmed_at, new.replaces, store.registrations.act_of(new)) == (None, 1, [new])
    assert old.registered_at
    assert new.registered_at
    assert new.registered_at > old.registered_at
    assert len(store.announcements.unannounced()) == 2
    acts = [tuple(row) for row in store.sql.execute("SELECT subject, detail FROM audit WHERE action = 'withdraw'")]
    assert acts == [("#1", '{"replaced_by": "#2"}')]


def numbered(number: int) -> Plan:
    return replace(ROW, external_id=str(number), text=f"Number {number} of our posts")


def test_what_left_the_plan_is_withdrawn_and_a_dry_run_says_the_same(take: Take, store: Store) -> None:
    take(replace(ROW, external_id="1"), source="december")
    begun = take(*map(numbered, range(1, 5)), source="november")[1]
    assert "nothing was registered from the plan “november” so far; the plans so far: december" in begun
    use(store, 3)
    rows = numbered(3), replace(numbered(4), text="Number four, corrected"), numbered(5)
    dry = take(*rows, source="november", commit=False)[1]
    code, done = take(*rows, source="november")
    for would, does in (
        ("row 1: already registered: #4, planned", "row 1: already registered: #4, planned"),
        ("~ row 2: #5 would be replaced: the text; ", "~ row 2: #5 is replaced by #6: the text; "),
        ("+ row 3: would be registered, ", "+ row 3: #7, "),
        ("- #2 would be withdrawn: it left the plan “november”: Number 1", "- #2 is withdrawn: it left the plan “november”: Number 1"),
    ):
        assert would in dry
        assert does in done
    assert (code, dry.count("\n- "), done.count("\n- ")) == (0, 1, 1)
    assert "1 registered, 1 already known, 0 bad, 1 replaced, 1 withdrawn" in done
    assert standings(store) == {1: "planned", 2: "withdrawn", 3: "used", 4: "planned", 5: "withdrawn", 6: "planned", 7: "planned"}


IDS = st.sampled_from(["", "1", "2", "3"])
FILES = st.lists(
    st.one_of(
        st.builds(Bad, st.just("not approved"), IDS, st.booleans()),
        st.builds(Elsewhere, st.just("only for Facebook"), IDS),
        IDS.filter(bool).map(lambda identifier: replace(ROW, external_id=identifier)),
    ),
    max_size=4,
)
REGISTERED = st.lists(st.tuples(st.sampled_from(["", "november", "december"]), IDS), max_size=6)


@given(FILES, REGISTERED)
def test_replacing_a_plan_withdraws_only_its_rows_and_what_its_ids_refuse(rows: list[Row], registered: list[tuple[str, str]]) -> None:
    now = datetime.now(UTC)
    made = [ApprovedPost(n, "x::1", Kind.POST, "", now, now, external_id=i, source=s) for n, (s, i) in enumerate(registered, 1)]
    refused = {row.external_id for row in rows if isinstance(row, Bad) and row.refused}
    for one, why in plan_changes.what_left(list(enumerate(rows, 1)), made, "november")[0]:
        assert one.source == "november" or (not one.source and one.external_id and one.external_id in refused)
        assert one.external_id not in {row.external_id for row in rows if isinstance(row, Plan)}
        assert why


def test_what_no_plan_made_stays_when_a_plan_without_ids_is_replaced(take: Take, store: Store) -> None:
    now = datetime.now(UTC)
    desk.register(store, replace(ROW, external_id="", kind=Kind.PROFILE, field="bio", text="Now in Lisbon."), "carla", now)
    desk.register(store, replace(ROW, external_id="", text="", conversation="1993000000000000000"), "carla", now)
    said = take(numbered(1), Bad("status is empty", refused=True), source="november")[1]
    assert "withdrawn" not in said
    assert standings(store) == {1: "planned", 2: "planned", 3: "planned"}


@pytest.mark.parametrize(
    ("row", "said", "stays"),
    [
        (Bad("time: found 'soon'", "2"), "BAD: time: found 'soon'; #2 stays registered", True),
        (
            Bad("time: found 'soon'"),
            "Nothing is taken back, because row 2 could not be understood and may stand for one of these. 1 post from the plan “november”",
            True,
        ),
        (Bad("status is 'no'", "2", refused=True), "- #2 is withdrawn: row 2: status is 'no'", False),
        (Bad("status is 'no'", refused=True), "- #2 is withdrawn: it left the plan", False),
        (Elsewhere("it is for instagram"), "- #2 is withdrawn: it left the plan", False),
        (
            replace(numbered(2), not_before=TOMORROW - 99 * timedelta(days=1), not_after=TOMORROW - 9 * timedelta(days=1)),
            "; #2 stays",
            True,
        ),
    ],
)
def test_a_row_that_is_not_understood_withdraws_nothing_and_one_that_says_no_does(
    row: Row, said: str, stays: bool, take: Take, store: Store
) -> None:
    take(numbered(1), numbered(2), source="november")
    code, done = take(numbered(1), row, source="november")
    assert said in done
    assert code == (0 if isinstance(row, Elsewhere) else 1)
    assert standings(store) == {1: "planned", 2: "planned" if stays else "withdrawn"}


@pytest.mark.parametrize(
    ("rows", "said", "stay"),
    [
        ((), "#1, #2. To take one back", True),
        (
            (Bad("time: found 'soon'", "1"),),
            "is still approved and no longer in this file (or refused in it): #2. To take it back: hijack-monitor posts withdraw 2",
            True,
        ),
        ((Elsewhere("only for Facebook", "1"),), "#1, #2. To take one back", True),
        ((Bad("status is 'no'", "1", refused=True),), "- #1 is withdrawn: row 1: status is 'no'", False),
        ((Bad("status is 'no'", refused=True),), "- #1 is withdrawn: it left the plan", False),
    ],
)
def test_a_file_that_says_of_no_post_whether_it_is_approved_withdraws_nothing(
    rows: tuple[Row, ...], said: str, stay: bool, take: Take, store: Store
) -> None:
    take(numbered(1), numbered(2), source="november")
    code, done = take(*rows, source="november")
    assert (code, ("says of no post whether it is approved" in done, said in done)) == (1, (stay, True))
    assert standings(store) == dict.fromkeys((1, 2), "planned" if stay else "withdrawn")


@pytest.mark.parametrize("derived", [False, True])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("account", ["x::1", "x::2"])
def test_one_no_under_an_id_refuses_every_row_of_that_id(derived: bool, first: bool, account: str, take: Take, store: Store) -> None:
    yes, no = replace(ROW, account=account, derived=derived), Bad("status is 'no'", "" if derived else "7", refused=True, also=("7",))
    said = take(*((no, yes, numbered(1)) if first else (yes, no, numbered(1))))[1]
    same = "is the same post" if derived else "has the same external_id"
    assert f"row {1 + first}: BAD: row {2 - first} {same} and is not approved: status is 'no'" in said
    assert [one.external_id for one in desk.registrations(store)] == ["1"]


@pytest.mark.parametrize(
    ("rows", "source", "said"),
    [
        ((numbered(1),), "november", "#1 is not withdrawn: it left the plan “november”, but registered post #1 was already used"),
        ((Bad("status is 'no'", "t", refused=True), numbered(1)), "november", "#1 is not withdrawn: row 1: status is 'no', but"),
        ((Bad("status is 'no'", "t", refused=True), numbered(1)), "", "row 1: BAD: status is 'no'"),
        ((Elsewhere("only for Facebook", "t"), numbered(1)), "", "row 1: skipped: only for Facebook"),
        ((Bad("time: found 'soon'", "t"), numbered(1)), "november", "row 1: BAD: time: found 'soon'"),
    ],
)
def test_a_thread_that_has_begun_goes_on_and_that_is_said(rows: tuple[Row, ...], source: str, said: str, take: Take, store: Store) -> None:
    take(numbered(1), replace(ROW, external_id="t", text="One", more=("Two", "Three")), source=source)
    use(store, 2)
    done = take(*rows, source=source)[1]
    assert said.replace("#1", "#2") in done
    assert "#3 stays registered: `hijack-monitor posts withdraw 3` takes it back" in done
    assert standings(store) == {1: "planned", 2: "used", 3: "planned", 4: "planned"}


@pytest.mark.parametrize("damaged", [1, 2])
def test_a_part_of_a_thread_that_cannot_be_read_stops_no_import(damaged: int, take: Take, store: Store) -> None:
    take(replace(ROW, external_id="t", text="One", more=("Two", "Three")), numbered(1), source="november")
    overwrite(store, damaged, links="x")
    said = take(numbered(1), source="november")[1]
    assert "row 1: already registered: #4, planned" in said
    assert ("- #1 is withdrawn" in said) == (damaged == 2)


def test_a_row_that_says_no_and_whose_id_is_in_several_plans_names_all_that_stays(take: Take) -> None:
    take(numbered(1), source="november")
    take(numbered(1), source="december")
    said = take(Bad("status is 'no'", "1", refused=True), numbered(2))[1]
    assert "BAD: status is 'no'; #2 stays registered" in said
    assert "#1 stays registered" in said


def test_without_replace_a_row_that_says_no_stays_registered_and_the_line_says_so(take: Take, store: Store) -> None:
    take(numbered(1))
    said = take(Bad("status is 'rejected': not approved", "1", refused=True), numbered(2))[1]
    assert "not approved; #1 stays registered: `hijack-monitor posts withdraw 1` takes it back" in said
    assert standings(store) == {1: "planned", 2: "planned"}


def test_a_row_that_goes_to_another_network_says_what_stays_registered(take: Take) -> None:
    take(ROW)
    elsewhere = Elsewhere("only for Facebook: not watched", "7")
    assert "not watched; #1 stays registered: `hijack-monitor posts withdraw 1`" in take(elsewhere)[1]
    assert "stays registered" not in take(ROW, elsewhere)[1], "a row of ours has its id"


def test_the_ids_of_a_plan_are_its_own_and_those_of_no_plan_are_anybodys(take: Take) -> None:
    take(numbered(1), source="november")
    december = replace(numbered(1), text="December's first")
    assert "+ row 1: #2" in take(december, source="december")[1]
    assert "BAD: its external_id is in several plans (december, november)" in take(numbered(1))[1]
    assert "+ row 1: #3" in take(numbered(9))[1]
    assert "already registered: #3" in take(numbered(9), numbered(1), source="november")[1]
    assert "- #3 is withdrawn" in take(numbered(1), source="november")[1], "it belongs to that plan since then"
    assert "~ row 1: #2 is replaced by #4" in take(numbered(1), source="december")[1]
    assert "already registered: #1" in take(numbered(1), source="november")[1]


def test_a_row_of_several_accounts_is_a_registration_for_each(take: Take, store: Store) -> None:
    both = ROW, replace(ROW, account="x::2")
    assert "2 registered" in take(*both)[1]
    assert "0 registered, 2 already known" in take(*both)[1]
    assert "- #2 is withdrawn: its row no longer names its account" in take(both[0])[1]
    assert "~ row 1: #1 is replaced by #3: the account" in take(both[1])[1]
    assert standings(store) == {1: "withdrawn", 2: "withdrawn", 3: "planned"}
    assert "row 1: #4, " in take(*both)[1]
    assert "was withdrawn" not in take(replace(both[0], account="x::3"), commit=False)[1]


ACCOUNTS = Account("x", "1", "acme"), Account("x", "2", "acme2")


def of_cells(text: str, when: str, accounts: str, status: str, identifier: str = "7", watched: tuple[Account, ...] = ACCOUNTS) -> list[Row]:
    """Row 2 of a file with these cells, as it is read."""
    names = ["external_id", "text", "date", "account", "status"]
    table = [["0", names], ["0", []], ["2", [identifier, text, when, accounts, status]]]
    how = Reading(watched)
    return [row for _, row in plans_of(Path("plan.csv"), table, how, datetime.now(UTC)).rows]


WHEN = f"{TOMORROW:%F} 10:00Z"


@pytest.mark.parametrize(
    ("accounts", "when", "status", "source", "after", "said"),
    [
        ("acme", WHEN, "approved", "", {1: "planned", 2: "withdrawn"}, "- #2 is withdrawn: its row no longer names its account"),
        ("acme2", WHEN, "approved", "", {1: "withdrawn", 2: "planned"}, "- #1 is withdrawn: its row no longer names its account"),
        ("acme, acme2", WHEN, "rejected", "", {1: "planned", 2: "planned"}, "#1 stays registered; #2 stays registered"),
        ("acme, acme2", WHEN, "rejected", "nov", {1: "withdrawn", 2: "withdrawn"}, "- #2 is withdrawn: row 1: column “status”"),
        ("LinkedIn", WHEN, "approved", "", {1: "planned", 2: "planned"}, "#1 stays registered; #2 stays registered"),
        ("acme, acme2", "soon", "approved", "", {1: "planned", 2: "planned"}, "#1 stays registered; #2 stays registered"),
        ("acme, acme2", "soon", "approved", "nov", {1: "planned", 2: "planned"}, "#1 stays registered; #2 stays registered"),
    ],
)
def test_no_account_of_a_row_is_forgotten_whatever_becomes_of_the_row(
    accounts: str, when: str, status: str, source: str, after: dict[int, str], said: str, take: Take, store: Store
) -> None:
    text, beside = "Fees fall on Monday, read on", of_cells("Our office moves to Lisbon", WHEN, "acme", "approved", "8")
    take(*of_cells(text, WHEN, "acme, acme2", "approved"), *beside, source=source)
    done = re.sub(
        r": `hijack-monitor posts withdraw \d` takes it back", "", take(*of_cells(text, when, accounts, status), *beside, source=source)[1]
    )
    assert said in done
    assert standings(store) == after | {3: "planned"}


@pytest.mark.parametrize("identifier", ["7", ""])
@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("source", ["", "nov"])
def test_a_file_adds_nothing_again_when_its_accounts_were_looked_up_or_renamed_meanwhile(
    identifier: str, used: bool, source: str, take: Take, store: Store
) -> None:
    before, after, renamed = (
        of_cells("Fees fall on Monday, read on", WHEN, handles, "approved", identifier, watched)
        for handles, watched in (
            ("acme, acme2", (Account("x", "@acme", "Acme"), Account("x", "@acme2", "acme2"))),
            ("acme, acme2", ACCOUNTS),
            ("acme_eu, acme2", (Account("x", "1", "acme_eu"), ACCOUNTS[1])),
        )
    )
    take(*before, source=source)
    with store.transaction():
        for account in ACCOUNTS:
            store.registrations.resolve(f"x::@{account.handle}", account.key)
    if used:
        use(store, 1)
    assert "0 registered, 2 already known, 0 bad\n" in take(*after, source=source)[1]
    assert standings(store) == {1: "used" if used else "planned", 2: "planned"}
    for number in (1, 2):
        store.sql.execute("DELETE FROM approved WHERE id = ?", [number])
    take(*after, source=source)
    assert "0 registered, 2 already known, 0 bad\n" in take(*renamed, source=source)[1]


def test_a_row_that_an_older_version_registered_twice_says_so(take: Take, store: Store) -> None:
    take(replace(ROW, external_id="by handle", derived=True))
    take(replace(ROW, external_id="by id", derived=True))
    said = take(replace(ROW, external_id="by id", derived=True, also=("by handle",)))[1]
    assert "already registered: #1, planned; #2 stays registered: `hijack-monitor posts withdraw 2` takes it back" in said


@pytest.mark.parametrize(
    ("accounts", "status", "source", "after"),
    [
        ("acme", "rejected", "", "planned"),
        ("acme, acme2", "rejected", "", "planned"),
        ("LinkedIn", "approved", "", "planned"),
        ("LinkedIn", "approved", "nov", "planned"),
        ("acme", "rejected", "nov", "withdrawn"),
    ],
)
def test_a_row_without_an_id_that_says_no_is_known_by_what_it_says(
    accounts: str, status: str, source: str, after: str, take: Take, store: Store
) -> None:
    text, beside = "Fees fall on Monday, read on", of_cells("Our office moves to Lisbon", WHEN, "acme", "approved", "8")
    take(*of_cells(text, WHEN, "acme", "approved", ""))
    said = take(*of_cells(text, WHEN, accounts, status, ""), *beside, source=source)[1]
    assert ("#1 stays registered: `hijack-monitor posts withdraw 1`" in said, "- #1 is withdrawn" in said) == (
        after == "planned", after == "withdrawn",
    )  # fmt: skip
    assert standings(store) == {1: after, 2: "planned"}


def test_a_row_without_an_id_that_changes_is_another_row_until_the_plan_is_replaced(take: Take, store: Store) -> None:
    one, other = (replace(ROW, external_id=f"digest {n}", text=f"Text {n} of ours", derived=True) for n in (1, 2))
    assert "rows without an external_id are known by what they say" in take(one)[1]
    take(other)
    assert standings(store) == {1: "planned", 2: "planned"}
    assert "- #1 is withdrawn" not in take(other, source="november")[1], "it belongs to no plan"
    take(other, one, source="november")
    assert "- #1 is withdrawn" in take(other, source="november")[1]


def test_what_was_withdrawn_can_be_registered_again_and_is_said(take: Take, store: Store) -> None:
    take(ROW)
    desk.withdraw(store, 1, "bob", datetime.now(UTC))
    again = take(ROW)[1]
    assert "+ row 1: #2, " in again
    assert "(#1, the same row, was withdrawn)" in again
    assert standings(store) == {1: "withdrawn", 2: "planned"}


def test_a_draft_of_slack_is_registered_once_even_if_it_was_taken_back(store: Store) -> None:
    now = datetime.now(UTC)
    one = replace(ROW, external_id="slack:1")
    assert desk.register(store, one, "carol", now) == 1
    desk.withdraw(store, 1, "bob", now)
    assert desk.register(store, one, "carol", now) is None


def test_twins_and_overlapping_windows_are_named(take: Take) -> None:
    half = timedelta(minutes=90)
    said = take(
        ROW,
        replace(ROW, external_id="8"),
        replace(ROW, external_id="9", not_before=TOMORROW + half, not_after=LATER + half),
        replace(ROW, external_id="10", not_before=LATER + 2 * half, not_after=LATER + 3 * half),
        replace(ROW, external_id="11", text="Other words"),
        replace(ROW, external_id="12", shown=(("quotes", "1993000000000000000"),)),
        replace(ROW),
        replace(ROW, text="The same id, and other words"),
    )[1]
    notes = [line.strip() for line in said.splitlines() if "two such posts" in line]
    assert notes == [
        "note: row 1 has the same words and the same window: two such posts would go by",
        "note: row 1 has the same words, and the windows overlap: two such posts would go by",
        "note: row 2 has the same words, and the windows overlap: two such posts would go by",
    ]
    assert "row 7: the same as row 1" in said
    assert "row 8: BAD: row 1 has its external_id, and says otherwise" in said
    assert "note: #1 has the same words and the same window" in take(replace(ROW, external_id="13"))[1]


def test_whoever_registers_is_told_of_what_has_the_same_words(store: Store) -> None:
    def said(plan: Plan) -> list[str]:
        return desk.twins(store, plan, datetime.now(UTC))

    one = replace(ROW, external_id="", links=())
    assert said(one) == []
    assert desk.register(store, one, "carla", datetime.now(UTC)) == 1
    assert said(one) == ["#1 has the same words and the same window: two such posts would go by"]
    with store.transaction():
        store.pin("x", "acme", "1")
    assert said(replace(one, account="x::@acme", text=one.text + " ")) == said(one)
    others = (
        {"account": "x::2"},
        {"text": "Other words"},
        {"kind": Kind.DM},
        {"not_before": LATER + MINUTE, "not_after": LATER + 2 * MINUTE},
    )
    assert not any(said(replace(one, **change)) for change in others)
    use(store, 1)
    assert said(one) == []
    for _ in range(7):
        desk.register(store, one, "carla", datetime.now(UTC))
    assert said(one)[5:] == ["2 more registered posts have the same words"]
    assert said(replace(one, text="", conversation="1993")) == []


@pytest.mark.parametrize("commit", [True, False])
def test_what_this_import_replaces_or_withdraws_is_nobodys_twin(commit: bool, take: Take) -> None:
    one, other, gone = numbered(1), numbered(2), numbered(3)
    thread = replace(numbered(4), more=("A part of its own",))
    take(one, other, gone, replace(gone, account="x::2"), thread, source="november")
    said = take(
        replace(one, text=other.text),
        replace(other, text=one.text),
        replace(numbered(5), text=gone.text, account="x::2"),
        replace(numbered(6), text=gone.text),
        replace(numbered(3), text="Other words by now"),
        replace(numbered(7), text="A part of its own", links=()),
        source="november",
        commit=commit,
    )[1]
    assert said.count(" replaced: " if not commit else " is replaced by ") == 3
    assert "same words" not in said


def test_what_stays_after_all_is_a_twin(take: Take, store: Store) -> None:
    take(replace(numbered(1), more=("A part of its own",)), numbered(2), source="november")
    use(store, 1)
    part = replace(numbered(5), text="A part of its own", links=())
    assert (
        "note: #2 has the same words" in take(replace(numbered(1), text="Changed"), numbered(2), part, source="november", commit=False)[1]
    )
    same_id = take(numbered(2), replace(numbered(2), text="Changed"), replace(numbered(6), text=numbered(2).text), source="november")[1]
    assert "note: #3 has the same words" in same_id


def test_an_old_version_that_is_used_meanwhile_is_not_withdrawn(store: Store) -> None:
    """The daemon may use a registration between the look and the act."""
    desk.register(store, ROW, "carla", datetime.now(UTC))
    seen: ApprovedPost = desk.registration(store, 1)
    use(store, 1)
    with pytest.raises(DeskError, match="already used"):
        desk.register(store, replace(ROW, text="e f g h"), "carla", datetime.now(UTC), Origin(), replacing=seen)
    assert standings(store) == {1: "used"}


def test_another_picture_is_another_post_and_the_same_one_made_smaller_is_not() -> None:
    now = datetime.now(UTC)
    one = ApprovedPost(1, "x::1", Kind.POST, "A door", now, now, media=1, pictures=("f" * 64,))
    row = Plan("x::1", Kind.POST, "A door", now, now, media=1)
    for pictures, said in ((("f" * 63 + "e",), []), (("0" * 64,), ["the media"]), ((), ["the media"])):
        assert plan_changes.differences([one], replace(row, pictures=pictures), now) == said
    assert plan_changes.differences([one], row, now, pictures=False) == [], "they were not looked at"
