"""Files that comms plan with: read rightly, or refused with the row and the reason."""

from __future__ import annotations

import json
import re
import shlex
import string
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from monitor import safe
from monitor.foreign import plan as reader
from monitor.foreign.bounds import Bounds
from monitor.model import Account
from monitor.plan_names import WHO, says_plainly
from monitor.plan_status import YES_WORDS, names_somebody
from monitor.plan_times import shown_window, zone_named
from monitor.planning import Bad, Elsewhere, Plan, PlanError, PlanFile, Reading, plans_of, span

BERLIN = zone_named("Europe/Berlin")
ACME = Account("x", "1", "acme")
HOW = Reading((ACME, Account("x", "aB3", "acme_lisbon")), "acme", BERLIN)
NOW = datetime(2026, 11, 21, tzinfo=UTC)
TEXT = "Support stays open over the holidays"


def imported(body: bytes | str, how: Reading = HOW) -> PlanFile:
    """As `posts import` reads it, without the process of its own."""
    path = Path("plan.csv")
    body = body if isinstance(body, bytes) else body.encode()
    texts = tuple(name for what, name in how.columns if what == "text")
    found = json.loads(json.dumps(list(reader.read(body, Bounds(), name=str(path), texts=texts))))
    return plans_of(path, found, how, NOW)


def rows(body: bytes | str, how: Reading = HOW) -> list[Plan | Bad | Elsewhere]:
    return [row for _, row in imported(body, how).rows]


def table(columns: Sequence[str], *lines: Sequence[str]) -> str:
    return "\r\n".join(",".join('"' + cell.replace('"', '""') + '"' for cell in line) for line in (columns, *lines)) + "\r\n"


# --- states -----------------------------------------------------------------------------------------------------------------

YES = {word.strip() for line in YES_WORDS.values() for word in line.split(",")}


@given(
    st.sampled_from(["approved", "Status", "STATE", "workFlow", "Client approval?", "approval_status", "Freigabe Kunde", "review.state"]),
    st.one_of(st.text(max_size=12), st.sampled_from(["Approved by legal pending", "approved?", "not approved", "Yes!", "2", "🟢"])),
)
def test_only_a_word_on_the_list_registers_in_a_column_of_a_state(name: str, word: str) -> None:
    lines = [json.dumps({"text": TEXT, name: word}), json.dumps({"text": "Our roadmap is online", name: "approved"})]
    first, second = rows("\n".join(lines))
    assert isinstance(second, Plan)
    assert isinstance(first, Plan) == (" ".join(word.lower().split()) in YES)
    if isinstance(first, Bad):
        assert first.refused


NEGATED = [
    "Needs approval", "Approval required", "Pending approval", "Unapproved", "Not approved", "No approval", "Disapproved", "Approval rejected",
    "Approval withdrawn", "Approved (not)", "≠ approved", "Approved ✗", "To be approved", "Freigabe fehlt", "Nicht freigegeben", "Status changed",
    "Previous status", "requiresApproval", "Approvals missing", "Number of approvals", "Approvals", "Approved 2 of 3", "De-approved", "à approuver", "Sin aprobar, aprobación no",
    "未承認", "не согласовано", "Statement", "approved_at",
]  # fmt: skip


@given(
    st.one_of(
        st.sampled_from(NEGATED),
        st.tuples(st.text(string.ascii_letters + "äé", min_size=5, max_size=8), st.sampled_from(["approved", "Status", "Freigabe"])).map(
            " ".join
        ),
        st.tuples(st.sampled_from(["Approval", "State"]), st.text(string.ascii_letters, min_size=5, max_size=8)).map("_".join),
    ),
    st.sampled_from(sorted(YES)),
)
def test_a_yes_below_a_name_that_is_not_wholly_understood_stops_the_file(name: str, word: str) -> None:
    assume(not says_plainly(name))
    body = json.dumps({"text": TEXT, name: word})
    with pytest.raises(PlanError, match="does not plainly say that a yes"):
        imported(body)
    for how in (replace(HOW, columns=(("status", name),)), replace(HOW, ignore=(name,))):
        (row,) = rows(body, how)
        assert isinstance(row, Plan)


def test_no_word_that_turns_a_name_round_puts_it_off_counts_or_dates_it_is_on_the_list() -> None:
    assert [name for name in NEGATED if says_plainly(name)] == []
    for word in [
        "not",
        "no",
        "un",
        "non",
        "nicht",
        "kein",
        "keine",
        "sin",
        "sem",
        "sans",
        "non",
        "niet",
        "ikke",
        "ej",
        "не",
        "для",
        "to",
        "needs",
        "need",
        "pending",
        "waiting",
        "before",
        "without",
        "for",
        "at",
        "on",
        "in",
    ]:
        assert not says_plainly(f"{word} approved")


@pytest.mark.parametrize(
    "name",
    [
        "Status",
        "Approval Status",
        "Freigabe",
        "Zustand",
        "Situação",
        "Trạng thái",
        "承認",
        "Legal: approved?",
        "Approved (Y/N)",
        "Status* (Draft, Approved)",
    ],
)
def test_the_word_and_its_column_are_named_and_an_empty_cell_beside_others_is_none(name: str) -> None:
    yes, no, empty = rows(table(["Text", name], ["One post of ours", " Ja "], ["Another post", "Nope"], ["A third one", ""]))
    assert isinstance(yes, Plan)
    assert isinstance(no, Bad)
    assert f"column “{name}”: found 'Nope'" in no.reason
    assert isinstance(empty, Bad)
    assert "is empty beside rows that say a state" in empty.reason
    (added, *_) = rows(table(["Text", name], ["One post of ours", "Nope"]), replace(HOW, approved=("NOPE",)))
    assert isinstance(added, Plan)


