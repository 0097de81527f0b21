"""A schedule names only people on shift, whatever else is in it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.foreign import ics, shifts
from monitor.foreign.bounds import ForeignError
from monitor.foreign.summary import named

NOW = datetime(2026, 11, 26, 3, 0, tzinfo=UTC)


def at(hours: float) -> str:
    """A time so many hours from now, in UTC."""
    return f"{NOW + timedelta(hours=hours):%Y%m%dT%H%M%SZ}"


def event(*lines: str, times: tuple[str, ...] = (f"DTSTART:{at(-2)}", f"DTEND:{at(10)}")) -> str:
    """An event that lasts over now."""
    return "\r\n".join(["BEGIN:VEVENT", *times, *lines, "END:VEVENT", ""])


def calendar(*events: str, head: str = "") -> str:
    """A calendar of these events."""
    return f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{head}{''.join(events)}END:VCALENDAR\r\n"


ANN, BEN = "SUMMARY:Social on-call: ann@acme.example", "SUMMARY:Swap: ben@acme.example covers"
WEEKLY = (f"DTSTART:{at(-2 - 14 * 24)}", f"DTEND:{at(10 - 14 * 24)}", "RRULE:FREQ=WEEKLY")
THIS_WEEK = (f"RECURRENCE-ID:{at(-2)}", f"DTSTART:{at(-2)}", f"DTEND:{at(10)}")


@pytest.mark.parametrize(
    ("events", "names"),
    [
        ([event("UID:1", ANN, times=WEEKLY)], ["ann"]),
        ([event("UID:1", ANN, times=WEEKLY), event("UID:1", ANN, "STATUS:CANCELLED", times=THIS_WEEK), event("UID:2", BEN)], ["ben"]),
        ([event("UID:1", ANN, "STATUS:CANCELLED", times=WEEKLY), event("UID:1", ANN, times=THIS_WEEK)], []),
        ([event("UID:1", ANN, "STATUS:CANCELLED", times=WEEKLY), event("UID:1", BEN, "STATUS:CONFIRMED", times=THIS_WEEK)], []),
        ([event("UID:1", "SUMMARY:Canceled: Social", times=WEEKLY), event("UID:1", BEN, times=THIS_WEEK)], []),
        ([event("UID:1", ANN, times=WEEKLY), event("UID: 1 ", BEN, times=THIS_WEEK)], ["ben"]),
        ([event("UID:1", ANN, times=WEEKLY), event("UID:1", BEN, times=(f"RECURRENCE-ID;RANGE=THISANDFUTURE:{at(-2 - 7 * 24)}", f"DTSTART:{at(-3 - 7 * 24)}", "DURATION:PT4H"))], ["ben"]),
        ([event("UID:1", ANN, times=WEEKLY), event("UID:1", BEN, times=(f"RECURRENCE-ID;RANGE=THISANDFUTURE:{at(-2 - 7 * 24)}", "DTSTART:then"))], []),
        ([event("UID:1", ANN, times=WEEKLY), event("UID:1", BEN, times=THIS_WEEK)], ["ben"]),
        ([event("UID:1", ANN, times=WEEKLY), event("UID:1", "STATUS:CANCELLED", times=(f"RECURRENCE-ID;RANGE=THISANDFUTURE:{at(-2 - 7 * 24)}", *THIS_WEEK[1:]))], []),
        ([event("UID:1", ANN, f"EXDATE:{at(-2)}", times=WEEKLY)], []),
        ([event("UID:1", ANN, "EXRULE:FREQ=WEEKLY;INTERVAL=2", times=WEEKLY)], []),
        ([event("UID:1", ANN, "EXRULE:FREQ=DAILY;UNTIL=20261125", times=WEEKLY)], ["ann"]),
        ([event("UID:1", ANN, f"EXDATE:soon,,{at(-9 - 7 * 24)}", times=WEEKLY)], ["ann"]),
        ([event("UID:1", ANN, f"EXDATE:soon,{at(-2)}", times=WEEKLY)], []),
        ([event("UID:1", ANN, f"EXDATE:{at(-14)}", times=(f"DTSTART:{at(-14 - 24)}", "DURATION:PT12H", "RRULE:FREQ=HOURLY;INTERVAL=12"))], ["ann"]),
        ([event("UID:1", ANN, times=WEEKLY), event("UID:1", BEN, "RECURRENCE-ID:soon", times=THIS_WEEK[1:])], ["ben"]),
        ([event("UID:1", ANN, times=WEEKLY), event("UID:1", BEN, "RECURRENCE-ID:soon", times=())], ["ann"]),
        ([event("UID:1", ANN, f"RDATE;VALUE=PERIOD:{at(-20)}/{at(1)},{at(-19)}/PT1H,soon,{at(5)}/then", times=(f"DTSTART:{at(-50)}", "DURATION:PT1H"))], ["ann"]),
        ([event("UID:1", ANN, f"RDATE;VALUE=PERIOD:{at(-3)}/PT2H", times=(f"DTSTART:{at(-50)}", "DURATION:PT9H"))], []),
        ([event("UID:1", ANN, "SEQUENCE:0"), event("UID:1", ANN, "SEQUENCE:2", "STATUS:CANCELLED")], []),
        ([event(ANN, "STATUS:cancelled"), event(BEN, "STATUS:CONFIRMED")], ["ben"]),
        ([event(ANN, "STATUS:TENTATIVE")], ["ann"]),
        ([event(ANN, "STATUS:CANCELED"), event(BEN, "STATUS: deleted ")], []),
        ([event("ATTENDEE:mailto:ann@acme.example", "SUMMARY:Canceled: Social on-call"), event("ATTENDEE:mailto:ben@acme.example", "SUMMARY:Social")], ["ben"]),
        ([event("ATTENDEE:mailto:ann@acme.example", "SUMMARY:Social on-call (cancelled)", "STATUS:CONFIRMED"), event(BEN)], ["ben"]),
        ([event("ATTENDEE;PARTSTAT=DECLINED:mailto:ann@acme.example", 'ATTENDEE;CN="Ben: "x"":MAILTO:Ben@acme.example', ANN)], ["ben"]),
        ([event("ATTENDEE;PARTSTAT=DECLINED:mailto:ann@acme.example", ANN)], []),
        ([event('ATTENDEE;PARTSTAT=DELEGATED;DELEGATED-TO="mailto:ben@acme.example":mailto:ann@acme.example', BEN)], ["ben"]),
        ([event("ATTENDEE;CUTYPE=ROOM:mailto:room@acme.example", "ATTENDEE;CUTYPE=GROUP:mailto:all@acme.example", ANN)], ["ann"]),
        ([event("ATTENDEE;ROLE=NON-PARTICIPANT:mailto:boss@acme.example", "ATTENDEE:mailto:ann@acme.example")], ["ann"]),
        ([event("ORGANIZER:mailto:boss@acme.example", "ATTENDEE:mailto:boss@acme.example", "ATTENDEE;PARTSTAT=DECLINED:mailto:ann@acme.example")], []),
        ([event("ORGANIZER:mailto:boss@acme.example", "DESCRIPTION:questions to boss@acme.example", "SUMMARY:Social on-call")], []),
        ([event(ANN, "BEGIN:VALARM", "ATTENDEE:mailto:boss@acme.example", "SUMMARY:on call: boss@acme.example", "END:VALARM")], ["ann"]),
        ([event(ANN, times=(f"DTSTART:{at(-9)}", f"DTEND:{at(0)}")), event(BEN, times=(f"DTSTART:{at(0)}", "DURATION:PT9H"))], ["ben"]),
        ([event(ANN), event(BEN)], ["ann", "ben"]),
    ],
)  # fmt: skip
def test_only_who_is_on_shift_is_named(events: list[str], names: list[str]) -> None:
    assert shifts.look(calendar(*events), NOW).names == tuple(f"{name}@acme.example" for name in names)


def test_a_shift_that_everybody_declined_is_told() -> None:
    found = shifts.look(calendar(event("ATTENDEE;PARTSTAT=DECLINED:mailto:ann@acme.example", "SUMMARY:Social")), NOW)
    assert found == shifts.Found((), ("the shift “Social” names nobody now: whoever was asked declined",))


STAMPED = "DTSTAMP:20261101T000000Z"


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (["SEQUENCE:1", "DTSTAMP:20261103T000000Z"], ["SEQUENCE:2", STAMPED]), ([STAMPED], ["DTSTAMP:20261101T000001Z"]), ([STAMPED, "SEQUENCE:3"], ["DTSTAMP:20261102T000000Z", "SEQUENCE:3"]),
        ([STAMPED, "LAST-MODIFIED:20261030T000000Z"], [STAMPED, "LAST-MODIFIED:20261031T000000Z"]), (["SEQUENCE:9", STAMPED], ["SEQUENCE:10"]), ([STAMPED], ["SEQUENCE:1"]),
    ],
)  # fmt: skip
def test_the_newest_version_of_a_shift_is_the_one_that_counts(older: list[str], newer: list[str]) -> None:
    utc, tokyo, day = (
        f"RECURRENCE-ID:{at(-2)}",
        f"RECURRENCE-ID;TZID=Asia/Tokyo:{NOW + timedelta(hours=7):%Y%m%dT%H%M%S}",
        f"RECURRENCE-ID;VALUE=DATE:{NOW:%Y%m%d}",
    )
    series = event("UID:1", "SUMMARY:Social on-call: cat@acme.example", times=WEEKLY)
    for first, second in (("", ""), (utc, utc), (utc, tokyo), (tokyo, utc), (day, tokyo), (utc, day)):
        versions = [event("UID:1", ANN, *filter(None, [first]), *older)]
        for last, names in ((BEN, ("ben@acme.example",)), ("STATUS:CANCELLED", ())):
            both = [*versions, event("UID:1", last, *filter(None, [second]), *newer)]
            for events in (both, both[::-1]):
                assert shifts.look(calendar(*events, *([series] if first else [])), NOW).names == names


def test_of_versions_that_do_not_say_which_is_newer_a_cancelled_one_wins() -> None:
    for stamps in ([], [STAMPED]):
        assert not shifts.look(calendar(event("UID:1", ANN, STAMPED), event("UID:1", ANN, "STATUS:CANCELLED", *stamps)), NOW).names


@pytest.mark.parametrize("title", [
    "CANCELLED - {}", "{} (cancelled)", "Cancelled {}", "{} abgesagt", "DRAFT: {}", "{} [Declined]", "{}: called off", "{} CXL", "Abgesagt: {}", "{} entfällt", "{} fa\u0308llt aus",
    "Annulé : {}", "Cancelado: {}", "Anulado: {}", "Annullato: {}", "Geannuleerd: {}", "Afgelast: {}", "Inställt: {}", "Aflyst: {}", "Avlyst: {}", "Peruutettu: {}", "Odwołane: {}",
    "Zrušeno: {}", "İptal edildi: {}", "Отменено: {}", "Скасовано: {}", "キャンセル済み：{}", "已取消: {}", "취소됨: {}", "{} (postponed)", "❌ {}", "{}, Ann is sick", "UNASSIGNED {}",
])  # fmt: skip
def test_a_shift_called_off_in_its_title_names_nobody_of_those_invited(title: str) -> None:
    title = title.format("Social on-call")
    found = shifts.look(calendar(event("ATTENDEE;PARTSTAT=ACCEPTED:mailto:ann@acme.example", f"SUMMARY:{title}")), NOW)
    assert not found.names
    assert len(found.notes) == 1
    assert "names nobody now: its title says" in found.notes[0]
    assert not named(f"{title}: ann@acme.example")


@pytest.mark.parametrize("title", [
    "Ann on leave", "Ann off", "Out: Ann", "Holiday: Ann", "Day off", "Ann - absence", "Lunch", "Training", "Elternzeit", "Feiertag", "Not on call this week", "On-call: Ben (Ann off)",
    "Needs cover", "Swap wanted", "Open shift", "Ann can't do her shift", "Shift: Ann → Ben", "On-call Ann -> Ben", "TBD",
])  # fmt: skip
def test_whoever_is_invited_to_what_is_no_shift_of_theirs_is_not_named(title: str) -> None:
    found = shifts.look(calendar(event("ATTENDEE:mailto:ann@acme.example", f"SUMMARY:{title}"), event(BEN)), NOW)
    assert found.names == ("ben@acme.example",)
    assert "names nobody now: its title says" in found.notes[0]


@pytest.mark.parametrize("says", [(BEN, "SEQUENCE:1"), (ANN, "SEQUENCE:1", "STATUS:CANCELLED"), (BEN, *THIS_WEEK)])
def test_a_later_calendar_of_a_file_changes_the_shifts_of_an_earlier_one(says: tuple[str, ...]) -> None:
    instance = says[2:] == THIS_WEEK
    first = event("UID:1", ANN, times=WEEKLY) if instance else event("UID:1", ANN)
    second = event("UID:1", *says, times=()) if instance else event("UID:1", *says)
    for both in (calendar(first) + calendar(second), calendar(second) + calendar(first)):
        assert shifts.look(both, NOW).names == (("ben@acme.example",) if BEN in says else ())


@pytest.mark.parametrize("arrow", ["->", "–>", ">>", " > ", "→"])
def test_whoever_hands_over_by_an_arrow_is_not_named(arrow: str) -> None:
    assert not named(f"On-call: ann@acme.example {arrow} ben@acme.example")


@pytest.mark.parametrize(
    "title",
    [
        "Off-hours on-call",
        "Out-of-hours shift",
        "On-call no. 2",
        "Social on-call",
        "Holiday cover",
        "Reports",
        "Candle night shift",
        "Astreinte réseaux",
        "Rufbereitschaft",
        "当番",
        "Void Games",
    ],
)
def test_a_shift_that_takes_place_names_who_was_invited(title: str) -> None:
    found = shifts.look(calendar(event("ATTENDEE:mailto:ann@acme.example", f"SUMMARY:{title}")), NOW)
    assert found == shifts.Found(("ann@acme.example",), ())


@pytest.mark.parametrize(
    ("attendee", "named"),
    [
        ('CN="Ann ""the pager"" Lee";PARTSTAT=DECLINED', False), ('CN="Ann "the pager" Lee";PARTSTAT=ACCEPTED', True), ("CN=Lee; Ann;PARTSTAT=DECLINED", False),
        ('CN="Lee;PARTSTAT=DECLINED', False), ("CN=Ann: Lee;PARTSTAT=DECLINED", False), ("PARTSTAT=ACCEPTED;PARTSTAT=DECLINED", False), ("PARTSTAT=ACCEPTED,DECLINED", False),
        ("PARTSTAT=DECLINED ", False), ('PARTSTAT="declined"', False), ("PARTSTAT=X-CANNOT", False), ("PARTSTAT=TENTATIVE;ROLE=CHAIR", True), ("ROLE=X-OBSERVER", False),
        ("CUTYPE=X-LIST", False), (f"CN={'Lee' * 500};PARTSTAT=DECLINED", False), ("CN=Lee\\, Ann;PARTSTAT=NEEDS-ACTION", True),
    ],
)  # fmt: skip
def test_an_attendee_is_on_shift_only_where_all_that_is_said_of_them_is_understood(attendee: str, named: bool) -> None:
    summary = "SUMMARY:Social on-call" if "X-LIST" in attendee else ANN
    found = shifts.look(calendar(event(f"ATTENDEE;{attendee}:mailto:ann@acme.example", summary)), NOW)
    assert found.names == (("ann@acme.example",) if named else ())
    assert len(found.notes) == (not named)


@pytest.mark.parametrize(
    "broken",
    [
        event("SUMMARY:Holiday freeze", times=()),
        event("SUMMARY:Holiday freeze", times=("DTSTART:soon",)),
        event("SUMMARY:Holiday freeze", times=("DTSTART:20261399T000000Z",)),
        event("SUMMARY:Holiday freeze", times=(f"DTSTART:{at(1)}", f"DTEND:{at(-1)}")),
        event("SUMMARY:Holiday freeze", "RRULE:FREQ=SECONDLY"),
        event("SUMMARY:Holiday freeze", "RRULE:FREQ=NEVER;BYDAY=XX"),
        event("SUMMARY:Holiday freeze", "RRULE:FREQ=DAILY", "EXRULE:FREQ=NEVER"),
        event("SUMMARY:Holiday freeze", f"EXDATE:{','.join([at(-2)] * 5_000)}"),
        event("SUMMARY:Holiday freeze", times=(f'DTSTART;TZID="Europe/Berlin;X=1:{at(-2)}', f"DTEND:{at(10)}")),
        event("SUMMARY:Holiday freeze", *[f"ATTENDEE:mailto:a{n}@acme.example" for n in range(501)]),
        event("SUMMARY:Holiday freeze", "DURATION:P1Y", times=(f"DTSTART:{at(-2)}",)),
        "BEGIN:VEVENT\r\nSUMMARY:Holiday freeze\r\n",
    ],
)
def test_a_broken_event_is_skipped_and_said_and_loses_nothing_else(broken: str) -> None:
    for events in ([broken, event(ANN)], [event(ANN), broken, event(BEN)]):
        found = shifts.look(calendar(*events), NOW)
        assert "ann@acme.example" in found.names
        assert len(found.notes) == 1
        assert found.notes[0].startswith("“Holiday freeze” was skipped: it")
    with pytest.raises(ForeignError, match="Holiday freeze"):
        shifts.look(calendar(broken), NOW)


@pytest.mark.parametrize(
    ("zone", "hour"),
    [
        ("Pacific Time (US & Canada)", 19), ("(UTC-08:00) Pacific Time (US & Canada)", 19), ("W. Europe Standard Time", 4), ('"Europe/Berlin"', 4),
        ("/mozilla.org/20050126_1/Europe/Berlin", 4), ("europe/berlin", 4), ("Berlin", 4), ("UTC+01:00", 4), ("UTC", 3), ("Office zone", 4),
    ],
)  # fmt: skip
def test_a_zone_is_understood_by_the_names_calendars_use(zone: str, hour: int) -> None:
    custom = "BEGIN:VTIMEZONE\r\nTZID:Office zone\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0100\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"
    day = 25 if hour == 19 else 26
    local, quoted = f"202611{day}T{hour:02}0000", zone if zone.startswith('"') else f'"{zone}"'
    for head, times in (
        (custom, (f"DTSTART;TZID={quoted}:{local}", "DURATION:PT1S")),
        (f"{custom}X-WR-TIMEZONE:{zone}\r\n", (f"DTSTART:{local}", "DURATION:PT1S")),
        (custom, (f"DTSTART;TZID={quoted}:{local}", "DURATION:PT1S", "RRULE:FREQ=DAILY;UNTIL=20270101T000000")),
    ):
        assert shifts.look(calendar(event(ANN, times=times), head=head), NOW) == shifts.Found(("ann@acme.example",), ())


def test_a_time_without_a_zone_is_at_home_else_in_utc_with_a_note() -> None:
    text = calendar(event(ANN, times=("DTSTART:20261126T040000", "DURATION:PT1S")), head="X-WR-TIMEZONE:Nowhere/Else\r\n")
    found = shifts.look(text, NOW, "Europe/Berlin")
    assert found == shifts.Found(("ann@acme.example",), ("the calendar's zone is not known",))
    assert shifts.look(text, NOW + timedelta(hours=1)).names == ("ann@acme.example",)
    assert "times without a zone are taken for UTC: set `zone` in [oncall]" in shifts.look(text, NOW).notes


@pytest.mark.parametrize("times", [
    ("DTSTART;VALUE=DATE:20261126", "DTEND;VALUE=DATE:20261127"), ("DTSTART;VALUE=DATE:20261126",), ("DTSTART;VALUE=DATE:20261126", "DTEND;VALUE=DATE:20261126"),
    ("DTSTART;VALUE=DATE:20261119", "RRULE:FREQ=WEEKLY;UNTIL=20261126"),
])  # fmt: skip
def test_a_shift_of_a_whole_day_is_that_day_at_home(times: tuple[str, ...]) -> None:
    text = calendar(event(ANN, times=times))
    ends = {NOW.replace(hour=0) - timedelta(hours=1): True, NOW.replace(hour=0) - timedelta(hours=1, seconds=1): False,
            NOW.replace(hour=22, minute=59): True, NOW.replace(hour=23): False}  # fmt: skip
    for moment, on in ends.items():
        assert bool(shifts.look(text, moment, "Europe/Berlin").names) == on, moment
    if len(times) == 2 and "RRULE" in times[1]:
        assert not shifts.look(calendar(event(ANN, "EXDATE;VALUE=DATE:20261126", times=times)), NOW, "Europe/Berlin").names


@pytest.mark.parametrize("hour", ["T023000", "T003000Z", "T013000Z"])
def test_a_shift_that_begins_in_an_hour_that_happens_twice_can_be_taken_out_by_either(hour: str) -> None:
    zone = ";TZID=Europe/Berlin"
    text = calendar(
        event(ANN, f"EXDATE{zone}:20261025{hour}", times=(f"DTSTART{zone}:20261001T023000", "DURATION:PT8H", "RRULE:FREQ=DAILY"))
    )
    assert not shifts.look(text, datetime(2026, 10, 25, 3, tzinfo=UTC)).names
    assert shifts.look(text, datetime(2026, 10, 26, 3, tzinfo=UTC)).names


def test_a_nightly_shift_keeps_its_hours_when_the_clocks_change() -> None:
    text = calendar(
        event(ANN, times=("DTSTART;TZID=Europe/Berlin:20261001T200000", "DTEND;TZID=Europe/Berlin:20261002T080000", "RRULE:FREQ=DAILY"))
    )
    hours = {"2026-10-24T05:59": True, "2026-10-24T06:00": False, "2026-10-26T06:59": True, "2026-10-26T07:00": False}
    for moment, on in hours.items():
        assert bool(shifts.look(text, datetime.fromisoformat(f"{moment}+00:00")).names) == on, moment


@pytest.mark.parametrize("body", [
    b"\xef\xbb\xbf" + calendar(event(ANN)).encode(), b"\xef\xbb\xbf" + calendar(event(ANN)).replace("\r\n", "\n").encode(), calendar(event(ANN)).encode("utf-16"),
    calendar(event(ANN)).replace("acme", "ac\r\n me").encode(), calendar(event(ANN)).replace("BEGIN", "begin").encode(),
    calendar(event(ANN, "LOCATION:Zürich")).encode().replace("ü".encode(), b"\xc3\r\n \xbc"), calendar(event(ANN)).replace("\r\nEND:VCALENDAR", "").encode(),
])  # fmt: skip
def test_how_a_file_was_saved_changes_nothing(body: bytes) -> None:
    assert shifts.look(ics.decoded(body), NOW).names == ("ann@acme.example",)


@pytest.mark.parametrize(
    ("summary", "names"),
    [
        ("ann@acme.example", "ann"), ("Social on-call: ann@acme.example", "ann"), ("Swap: ben@acme.example covers", "ben"),
        ("Swap: ben@acme.example covers for ann@acme.example", "ben"), ("Primary: ann@acme.example, secondary: ben@acme.example", "ann ben"),
        ("On call - Ann Lee <ann@acme.example> and ben@acme.example by night", "ann ben"), ("Week 48 on duty ann@acme.example 18:00-06:00", "ann"),
        ("On-call: ann@acme.example (Social)", "ann"), ("Ann (ann@acme.example)", "ann"),
        ("Questions to boss@acme.example", ""), ("Social on-call, ping boss@acme.example", ""), ("On call (escalate to boss@acme.example)", ""),
        ("Swap: Ben covers for ann@acme.example", ""), ("ann@acme.example -> ben@acme.example", ""), ("ann@acme.example on holiday", ""),
        ("Social: ann@acme.example", "ann"), ("[L1] ann@acme.example", "ann"), ("ann@acme.example - Social_schedule", "ann"), ("On call - Ann ann@acme.example", "ann"), ("Ann Lee - ann@acme.example", "ann"),
        ("Ann (ann@acme.example) is on call", "ann"), ("Ann & Ben (ann@acme.example, ben@acme.example)", "ann ben"), ("Rufbereitschaft ann@acme.example", "ann"),
        ("Override: ann@acme.example (was ben@acme.example)", "ann"), ("Swap: ben@acme.example takes over from ann@acme.example", "ben"),
        ("Primary: ann@acme.example - Backup: ben@acme.example", "ann ben"), ("Social Rotation: ann@acme.example", "ann"),
        ("Canceled: On-call: ann@acme.example", ""), ("On-call: ann@acme.example (declined)", ""), ("On-call handover: ann@acme.example", ""),
        ("Who covers ann@acme.example?", ""), ("1:1 ann@acme.example", ""), ("Social dinner: ann@acme.example", ""), ("On-call dinner: ann@acme.example", ""),
        ("Schedule interview: ann@acme.example", ""), ("Dentist ann@acme.example", ""),
        ("Off duty: ann@acme.example", ""), ("Lunch with boss@acme.example", ""), ("Swap ann@acme.example with ben@acme.example", ""), ("Social on-call", ""),
    ],
)  # fmt: skip
def test_a_summary_names_somebody_only_in_words_about_the_duty(summary: str, names: str) -> None:
    assert named(summary) == [f"{name}@acme.example" for name in names.split()]


@pytest.mark.parametrize("line", ["ATTENDEE:mailto:" + "a" * 40_000, "SUMMARY:" + "a.-" * 40_000, "SUMMARY:" + "on call " * 20_000, 'ATTENDEE;CN="' + '";"' * 20_000,
                                  "X-NOTE:" + "a@" * 40_000, "DTSTART;TZID=" + "a/" * 20_000 + ":20261126T000000", "SUMMARY:" + "a@a." * 40_000])  # fmt: skip
def test_a_line_without_end_costs_nothing(line: str) -> None:
    text = calendar(event(ANN, "X:Y"), *[event(line)] * 20)
    assert all(len(one.value) + sum(map(len, one.params.values())) <= ics.LONGEST for e in ics.read(text).events for one in e.properties)
    assert shifts.look(text, NOW).names == ("ann@acme.example",)


# --- calendars nobody thought of ------------------------------------------------------------------------


@dataclass(frozen=True)
class Shift:
    """What a shift is, before anybody writes it down."""

    name: str
    on: bool
    lines: tuple[str, ...]


_WHO = st.sampled_from(["ann", "ben", "cat", "dan"])
_NOISE = st.sampled_from([
    "DESCRIPTION:ask boss@acme.example", "ORGANIZER;CN=Boss:mailto:boss@acme.example", "LOCATION:boss@acme.example", "TRANSP:TRANSPARENT", "CLASS:PRIVATE",
    "ATTENDEE;CUTYPE=ROOM:mailto:boss@acme.example", "X-ODD;=:boss@acme.example", "SEQUENCE:x", "COMMENT:on call: boss@acme.example", "\\", ":", ";;", "BEGIN:VALARM\r\nATTENDEE:boss@acme.example\r\nEND:VALARM",
])  # fmt: skip


@st.composite
def _shifts(draw: st.DrawFn) -> list[Shift]:
    made = []
    for number, name in enumerate(draw(st.lists(_WHO, max_size=4, unique=True))):
        how = draw(st.sampled_from(["on", "cancelled", "declined", "over", "instance cancelled", "excepted"]))
        times = WEEKLY if how in ("instance cancelled", "excepted") or draw(st.booleans()) else (f"DTSTART:{at(-2)}", f"DTEND:{at(10)}")
        times = (f"DTSTART:{at(-30)}", f"DTEND:{at(-20)}") if how == "over" else times
        status = {"cancelled": ("STATUS:CANCELLED",), "excepted": (f"EXDATE:{at(-2)}",)}.get(how, ())
        part = draw(st.sampled_from(["", ";PARTSTAT=ACCEPTED", ";CUTYPE=INDIVIDUAL;PARTSTAT=NEEDS-ACTION"]))
        by_summary = how != "declined" and draw(st.booleans())
        who = (
            f"SUMMARY:On-call: {name}@acme.example"
            if by_summary
            else f"ATTENDEE{';PARTSTAT=DECLINED' if how == 'declined' else part}:mailto:{name}@acme.example"
        )
        noise = draw(st.lists(_NOISE, max_size=3))
        lines = [event(f"UID:{number}", who, *status, *noise, times=times)]
        if how == "instance cancelled":
            lines.append(event(f"UID:{number}", who, "STATUS:CANCELLED", times=THIS_WEEK))
        made.append(Shift(name, how == "on", tuple(draw(st.permutations(lines)))))
    return made


@settings(max_examples=80)
@given(
    _shifts(),
    st.lists(st.text(max_size=30) | st.sampled_from([event("SUMMARY:broken", times=()), "BEGIN:VEVENT", "END:VTIMEZONE"]), max_size=3),
)
def test_known_shifts_among_noise_name_exactly_who_is_on(known: list[Shift], noise: list[str]) -> None:
    events = [line for shift in known for line in shift.lines]
    good = shifts.look(calendar(*events), NOW).names if events else ()
    assert sorted(good) == sorted(f"{shift.name}@acme.example" for shift in known if shift.on)
    try:
        spoilt = shifts.look(calendar(*events, *(f"{line}\r\n" for line in noise)), NOW).names
    except ForeignError:
        return
    assert set(spoilt) <= set(good)


_ZONES = ("UTC", "Europe/Berlin", "America/Los_Angeles", "Pacific/Auckland", "")  # without one: of the configured zone


def _spellings(start: datetime, zone: str) -> list[str]:
    """The moment at which a shift begins, as servers write it, rightly or not."""
    local, utc = f"{start:%Y%m%dT%H%M%S}", f"{start.astimezone(UTC):%Y%m%dT%H%M%S}"
    own = f";TZID={zone}" if zone else ""
    elsewhere = f"{start.astimezone(ZoneInfo('Asia/Tokyo')):%Y%m%dT%H%M%S}"
    return [
        f"{own}:{local}", f":{utc}Z", f";TZID=Asia/Tokyo:{elsewhere}", f";VALUE=DATE:{start:%Y%m%d}", f"{own}:{local}".lower().replace("tzid", "TZID"), f":{utc}z",
        f":{local}Z", f":{utc}", f":{local}", f"{own}:{start:%Y-%m-%dT%H:%M:%S}", f"{own}:{local[:-2]}", f';TZID="{zone};X=1:{local}', f":{start:%Y%m%d}T9:00 o'clock",
    ]  # fmt: skip


@st.composite
def _handed_over(draw: st.DrawFn) -> tuple[str, str]:
    """A series of ann's and one shift of it, which lasts over now, that is no longer hers; and who took it over."""
    zone, hours = draw(st.sampled_from(_ZONES)), draw(st.integers(1, 11))
    start = (NOW - timedelta(hours=hours)).astimezone(ZoneInfo(zone or "Europe/Berlin"))
    own, first = f";TZID={zone}" if zone else "", start - timedelta(days=14)
    times = draw(st.sampled_from([
        (f"DTSTART{own}:{first:%Y%m%dT%H%M%S}", "DURATION:PT12H", "RRULE:FREQ=DAILY"), (f"DTSTART{own}:{first:%Y%m%dT%H%M%S}", "DURATION:PT12H", "RRULE:FREQ=WEEKLY;COUNT=3"),
        (f"DTSTART{own}:{first:%Y%m%dT%H%M%S}", "DURATION:PT12H", f"RDATE{own}:{start:%Y%m%dT%H%M%S}"),
        (f"DTSTART{own}:{first:%Y%m%dT%H%M%S}", "DURATION:PT1H", f"RDATE{own};VALUE=PERIOD:{start:%Y%m%dT%H%M%S}/PT12H"),
        (f"DTSTART;VALUE=DATE:{NOW - timedelta(days=14):%Y%m%d}", "RRULE:FREQ=DAILY"),
    ]))  # fmt: skip
    if "VALUE=DATE" in times[0]:
        zone, start = "", NOW.astimezone(ZoneInfo("Europe/Berlin")).replace(hour=0)
    place = draw(st.sampled_from(_spellings(start, zone)))
    if draw(st.booleans()) and "X=1" not in place and "o'clock" not in place:
        return calendar(event("UID:1", ANN, f"EXDATE{place}", times=times)), ""
    begins, ends = f"DTSTART:{start.astimezone(UTC):%Y%m%dT%H%M%SZ}", f"DTEND:{at(1)}"
    how = draw(st.sampled_from([(begins, ends, BEN), (begins, BEN), ("DTEND:then", begins, BEN), (BEN,), (begins, ends), (begins, ends, ANN, "STATUS:CANCELLED"), ("STATUS:CANCELLED",),
                                (begins, ends, ANN, "STATUS:X-GONE"), (begins, ends, BEN + " " * 1_000), (begins, ends, "RRULE:FREQ=SECONDLY", BEN)]))  # fmt: skip
    if begins in how and draw(st.booleans()):
        place = draw(st.sampled_from([":soon", ":", ";X", ":99999999T999999"]))  # then the beginning of the instance tells
    written = event("UID:1", ANN, times=times), event("UID:1", *draw(st.permutations([f"RECURRENCE-ID{place}", *how])), times=())
    if draw(st.booleans()):
        return calendar(written[0], written[1].replace("END:VEVENT\r\n", "")), ""
    return calendar(*draw(st.permutations(written))), "ben@acme.example" if how == (begins, ends, BEN) else ""


@settings(max_examples=100)
@given(_handed_over())
def test_who_handed_a_shift_over_is_not_named_however_that_is_spelt_or_broken(found: tuple[str, str]) -> None:
    text, other = found
    assert shifts.look(text, NOW, "Europe/Berlin").names == ((other,) if other else ())