@pytest.mark.parametrize(
    ("column", "cell"),
    [("Account", "@acmo"), ("Scheduled for", "2026-12-02 10:00"), ("Date", "soon"), ("Kind", "fleet"), ("Comments", "b")],
)
def test_a_row_that_says_no_says_so_whatever_else_is_wrong_with_it(column: str, cell: str) -> None:
    no = {"External ID": "7", "Text": TEXT, "Date": "2026-12-01 10:00", "Status": "Rejected"} | {column: cell}
    (row,) = rows(json.dumps([no]))
    assert isinstance(row, Bad)
    assert (row.refused, row.external_id) == (True, "7")
    assert "column “Status”: found 'Rejected', which is not approved" in row.reason


def test_a_comment_that_says_no_is_no_comment_to_post() -> None:
    first, second = rows(table(["Text", "Comments"], [TEXT, "Rejected by legal"], ["Fees fall", "Cancelled flights: see our page"]))
    assert isinstance(first, Bad)
    assert first.refused
    assert isinstance(second, Plan)


@pytest.mark.parametrize("identifier", ["slack:1", "approved:1", "7"])
def test_a_row_that_is_refused_stands_for_no_registration_that_the_monitor_made_itself(identifier: str) -> None:
    (row,) = rows(table(["Text", "external_id", "Status"], [TEXT, identifier, "rejected"]))
    assert isinstance(row, Bad)
    assert (row.external_id, row.refused) == (identifier if identifier == "7" else "", True)


@pytest.mark.parametrize("name", ["Status", "Post status", "Zustand", "Estado", "ステータス", "workflow"])
def test_a_column_of_states_that_is_empty_in_every_row_decides_nothing_and_is_said(name: str) -> None:
    assert imported(table(["Text", name], [TEXT, ""])).notes == (f"empty in every row, so it approves and refuses nothing: “{name}”",)


@pytest.mark.parametrize(
    "name",
    [
        "Approved by",
        "approved_by",
        "Approved",
        "Approval status",
        "approved_at",
        "Needs approval",
        "Freigabe",
        "Validation",
        "承認",
        "Ready?",
        "Sign-off",
    ],
)
def test_a_column_in_which_somebody_approves_and_nobody_has_stops_the_file(name: str) -> None:
    for body in (table(["Text", name], [TEXT, ""], ["Another post", " "]), json.dumps([{"text": TEXT, name: None}, {"text": "Another"}])):
        with pytest.raises(PlanError, match=f"column “{re.escape(name)}” is empty in every row: nobody has approved anything"):
            imported(body)
        assert all(isinstance(row, Plan) for row in rows(body, replace(HOW, ignore=(name,))))
    with pytest.raises(PlanError, match="nobody has approved"):
        imported(table(["Text", "Ready"], [TEXT, ""]), replace(HOW, columns=(("status", "Ready"),)))


@pytest.mark.parametrize("name", ["approved_at", "Approved", "Status since"])
def test_a_column_of_states_that_holds_dates_stops_the_file_and_says_so(name: str) -> None:
    what = f"“{name}” holds dates, not a yes or no: leave it out with --ignore {re.escape(shlex.quote(name))}, or name the column that"
    with pytest.raises(PlanError, match=what):
        imported(table(["Text", name], [TEXT, "2026-11-01 09:00"], ["Another post", "5.11."], ["A third one", ""]))


@pytest.mark.parametrize("name", ["Needs Anna's approval", "Approval of $(reboot)", "Not approved; `id`"])
def test_an_option_that_a_refusal_proposes_can_be_pasted_into_a_shell(name: str) -> None:
    with pytest.raises(PlanError) as refused:
        imported(table(["Text", name], [TEXT, "yes"]))
    proposed = re.findall(r"(?<=--ignore ).*$|(?<=--column )status=.*?(?=; if)", str(refused.value))
    assert [shlex.split(one) for one in proposed] == [[f"status={name}"], [name]]


def test_every_column_of_a_state_has_to_say_yes_and_nested_ones_too() -> None:
    (row,) = rows(table(["Text", "Status", "Workflow"], [TEXT, "Scheduled", "In review"]))
    assert isinstance(row, Bad)
    nested, fine = rows(
        json.dumps([{"text": TEXT, "review": [{"state": "approved"}, {"state": "denied"}]}, {"text": "b c", "review": {"state": 1}}])
    )
    assert isinstance(nested, Bad)
    assert isinstance(fine, Plan)
    by, nobody = rows(table(["Text", "Approved by"], [TEXT, "Carla"], ["Our roadmap", "pending"]))
    assert isinstance(by, Plan)
    assert isinstance(nobody, Bad)


@pytest.mark.parametrize(
    "by",
    [
        "Anna Lee",
        "Anna",
        "anna.lee",
        "alee2",
        "@anna",
        "legal",
        "Client",
        "Zoë O’Brien-Núñez",
        "अनिल शर्मा",
        "J. R. Smith / Legal",
        "Ludwig van der Berg",
        "anna@acme.example & Ben",
        "Anna Lee (legal), 2026-11-20",
        "李娜",
        "Li Na",
        "McDonald & 王",
        "Anna Lee 2026/11/20",
    ],
)
def test_a_column_that_names_who_approved_holds_names(by: str) -> None:
    (row,) = rows(table(["Text", "Approved by"], [TEXT, by]))
    assert isinstance(row, Plan)


@pytest.mark.parametrize(
    "by",
    [
        "nobody yet",
        "-",
        "N/A",
        "?",
        "Not Yet",
        "waiting for Anna",
        "Anna?",
        "Anna (pending)",
        "noch niemand",
        "2026-11-20",
        "once legal has read it",
        "nope",
        "later",
        "never",
        "stop",
        "skip",
        "anna",
        "später",
        "nunca",
        "Vetoed",
        "Disapproved",
        "Later",
        "Not Now",
        "With Legal",
        "Next Week",
        "❌ Anna Lee",
        "Anna Lee ✗",
        "Anna Lee: Veto",
        "Anna = no",
        "Anna!",
        "Anna (if shortened)",
        "Anna Lee (Vetoed)",
        "Anna & later",
        "~Anna~",
        "Anna...",
        "Anna / -",
        "Anna Lee Revoked",
        "Out Of Office",
        "Same As Above",
        "Nothing",
        "XX",
        "Legal Review",
        "Reviewing",
        "For Anna",
        "Chased Anna",
        "Anna To Check",
        "Please Approve",
        "Your Name",
        "NA",
        "Anna (NA)",
        "Legal N/A",
        "Anna/N",
        "Anna (N)",
        "Anna, 0",
        "Anna Lee 0/2",
        "NotYet",
        "In Prüfung",
        "Rückfrage",
        "Por Revisar",
        "未定",
    ],
)
def test_what_is_no_name_approves_nothing(by: str) -> None:
    (row,) = rows(table(["Text", "Approved by"], [TEXT, by]))
    assert isinstance(row, Bad)
    assert row.refused
    assert f"column “Approved by”: found {by!r}" in row.reason


@given(st.text(string.ascii_lowercase, min_size=5, max_size=9), st.sampled_from("❌✗✘✕🚫❓?!:=~*<>|#%^…"))
def test_no_small_word_and_no_sign_that_we_do_not_know_is_a_name(word: str, sign: str) -> None:
    assume(word not in WHO)
    for cell in (word, f"Anna Lee ({word})", f"Anna Lee, {word}"):
        assert not names_somebody(cell), cell
    assert not any(map(names_somebody, (f"{sign} Anna Lee", f"Anna Lee {sign}", f"Anna {sign} Lee", f"Anna{sign}")))


# --- columns ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "cell", "what"),
    [
        ("Slot", "2026-12-25 09:30", "dates"), ("Slot", "09:30", "dates"), ("Slot", "25. Dezember 2026", "dates"), ("Slot", "46381.395833", "dates"),
        ("Legal", "nein", "states"), ("OK", "TRUE", "states"), ("Brand", "@acme", "accounts"), ("Brand", "acme_lisbon", "accounts"),
        ("Where", "Instagram", "accounts"), ("Region", "Europe/Lisbon", "zones"), ("CTA", "https://evil.example/x", "links"),
        ("Card", "card.png", "media"), ("Publish when", "as soon as we can", "may matter"), ("Go-live", "Monday", "dates"),
        ("Plan", "KW 52", "dates"), ("Tag", "5.12.", "dates"), ("Tag", "Fri 5. 12. um 9 Uhr", "dates"), ("Slot", "12/05", "dates"),
        ("Slot", "December 1st", "dates"), ("Slot", "1er déc.", "dates"), ("Slot", "12月5日", "dates"), ("Slot", "1 de diciembre", "dates"), ("Giorno", "secondo", "may matter"), ("Plan", "next Friday morning", "dates"), ("Legal sign-off", "ask Jane", "may matter"), ("", "2026-12-25", "“column B” holds dates"),
    ],
)  # fmt: skip
def test_a_column_that_matters_and_is_not_understood_stops_the_file(name: str, cell: str, what: str) -> None:
    file = table(["Text", name], [TEXT, cell])
    with pytest.raises(PlanError, match=what):
        imported(file)
    taken = imported(file, replace(HOW, ignore=(name or "column B",)))
    assert isinstance(taken.rows[0][1], Plan)
    assert "left out" in taken.notes[-1]
    if name:
        with pytest.raises(PlanError, match=what):
            imported(json.dumps([{"text": TEXT, "more": {name: cell}}]))


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("Day", ["Tuesday", "Fri"]), ("Wochentag", ["Dienstag", "Fr"]), ("Jour", ["mardi", ""]), ("Jour", ["mar.", "ven."]), ("Día", ["mar", "vie"]), ("KW", ["49/2026", "52/2026"]), ("Week", ["49", "52"]), ("KW", ["KW 49", "52"]), ("Month", ["December", "Dec 2026"]),
        ("Quarter", ["Q4", "4"]), ("Day", ["1", "25"]), ("Monat", ["12", "Dezember"]), ("Tag", ["product", "5"]),
    ],
)  # fmt: skip
def test_a_column_that_repeats_the_date_beside_it_stops_nothing(name: str, cells: list[str]) -> None:
    file = imported(table(["Date", name, "Text"], ["2026-12-01 09:30", cells[0], TEXT], ["2026-12-25 09:30", cells[1], "Another post"]))
    assert all(isinstance(row, Plan) for _, row in file.rows)
    assert f"“{name}”" in file.notes[0]


@pytest.mark.parametrize(
    ("name", "cell", "why"),
    [
        ("Day", "Friday", "says 'Friday' beside Tuesday, 2026-12-01"), ("Month", "January", "says 'January' beside"), ("Week", "50", "may matter"), ("Quarter", "Q1", "dates"),
        ("Day", "KW 50", "dates"), ("Go-live", "Tuesday", "dates"), ("Legal", "Tuesday", "dates"), ("Day", "5.12.", "dates"), ("Month", "Dec 2027", "dates"),
    ],
)  # fmt: skip
def test_a_column_beside_the_date_that_says_otherwise_or_more_stops_the_file(name: str, cell: str, why: str) -> None:
    with pytest.raises(PlanError, match=why):
        imported(table(["Date", name, "Text"], ["2026-12-01 09:30", cell, TEXT]))


@pytest.mark.parametrize(
    "name", ["Validé par", "Freigegeben von", "Genehmigt durch", "Aprobado por", "Aprovado por", "Approvato da", "Goedgekeurd door"]
)
def test_who_approved_is_asked_for_in_every_language(name: str) -> None:
    file = table(["Text", name], [TEXT, "Claire Petit"], ["Our roadmap is online", "oui"], ["Thank you all", ""])
    named, yes, nobody = rows(file)
    assert isinstance(named, Plan)
    assert named.by == "Claire Petit"
    assert isinstance(yes, Bad)
    assert isinstance(nobody, Bad)


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("Draft", ["1", ""]), ("Done", ["x", ""]), ("Fertig?", ["1"]), ("Cancelled", ["", "x", "", ""]), ("annulé ?", ["1"]), ("Ready", ["not yet", "yes"]), ("Go/No-go", ["no-go", "go"]),
        ("OK to post", ["wait for Anna"]), ("Signed off", ["Anna", "Ben"]), ("Spell check", ["1"]), ("On hold since", ["Tuesday's call"]),
        ("On X", ["-", "posted"]), ("LinkedIn", ["1", ""]), ("X/Twitter", ["1"]), ("Entwurf", ["1"]), ("下書き", ["1"]), ("Verdict", ["thumbs down"]), ("rejection_reason", ["", "wrong fee"]), ("Ampel", ["rot"]),
    ],
)  # fmt: skip
def test_a_column_named_after_a_state_a_sign_off_or_a_network_stops_the_file_whatever_it_holds(name: str, cells: list[str]) -> None:
    body = table(["Text", name], *([f"{TEXT} {place}", cell] for place, cell in enumerate(cells)))
    with pytest.raises(PlanError, match=r"--column WHAT=.* or leave it out with --ignore"):
        imported(body)
    assert all(isinstance(row, Plan) for row in rows(body, replace(HOW, ignore=(name,))))
    with pytest.raises(PlanError, match="not understood"):
        imported(json.dumps([{"text": TEXT, name: 1}, {"text": "Another post", name: None}]))


NO = ["Rejected", "draft", "DRAFT (v2)", "Cancelled!", "on hold", "Not yet", "no-go", "Don't post", "abgelehnt", "却下", "✗", "🔴", "nope",
      "DO NOT POST until legal confirms", "hold - legal", "Not approved by Anna", "Please don’t publish this yet, prices change", "wait for Anna"]  # fmt: skip


@given(st.sampled_from(NO), st.integers(0, 8), st.sampled_from(["Type", "Note", "Campaign", "Kategorie", "meta"]))
def test_one_cell_that_says_no_stops_the_file_however_many_others_there_are(no: str, place: int, name: str) -> None:
    cells = [f"some words {number}" for number in range(9)]
    cells[place] = no
    with pytest.raises(PlanError, match=f"“{name}” holds states"):
        imported(table(["Text", name], *([f"{TEXT} {number}", cell] for number, cell in enumerate(cells))))


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("No.", ["1", "2"]), ("#", ["1", "2"]), ("Type", ["image", "live", "video"]), ("Idea", ["Explain the fees"]), ("Notes", ["", "Check this with Anna"]),
        ("Content pillar", ["Education"]), ("Character count", ["120", "99"]), ("UTM medium", ["social"]), ("Subject line", ["Fees fall"]), ("Google Drive", ["folder 7"]),
        ("Holiday", ["Christmas", ""]), ("National holidays", ["", "Epiphany"]), ("Account manager", ["Anna"]), ("Photo credit", ["Tom"]), ("Media type", ["GIF"]), ("Post type", ["video", "image"]), ("Priority", ["high", "low"]), ("Market", ["DE", "NO", "FR"]), ("Remarks", ["ok", "", "see mail", "a b", "by phone"]), ("Part", ["1/3", "2/3"]), ("Format", ["16:9", "1:1"]), ("Año", ["2026"]), ("Owner", ["Anna", "Ben"]),
        ("Notes", ["Hold music is new", "Wait times fall", "Use red", "Cancelled flights are refunded"]),
    ],
)  # fmt: skip
def test_what_calendars_hold_beside_it_is_named_and_stops_nothing(name: str, cells: list[str]) -> None:
    found = imported(table(["Date", "Text", name], *(["2026-12-25", f"{TEXT} {place}", cell] for place, cell in enumerate(cells))))
    assert all(isinstance(row, Plan) for _, row in found.rows)
    assert found.notes == (f"not read: “{name}”",)


def test_columns_that_do_not_matter_are_named_and_any_can_be_mapped() -> None:
    found = imported(table(["Text", "Date", "Campaign", "Video title"], [TEXT, "2026-12-25 09:30", "Winter", "A film"]))
    assert found.notes == ("not read: “Campaign”, “Video title”",)
    how = replace(HOW, columns=(("text", "Wording"), ("date", "Slot")))
    ((number, plan),) = imported(table(["Wording", "Slot"], [TEXT, "2026-12-25 09:30"]), how).rows
    assert isinstance(plan, Plan)
    assert (number, plan.text, plan.not_before.hour, plan.dated) == (2, TEXT, 8, True)
    with pytest.raises(PlanError, match="there is no column “Wroding”"):
        imported(table(["Text"], [TEXT]), replace(HOW, ignore=("Wroding",)))


@pytest.mark.parametrize("cell", ["5.12.", "12/05", "December 1st", "1er déc", "Fri 5.12. 9:30"])
@pytest.mark.parametrize("name", ["Termin", "Wann", "Tag", "Giorno", "Quand", "Posting", "Cuándo"])
def test_a_date_without_its_year_never_opens_a_row_for_seven_days(name: str, cell: str) -> None:
    try:
        found = rows(table(["Text", name], [TEXT, cell], ["Another post", cell]))
    except PlanError:
        return
    assert all(isinstance(row, Bad) for row in found)


@pytest.mark.parametrize(
    "cell",
    ["in the week of 5.12", "Anna: 3/4 or 4/4", "not before 9:30", "no sooner than Monday", "after 4 Dec", "morgen früh", "12月5日に"],
)
def test_a_row_has_seven_days_only_where_no_unread_column_could_say_when(cell: str) -> None:
    undated = table(["Text", "Remarks"], *([f"{TEXT} {place}", words] for place, words in enumerate(["", "a b", "c d", cell])))
    with pytest.raises(PlanError, match=r"“Remarks” \(like .*\) (may say when, and no other column does|holds dates)"):
        imported(undated)
    assert isinstance(rows(undated, replace(HOW, ignore=("Remarks",)))[0], Plan)
    assert isinstance(rows(table(["Text", "Remarks", "Date"], [TEXT, "", "2026-12-25"], [TEXT + "!", cell + " x", "2026-12-26"]))[1], Plan)


@pytest.mark.parametrize("cell", ["v1.2", "16:9", "0.2 %", "1.5 %", "$1.5m", "Maybe", "Q&A", "3 tips", "1080x1350"])
def test_a_number_is_no_date(cell: str) -> None:
    assert isinstance(rows(table(["Text", "Remarks"], [TEXT, ""], ["Another post", cell]))[0], Plan)


def test_a_row_without_a_time_is_any_time_in_seven_days_only_where_no_row_has_a_date() -> None:
    (plan,) = rows(table(["Text", "Date"], [TEXT, ""]))
    assert isinstance(plan, Plan)
    assert (plan.not_after - plan.not_before).days == 7
    _, bad = rows(table(["Text", "Date"], [TEXT, "2026-12-25 09:30"], ["Another post", ""]))
    assert isinstance(bad, Bad)
    (clock,) = rows(table(["Text", "Date", "Time"], [TEXT, "", "09:30"]))
    assert isinstance(clock, Bad)


def test_two_columns_for_one_thing_contradict_each_other_or_add_up() -> None:
    (text,) = rows(table(["Text", "Post copy"], [TEXT, "Something else"]))
    assert isinstance(text, Bad)
    assert "“Text”, “Post copy” both hold the text and differ" in text.reason
    (when,) = rows(table(["Text", "Date", "Publish date"], [TEXT, "2026-12-25", "2026-12-26"]))
    assert isinstance(when, Bad)
    assert "both hold the date and differ" in when.reason
    (links,) = rows(table(["Text", "Link", "Link"], [TEXT, "https://acme.example/a", "https://acme.example/b"]))
    assert isinstance(links, Plan)
    assert links.links == ("https://acme.example/a", "https://acme.example/b")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("text", ["a b", "c d"], "found a list of 2"), ("text", True, "found true"), ("external_id", False, "found false"), ("date", ["2026-12-25"], "found a list"),
        ("external_id", "1.993E+18", "shortened by a spreadsheet"), ("link", "TBD", "found 'TBD', expected web addresses"),
        ("link", "[fees](https://acme.example/fees)", "expected web addresses"), ("link", "see below", "found 'see'"),
    ],
)  # fmt: skip
def test_a_cell_that_is_not_what_its_column_holds_is_a_bad_row_naming_the_column(name: str, value: object, said: str) -> None:
    (row,) = rows(json.dumps({"text": TEXT, name: value}))
    assert isinstance(row, Bad), row
    assert f"column “{name}”" in row.reason
    assert said in row.reason


def test_an_address_may_hold_a_comma() -> None:
    (row,) = rows(table(["Text", "Link"], [TEXT, "https://acme.example/a,b, acme.example/c"]))
    assert isinstance(row, Plan)
    assert row.links == ("https://acme.example/a,b", "acme.example/c")


# --- files ------------------------------------------------------------------------------------------------------------------

PLAIN = f"date;text\n2026-12-25 09:30;{TEXT}\n"


@pytest.mark.parametrize(
    ("body", "row"),
    [
        (PLAIN, 2), ("sep=;\r\n" + PLAIN, 2), ("\n\n" + PLAIN, 4), (";;\nContent calendar;;\n" + PLAIN, 4), (PLAIN.replace("\n", "\r"), 2),
        ("\ufeff" + PLAIN, 2), (PLAIN.encode("utf-16"), 2), (PLAIN.encode("utf-16-be"), 2), (PLAIN.replace(";", "\t").encode("utf-16-le"), 2),
        (f'date; text\n2026-12-25 09:30; "{TEXT}"\n', 2),
        (PLAIN.replace(";", "|"), 2), (json.dumps([{"date": "2026-12-25 09:30", "text": TEXT}], indent=1), 1),
        (json.dumps({"date": "2026-12-25 09:30", "text": TEXT}, indent=1), 1), ('\r\n{"date":"2026-12-25 09:30","text":"' + TEXT + '"}\r\n', 2),
    ],
)  # fmt: skip
def test_a_file_as_people_save_it_is_read_with_the_row_that_a_spreadsheet_shows(body: bytes | str, row: int) -> None:
    ((number, plan),) = imported(body).rows
    assert isinstance(plan, Plan), plan
    assert (number, plan.text) == (row, TEXT)


def test_what_stands_inside_a_line_stays_inside_it() -> None:
    odd = "One\u2028two\u2029three\x85four"
    (plan,) = rows(json.dumps({"text": odd}, ensure_ascii=False))
    assert isinstance(plan, Plan)
    assert plan.text == odd
    (plan,) = rows(f"text,date\n{odd},2026-12-25 09:30\n")
    assert isinstance(plan, Plan)
    assert plan.text == odd


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('date,text\n2026-12-25 09:30,"Open\n2026-12-25 10:30,Two\n', "row 2: a quote .* is opened and never closed"),
        ('date,text\n2026-12-25 09:30,One\n2026-12-25 10:30,"Say \\"hi\\", all"\n', "row 3: text stands behind a closing quote"),
        ('date,text\n2026-12-25 09:30,"Open\n2026-12-25 10:30,Two"\n', "row 2: a quoted cell goes on over a line that looks like a row"),
        ('text,date\n"Open,2026-12-25 09:30\nTwo",2026-12-25 10:30\n', "row 2: a quoted cell goes on over a line that looks like a row"),
        ('status,text\nyes,"Open\nrejected,Two"\n', "row 2: a quoted cell goes on over a line that looks like a row"),
        ("text\nOffen über die Tage\nGeöffnet č\n".encode("cp1250"), "not UTF-8 in row 3"), ("text\nПоддержка\n".encode("cp1251"), "not UTF-8 in row 2"),
        ("text\nサポート\n".encode("cp932"), "not UTF-8 in row 2"), ("text\ntäglich für Gäste\n".encode("cp850"), "not UTF-8 in row 2"),
        (b"PK\x03\x04...", "Excel"), (b"text\na\x00b\n", "row 2 holds a zero byte"), ("[{]", "JSON array"), ('{"data": [{"text": "a"}]}', "list in “data”"),
        ("text\n" + "a\n" * 20_100, "more than 20,000 rows"), ("2026-12-24,note\ndate,text\n2026-12-25,a\n", "above the header"),
    ],
)  # fmt: skip
def test_what_could_be_read_wrongly_is_refused_with_its_row(body: bytes | str, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        imported(body)


@pytest.mark.parametrize(
    "line", ['{"text": "a", "text": "b"}', '{"text": "a\\ud83d"}', '{"text": NaN}', "[1]", '{"a":' * 9 + "1" + "}" * 9]
)
def test_an_odd_line_of_json_is_a_bad_row_and_stops_no_other(line: str) -> None:
    fine, bad = imported(json.dumps({"text": TEXT}) + "\n" + line).rows
    assert (fine[0], bad[0]) == (1, 2)
    assert isinstance(bad[1], Bad)
    assert isinstance(fine[1], Plan)


@given(st.one_of(st.binary(max_size=80), st.text('",;\n\r\ttexda\\{}[]:19=\u2028', max_size=60).map(str.encode)))
def test_whatever_the_bytes_are_a_file_is_read_or_refused(body: bytes) -> None:
    for start in (b"", b"text,date\n"):
        try:
            found = imported(start + body)
        except PlanError:
            continue
        assert all(number >= 1 for number, _ in found.rows)


def test_a_guard_is_dropped_and_a_first_comment_is_a_part_below_the_post() -> None:
    (plan,) = rows(table(["Text", "Comment(s)"], ["'@partner thanks", "Read on: https://acme.example/a"]))
    assert isinstance(plan, Plan)
    assert (plan.text, plan.more) == ("@partner thanks", ("Read on: https://acme.example/a",))


@pytest.mark.parametrize("comments", [[{"text": "One"}, {"text": "Two"}], ["One", "Two"], [{"content": "One"}, {"content": "Two"}]])
def test_first_comments_in_json_are_parts_however_they_are_nested(comments: list[object]) -> None:
    (plan,) = rows(json.dumps({"text": TEXT, "comments": comments}))
    assert isinstance(plan, Plan)
    assert plan.more == ("One", "Two")


@pytest.mark.parametrize(
    ("body", "note"),
    [
        (PLAIN.replace("Support", "Müller’s").encode("cp1252"), "read as Windows text: check accents and dashes below, or save it as"),
        (PLAIN.encode("utf-16-le"), "read as UTF-16-LE text: check the letters below"),
        ("Plan\n\n" + PLAIN, "row 1 stands above the names of the columns (row 3), and nothing of that is registered"),
        ("Plan\nDecember\n" + PLAIN, "rows 1, 2 stand above the names of the columns (row 3)"),
    ],
)
def test_what_was_done_with_an_odd_file_is_said_plainly(body: bytes | str, note: str) -> None:
    found = imported(body)
    assert isinstance(found.rows[0][1], Plan)
    assert found.notes[0].startswith(note)


@pytest.mark.parametrize(("cell", "word"), [("12:00 noon", "noon"), ("noon", "noon"), ("9:30 früh", "fruh"), ("9:30 ish", "ish")])
def test_a_word_behind_a_time_is_named_and_no_zone(cell: str, word: str) -> None:
    (bad,) = rows(table(["Text", "Date"], [TEXT, f"2026-12-25 {cell}"]))
    assert isinstance(bad, Bad)
    assert f"“{word}” was not understood; write the time as 12:00" in bad.reason


def test_bars_between_blanks_part_a_thread_only_when_that_is_said() -> None:
    file = table(["Text"], ["LIVE || Acme winter cup"])
    (asked,) = rows(file)
    assert isinstance(asked, Bad)
    assert "--thread or --no-thread" in asked.reason
    (thread,), (text,) = (rows(file, replace(HOW, thread=yes)) for yes in (True, False))
    assert isinstance(thread, Plan)
    assert isinstance(text, Plan)
    assert (thread.more, text.text) == (("Acme winter cup",), "LIVE || Acme winter cup")


@pytest.mark.parametrize("nothing", ["-", "—", "n/a", "None", "NO", "keine", "aucun"])
@pytest.mark.parametrize("name", ["Link", "Image", "Video", "Alt text", "First comment"])
def test_a_word_for_nothing_beside_the_text_is_nothing_and_for_a_state_it_is_a_no(name: str, nothing: str) -> None:
    (plan,) = rows(table(["Text", name], [TEXT, nothing]))
    assert isinstance(plan, Plan)
    assert (plan.links, plan.media, plan.files, plan.alt, plan.more) == ((), 0, (), (), ())
    (bad,) = rows(table(["Text", name, "Status"], [TEXT, nothing, nothing]))
    assert isinstance(bad, Bad)


@pytest.mark.parametrize(("name", "cell"), [("Link", "later"), ("quotes", "later"), ("answers", "later"), ("Approved by", "later")])
def test_what_is_expected_is_shown_as_it_has_to_be_written(name: str, cell: str) -> None:
    (bad,) = rows(table(["Text", name], [TEXT, cell]))
    assert isinstance(bad, Bad)
    shown = safe.for_terminal(bad.reason)
    assert "[.]" not in shown
    assert "hxxp" not in shown


# --- accounts ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "keys"),
    [
        ("twitter,facebook,linkedin", ["x::1"]), ("X (Twitter)", ["x::1"]), ("Twitter and LinkedIn", ["x::1"]), ("acme, acme_lisbon", ["x::1", "x::aB3"]), ("@ACME @acme_lisbon", ["x::1", "x::aB3"]),
        ("Twitter: acme_lisbon", ["x::aB3"]), ("https://x.com/acme_lisbon", ["x::aB3"]), ("acme_lisbon (X)", ["x::aB3"]), ("X (@acme_lisbon)", ["x::aB3"]), ("Facebook (acme)", []), ("aB3", ["x::aB3"]),
        ("facebook;linkedin", []), ("Facebook: acme", []), ("", ["x::1"]),
        ("X / LinkedIn", ["x::1"]), ("LinkedIn/X", ["x::1"]), ("IG/FB/X", ["x::1"]), ("IG/FB + Twitter", ["x::1"]), ("LinkedIn · X", ["x::1"]), ("Instagram/TikTok", []),
        ("linkedin:acme,twitter:acme_lisbon", ["x::aB3"]), ("FB/X,LinkedIn", ["x::1"]), ("LinkedIn / acme", []), ("Twitter / X", ["x::1"]),
    ],
)  # fmt: skip
def test_a_list_of_accounts_and_networks_is_one_plan_for_each_that_is_watched(cell: str, keys: list[str]) -> None:
    found = rows(table(["Text", "Accounts"], [TEXT, cell]))
    assert [row.account for row in found if isinstance(row, Plan)] == keys
    assert len({row.external_id for row in found if isinstance(row, Plan)}) == len(keys)
    assert keys or isinstance(found[0], Elsewhere)
    named = rows(table(["Text", "Accounts", "external_id"], [TEXT, cell, "7"]))
    assert {row.external_id for row in named if not isinstance(row, Elsewhere) or not row.reason.startswith("also")} == {"7"}


@given(
    st.sampled_from(["LinkedIn", "Instagram", "Facebook page", "fb"]),
    st.sampled_from([" - {}", " ({} later)", ": {}", "-{}", " ({})", ", {} post", " then {}"]),
    st.sampled_from(["X", "twitter", "Twitter/X"]),
)
def test_a_row_is_not_skipped_for_others_while_its_cell_names_a_network_that_is_watched(other: str, form: str, ours: str) -> None:
    for row in rows(table(["Text", "Channel"], [TEXT, other + form.format(ours)])):
        assert isinstance(row, Bad), row
        assert "beside what is not understood" in row.reason


def test_a_list_of_accounts_may_be_one_of_json_too() -> None:
    found = rows(json.dumps({"text": TEXT, "accounts": ["acme", "@acme_lisbon"]}))
    assert [row.account for row in found if isinstance(row, Plan)] == ["x::1", "x::aB3"]


def test_a_network_narrows_a_profile_down_and_never_overrides_the_account_that_was_given() -> None:
    columns = ["Text", "Network", "Profile"]
    instagram, x, both = rows(
        table(columns, [TEXT, "Instagram", "acme"], ["Two of ours", "X", "acme_lisbon"], ["Three", "X", "acme, nobody_we_know"])
    )[:3]
    assert isinstance(instagram, Elsewhere)
    assert isinstance(x, Plan)
    assert isinstance(both, Plan)
    assert (x.account, both.account) == ("x::aB3", "x::1")
    (lower,) = rows(table(["Text", "Account"], [TEXT, "ab3"]))
    assert isinstance(lower, Bad), "an id of another case is another id"
    (open_,) = rows(table(["Text", "Platform"], [TEXT, "twitter"]), replace(HOW, account=""))
    assert isinstance(open_, Bad)
    assert "which account is meant is not said" in open_.reason


# --- times ------------------------------------------------------------------------------------------------------------------

MORNING = datetime(2026, 12, 25, 8, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "cell",
    [
        "2026-12-25 9:30", "2026-12-25T09:30:00", "2026-12-25T09:30:00.000+01:00", "2026-12-25T08:30Z", "2026-12-25 03:30:00-0500", "20261225T083000Z",
        "2026-12-25 09:30 AM", "2026/12/25 09:30", "12/25/2026 9:30:00 AM", "12/25/2026, 9:30\u202fAM", "12/25/26 9:30", "25.12.2026 9:30 Uhr", "25-Dec-2026 09:30",
        "Dec 25, 2026 9:30 AM", "Fri, 25 December 2026 at 9:30", "25 décembre 2026 09h30", "Fr 25.12.2026 - 9:30 Uhr", "Fr., 25.12.2026, 9 Uhr 30", "ven. 25/12/2026 à 9 h 30", "25 dicembre 2026, ore 9:30", "25. desember 2026 kl. 9.30", "25 de diciembre de 2026, 9:30 a. m.", "2026年12月25日 9:30",
        "46381.3958333", "46381,395833", "2026-12-25 - 09:30", "2026-12-25 03:30:00-05", "25 Aralık 2026 09:30", "2026\u201112\u201125 09:30", "2026-12-25 08:30 UTC", "2026-12-25 03:30 America/New_York", "2026-12-25 10:30 UTC+2", "2026-12-25T03:30-05:00",
    ],
)  # fmt: skip
def test_an_unambiguous_time_is_read_however_it_is_written(cell: str) -> None:
    (plan,) = rows(table(["Text", "Date"], [TEXT, cell]))
    assert isinstance(plan, Plan), plan
    assert (plan.not_before, plan.not_after) == (MORNING - HOW.early, MORNING + HOW.late)


@pytest.mark.parametrize(
    "cell",
    [
        "2026-12-25 09:30 EST", "2026-12-25 09:30 CET", "2026-12-25 9", "2026-12-25 25:00", "2026-12-25 13:30 AM", "tomorrow", "Dec 25 9:30", "9:30",
        "Thu, Dec 25, 2026 9:30", "Do 25.12.2026 9:30", "Fr 26.12.2026 9:30", "2026-12-25 09:30-10:30", "31 June 2026 9:30", "2027-03-28 02:30", "1766655000",
        "2026-12-25 09:30-11", "2026-12-25 9:30-1", "2026-12-25 10-11", "2026-12-25 1000-1100", "2026-12-25 1000-11", "2026-12-25 09:30-1130", "2026-12-25 9am-11", "2026-12-25 9.30-11.30",
        "2026-12-25 03:30-05:00", "2026-12-25t03:30-05:00", "2026-12-25T3:30-05:00",
        "2026-12-25-05:00", "2026-12-25 -05:00", "2026-12-25-0500", "2026-12-25t-05:00", "25.12.2026-05:00",
        "9999-12-31 23:30", "0026-12-25 09:30", "2026-12-25, 2026-12-26",
    ],
)  # fmt: skip
def test_what_is_no_time_or_could_be_two_is_refused_naming_the_column(cell: str) -> None:
    (bad,) = rows(table(["Text", "Go live on", "Kind"], [TEXT, cell, "post"]), replace(HOW, columns=(("when", "Go live on"),)))
    assert isinstance(bad, Bad)
    assert "column “Go live on”" in bad.reason


@given(st.integers(46_100, 46_900), st.integers(0, 24 * 60 - 1), st.sampled_from(["", " Europe/Berlin", " UTC"]))
def test_a_serial_is_the_same_time_with_a_point_and_with_a_comma(day: int, minute: int, zone: str) -> None:
    serial = f"{day + minute / 1440:.6f}{zone}"
    assert span(serial.replace(".", ","), HOW) == span(serial, HOW)


@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 14), st.sampled_from(["-", " - ", "–", "- "]))
def test_a_time_until_another_one_is_never_an_offset(hour: int, minute: int, until: int, dash: str) -> None:
    for clock in (f"{hour}:{minute:02}{dash}{until}", f"{hour}{dash}{until}", f"{hour:02}{minute:02}{dash}{until:02}00"):
        (bad,) = rows(table(["Text", "Date", "Time"], [TEXT, "2026-12-25", clock]))
        assert isinstance(bad, Bad), clock


def test_a_time_decides_nothing_about_the_order_of_day_and_month() -> None:
    with pytest.raises(PlanError, match="--dates"):
        imported(table(["Text", "Date"], [TEXT, "1 Dec 2026 10.30.15"], ["Another post", "03/04/2027"]))


@pytest.mark.parametrize("dates", [["03/04/2027"], ["25/12/26"], ["25/12/2026", "12/25/2026"]])
def test_an_order_of_day_and_month_is_never_guessed(dates: list[str]) -> None:
    with pytest.raises(PlanError, match="--dates"):
        imported(table(["Text", "Date"], *([TEXT, one] for one in dates)))
    (told,) = rows(table(["Text", "Date (dd/mm/yyyy)"], [TEXT, "03/04/2027 10:00"]))
    assert isinstance(told, Plan)
    assert told.not_before.month == 4


@pytest.mark.parametrize(
    ("columns", "cells"), [(["Text", "Date", "Timezone"], ["America/New_York"]), (["Text", "Date (America/New_York)"], [])]
)
def test_the_zone_of_a_row_comes_before_the_one_that_was_given(columns: list[str], cells: list[str]) -> None:
    (plan,) = rows(table(columns, [TEXT, "2026-12-25 03:30", *cells]))
    assert isinstance(plan, Plan)
    assert plan.not_before == MORNING - HOW.early


@pytest.mark.parametrize("name", ["Date (EST)", "Time [ET]", "Scheduled at (London)", "Date (GMT plus one)", "Date (PST/PDT)"])
def test_a_zone_in_the_name_of_a_column_is_a_place_or_stops_the_file(name: str) -> None:
    with pytest.raises(PlanError, match="rename it with a place"):
        imported(table(["Text", name], [TEXT, "2026-12-25 09:30"]))


def test_a_number_in_the_column_for_the_time_is_not_taken_for_a_part_of_the_date() -> None:
    for clock in ("12", "20", "0", "9:30"):
        (bad,) = rows(table(["Text", "Date", "Time"], [TEXT, "2026-12-25 19:30" if ":" in clock else "2026-12-25", clock]))
        assert isinstance(bad, Bad), clock
    (same,) = rows(table(["Text", "Date", "Time"], [TEXT, "2026-12-25T09:30:00", "09:30"]))
    assert isinstance(same, Plan)


def test_a_bare_date_is_its_whole_day_and_an_hour_that_happens_twice_is_both() -> None:
    (plan,) = rows(table(["Text", "Date"], [TEXT, "2026-12-25"]))
    assert isinstance(plan, Plan)
    assert shown_window(plan.not_before, plan.not_after, BERLIN) == "2026-12-25 00:00 to 2026-12-26 00:00 Europe/Berlin"
    (plan,) = rows(table(["Text", "Date"], [TEXT, "2027-10-31"]))
    assert isinstance(plan, Plan)
    assert shown_window(plan.not_before, plan.not_after, BERLIN) == "2027-10-31 00:00+02:00 to 2027-11-01 00:00+01:00 Europe/Berlin"
    how = replace(HOW, zone=zone_named("Australia/Sydney"))
    first, last = span("2027-04-04 02:30", how)
    assert (last - first).total_seconds() == 3600
    (twice,) = rows(table(["Text", "Date"], [TEXT, "2027-04-04 02:30"]), how)
    assert isinstance(twice, Plan)
    assert (twice.not_before, twice.not_after) == (first - how.early, last + how.late)


@given(
    st.datetimes(NOW.replace(tzinfo=None), NOW.replace(year=2027, tzinfo=None)),
    st.sampled_from(["%Y-%m-%d %H:%M", "%d %B %Y %I:%M %p", "%Y/%m/%dT%H:%M", "%b %d, %Y %H:%M"]),
)
def test_a_time_that_is_read_is_the_time_that_was_written(when: datetime, form: str) -> None:
    when = when.replace(second=0, microsecond=0, tzinfo=UTC)
    assert span(when.strftime(form), replace(HOW, zone=UTC)) == (when, when)
