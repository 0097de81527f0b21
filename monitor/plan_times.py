"""The times of a plan as people and spreadsheets write them: zones, moments, whole days, and the windows around them.

What can be read in two ways is refused, never guessed: 03/04, 25/12/26, `EST`, an hour that the clocks skip.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path

from monitor.foreign import zones
from monitor.plan import PlanError, Reading

_MONTHS = (
    "january jan januar janvier janv enero ene gennaio gen janeiro januari ocak styczen",
    "february feb februar fevrier fevr febrero febbraio fevereiro fev februari subat",
    "march mar marz maerz mars marzo marco maart mrz mrt mart",
    "april apr avril avr abril abr aprile nisan",
    "may mai mayo maggio mag maio mei maj mayis",
    "june jun juni juin junio giugno giu junho haziran",
    "july jul juli juillet juil julio luglio lug julho temmuz",
    "august aug aout agosto ago augustus augusti agustos",
    "september sep sept septembre septiembre settembre set setembro eylul",
    "october oct oktober okt octobre octubre ottobre ott outubro out ekim",
    "november nov novembre noviembre novembro kasim",
    "december dec dezember dez decembre diciembre dic dicembre dezembro desember des aralik",
)
_MONTH = {word: number for number, words in enumerate(_MONTHS, 1) for word in words.split()}
_DAYS = (
    "monday mon montag lundi lun lunes lunedi segunda maandag", "tuesday tue tues dienstag mardi martes martedi terca dinsdag",
    "wednesday wed mittwoch mercredi mer miercoles mercoledi quarta woensdag", "thursday thu thur thurs donnerstag jeudi jueves giovedi quinta donderdag",
    "friday fri freitag vendredi ven viernes venerdi sexta vrijdag", "saturday sat samstag sonnabend samedi sam sabado sabato zaterdag",
    "sunday sun sonntag dimanche dim domingo domenica zondag",
)  # fmt: skip
_WEEKDAY = {word: number for number, words in enumerate(_DAYS) for word in words.split()}
_SHORT_DAYS = {  # di is Dienstag or dimanche
    "mo": (0,), "di": (1, 6), "mi": (2,), "do": (3, 6), "fr": (4,), "sa": (5,), "so": (6,),
    "mie": (2,), "jeu": (3,), "jue": (3,), "gio": (3,), "vie": (4,), "dom": (6,),
}  # fmt: skip
_NEAR = ("next", "this", "end", "of", "mid", "early", "late", "morning", "noon", "afternoon", "evening", "am", "pm")
_BETWEEN = ("the", "de", "le", "den", "der", "di", "del", "el", "am", "do")
_LETTERS = r"[^\W\d_]+"
_YMD = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})")
_SLASHED = re.compile(r"(\d{1,2})([-/.])\s?(\d{1,2})\2\s?(\d{4}|\d\d)(?!\d)")
_DAY_MONTH = re.compile(rf"(\d{{1,2}})(?:st|nd|rd|th)?[-. ]*(?:de |of )?({_LETTERS})[-., ]*(?:de )?'?(\d{{4}}|\d\d)(?![\d:.])")
_MONTH_DAY = re.compile(rf"({_LETTERS})[-. ]*(\d{{1,2}})(?:st|nd|rd|th)?[-, ]+(\d{{4}})(?!\d)")
_BASIC = re.compile(r"(\d{4})(\d\d)(\d\d)(?=t|$)")
_COMMA = re.compile(r"(?<!\S)(\d{5}),(\d+)(?!\S)")  # of a serial, where commas part decimals
_SERIAL = re.compile(r"(\d{5})(\.\d+)?")
_SERIALS = range(36_526, 73_051)  # the days of Excel from 2000 to 2099
_CLOCK = re.compile(r"(\d{1,2})(?:(?:[:.]|\s?(?:h|uhr)\s?)(\d\d)(?:[:.](\d\d)(?:[.,]\d+)?)?|h)?\s*([ap]\.?\s?m\.?)?(?:\s?(?:uhr|h))?")
_BASIC_CLOCK = re.compile(r"(\d\d)(\d\d)(\d\d)?")
_REGION = re.compile(r"[A-Za-z_]+(?:/[A-Za-z_+-]+)+\d*")
_ENDS_IN_ZONE = re.compile(
    rf"(?:(?<![^\W_])({_REGION.pattern}|[a-z]{{2,5}})|(?<![a-z])(z|(?:utc|gmt)?\s?[+-]\d\d?(?::?\d\d)?))\)?$", re.IGNORECASE
)
_HOUR = r"(?:\d{4}|\d{1,2}(?:[:.h]\d\d)?\s?(?:[ap]\.?m\.?|uhr|h)?)"
_RANGE = re.compile(rf"{_HOUR}\s?[-–—]\s?{_HOUR}")  # behind seconds it is an offset, as in ISO 8601's own form without them
_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d-\d\d:\d\d")
_ABOUT_WHEN = re.compile(
    r"(?:next |this |end of |mid )?(?:today|tomorrow|heute|morgen|demain|manana|domani|amanha|weekend|(?:kw|cw|wk|week|woche|q)\s?\d{1,2}(?: \d{4})?)"
)
_YEARLESS = re.compile(r"(\d{1,2})(?:\. ?(\d{1,2})\.|/(\d{1,2})|月 ?(\d{1,2})日?)(?![\d/])")
_BEHIND = re.compile(r"(?:um |at |a |[-–] ?)?[\d:.h/ –-]*(?:[ap]m|uhr|h)?")
_ORDINAL = re.compile(r"\d{1,2}(?:st|nd|rd|th|er|e|o|a)?\.?")
_DAY_IN_WORDS = re.compile(r"(?<![\w.,/:$€£])(\d{1,2})[./] ?(\d{1,2})\.?(?![\w/]| ?%)")
_SOON = frozenset(["today", "tomorrow", "heute", "morgen", "demain", "manana", "domani", "amanha", "weekend", "wochenende"])
_BLANKS = re.compile(r"[\s,]+")
_ALIKE = str.maketrans({"\u2010": "-", "\u2011": "-", "\u2212": "-", "ı": "i"})  # hyphens, and Turkish
_SHORT_ZONES = (
    "EST EDT ET CST CDT CT MST MDT MT PST PDT PT AKST AKDT HST AST ADT NST BST CET CEST MEZ MESZ WET WEST EET EEST MSK TRT IST IDT GST PKT ICT WIB"
    " SGT MYT PHT HKT JST KST AWST ACST ACDT AEST AEDT NZST NZDT BRT ART CLT COT PET SAST WAT CAT EAT UTC GMT"
)
_YEARS = range(2000, 2101)


def zone_named(name: str) -> tzinfo:
    """For `--zone`. Raises PlanError for a zone that this machine does not know, and for a short name of several."""
    try:
        return _zone(name)
    except ValueError as error:
        raise PlanError(f"--zone: {error}") from None


def _zone(name: str) -> tzinfo:
    """UTC, an offset or a region. `EST` and its kind are refused: some mean the offset, some the place. Raises ValueError."""
    word = name.strip().strip("()")
    if word.upper() in ("UTC", "Z", "GMT", "ETC/UTC", "ETC/GMT"):
        return UTC
    if away := zones.offset(word):
        return away
    if "/" not in word and word.isalpha() and len(word) <= 5:
        raise ValueError(f"found {name!r}, expected a name like Europe/Berlin, UTC or +01:00; short ones are used by several zones")
    if found := zones.named(word):
        return found
    raise ValueError(f"found {name!r}, expected a name like Europe/Berlin, UTC or +01:00")


def zone_said(words: str) -> tzinfo | None:
    """The zone that a remark or a cell names, if it names one."""
    try:
        return _zone(words) if words.strip() else None
    except ValueError:
        return None


def zone_unclear(words: str) -> bool:
    """Whether a remark means a zone that we cannot tell from others: `EST`, `London`, `GMT plus one`."""
    said = {word for word in re.findall(_LETTERS, words) if word.isupper()}
    place = words.strip().lower().replace(" ", "_")
    return zone_said(words) is None and bool(
        said & set(_SHORT_ZONES.split()) or any(zone.rpartition("/")[2] == place for zone in zones.names())
    )


def row_zone(cell: str) -> tzinfo | None:
    """The zone of a row by its own column. Raises ValueError."""
    return _zone(cell) if cell.strip() else None


def looks_dated(cell: str) -> bool:
    """Whether a cell is a date, with its year or without, a time or a point in time, however it is to be read."""
    text = _without_weekday(_plain(cell))[0]
    words = [word.strip(".") for word in text.split()]
    telling = [word for word in words if word in _WEEKDAY or word in _MONTH or word in _NEAR]
    if _ABOUT_WHEN.fullmatch(text) or (
        telling and all(w in telling or w in _BETWEEN or _ORDINAL.fullmatch(w) or w.isdigit() for w in words)
    ):
        return True
    if found := _CLOCK.fullmatch(text):
        return bool(":" in text or found[4] or re.search(r"\d\s?(?:h|uhr)", text))
    ymd, slashed, day_month, month_day, basic = _forms(text)
    named = (day_month and day_month[2] in _MONTH) or (month_day and month_day[1] in _MONTH)
    whole = basic and int(basic[2]) <= 12 and int(basic[3]) <= 31 and basic[1][:2] == "20"
    return bool(ymd or slashed or named or whole or (_serial(text) and "." in text) or _yearless(text))


def _yearless(text: str) -> bool:
    """5.12., 12/05, 12月5日, and what may stand behind them; 1/3 is a part of three."""
    found = _YEARLESS.match(text)
    if not found or not _BEHIND.fullmatch(text[found.end() :].strip()):
        return False
    day, month = (one for one in found.groups() if one)
    return _a_day(day, month) and ("/" not in found[0] or len(day + month) > 2)


def _a_day(a: str, b: str) -> bool:
    return 1 <= min(int(a), int(b)) <= 12 and 1 <= max(int(a), int(b)) <= 31


def may_be_dated(cell: str) -> bool:
    """Whether a date or a time could stand anywhere in a cell, or be meant by it."""
    text = _plain(cell)
    words = re.findall(_LETTERS, text)
    return (
        looks_dated(cell)
        or any(word in _SOON or (word in _WEEKDAY and len(word) > 5) for word in words)
        or any(_a_day(*found) for found in _DAY_IN_WORDS.findall(text))
        or bool(re.search(r"\d{1,2}(?::\d\d|月)", text) or (re.search(r"\d", text) and not _MONTH.keys().isdisjoint(words)))
    )


_CALENDAR = {  # names of columns that people put beside a date
    "day": "day weekday dayofweek wochentag tag jour joursemaine jourdelasemaine dia diasemana diadelasemana giorno dag",
    "week": "week weekno weeknumber weekofyear calendarweek kw cw wk woche kalenderwoche semaine semana settimana",
    "month": "month monat mois mes mese maand", "quarter": "quarter quartal trimestre trimester q",
}  # fmt: skip
_OF_CALENDAR = {name: what for what, names in _CALENDAR.items() for name in names.split()}


def calendar_column(name: str) -> str:
    """Day, week, month or quarter, where a column of that folded name tells it of the date beside it; else an empty string."""
    return _OF_CALENDAR.get(name, "")


def day_in(cell: str, order: str) -> date | None:
    """The day that a cell names, if it can be read."""
    try:
        return _date(cell, order)[0]
    except ValueError:
        return None


def repeats(what: str, cell: str, day: date) -> bool | None:
    """Whether a cell of a day, week, month or quarter says nothing that this date does not say. None where it may mean something else."""
    text = _plain(cell).strip(". ")
    word, _, year = text.partition(" ")
    if days := _weekdays(text) or ((1,) if text == "mar" else ()):  # mardi, martes, martedì
        return day.weekday() in days if what == "day" else None
    if what == "month" and word in _MONTH and year in ("", str(day.year)):
        return _MONTH[word] == day.month
    weeks = {day.isocalendar().week, int(day.strftime("%U")) + 1}  # ISO's, and where it begins on a Sunday
    same = {"day": {day.day}, "week": weeks, "month": {day.month}, "quarter": {(day.month + 2) // 3}}
    found = re.fullmatch(r"(?:kw|cw|wk|w|week|woche|q|s)?[ .#-]*(\d{1,2})(?:[ /-]+(\d{4}))?", text)
    return True if found and int(found[1]) in same[what] and found[2] in (None, str(day.year)) else None


def date_order(path: Path, cells: Iterable[str], given: str) -> str:
    """dmy, mdy or nothing: one clear date decides for all of a file. Raises PlanError when none does, or when two differ."""
    if given:
        return given
    shown, orders = "", {"dmy", "mdy", "ymd"}
    for cell in cells:
        if match := _SLASHED.match(_without_weekday(_plain(cell))[0]):  # where a date stands: 10.30.15 behind one is a time
            shown, possible = shown or match[0], _orders(match)
            orders &= possible
    if not shown or len(orders) == 1:
        return orders.pop() if shown else ""
    if not orders:
        what = "fit neither day/month nor month/day throughout"
    elif orders == {"dmy", "mdy"}:
        what = "can be read as day/month and as month/day"
    else:
        what = "can be read with the year at the front or at the end; write it with four digits"
    raise PlanError(f"{path}: the dates (like {shown}) {what}; say which with --dates dmy or --dates mdy")


def _orders(match: re.Match[str]) -> set[str]:
    a, b, c = int(match[1]), int(match[3]), match[4]
    orders = {name for name, day, month in (("dmy", a, b), ("mdy", b, a)) if 1 <= month <= 12 and 1 <= day <= 31}
    return orders | ({"ymd"} if len(c) == 2 and 1 <= b <= 12 and 1 <= int(c) <= 31 else set())


def window(when: str, until: str, how: Reading, now: datetime) -> tuple[datetime, datetime]:
    """When a post planned for then may appear: a time with what is allowed around it, a date as that whole day. Raises ValueError."""
    if not when:
        return now, now + timedelta(days=how.days)
    first, last = span(when, how)
    whole = last - first > timedelta(hours=3)  # a day; an hour that happens twice is shorter
    if not until:
        return (first, last) if whole else (first - how.early, last + how.late)
    end = span(until, how)[1]
    if end <= first:
        raise ValueError(f"the window ends ({until}) before it begins ({when})")
    return first, end


def shown_window(start: datetime, end: datetime, zone: tzinfo | None = None) -> str:
    """Both ends with their dates in the zone asked for, else in UTC."""
    first, last = (one.astimezone(zone or UTC) for one in (start, end))
    begins, ends = (f"{one:%Y-%m-%d %H:%M}" for one in (first, last))
    if first.utcoffset() != last.utcoffset():  # the clocks change in between
        begins, ends = begins + first.isoformat()[-6:], ends + last.isoformat()[-6:]
    return f"{begins} to {ends} {zone or 'UTC'}"


def span(text: str, how: Reading) -> tuple[datetime, datetime]:
    """The first and the last moment, in UTC, that a date or a time can mean: twice the same but for a whole day, and for an
    hour that the clocks repeat. Raises ValueError saying what is missing.
    """
    day, rest = _date(text, how.dates)
    clock, zone = _clock(rest, text)
    zone = zone or how.zone
    if zone is None:
        raise ValueError(f"{text!r} names no time zone; give --zone, for example --zone Europe/Berlin")
    if clock is None:
        start, end = (datetime.combine(one, time(), zone).astimezone(UTC) for one in (day, day + timedelta(days=1)))
        return start, end
    local = datetime.combine(day, clock, zone)
    if local.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != local.replace(tzinfo=None):
        raise ValueError(f"{text!r} does not exist in {zone}: the clocks change then")
    both = [local.replace(fold=fold).astimezone(UTC) for fold in (0, 1)]
    return min(both), max(both)


def joined(when: str, clock: str) -> str:
    """A date and the time of another column. Raises ValueError where both hold a time, and not the same."""
    clock = clock.strip()
    if when and re.search(r"\d[:h]\d", clock) and re.search(rf"(?<!\d){re.escape(_plain(clock))}(?!\d)", _plain(when)):
        return when
    if fraction := re.fullmatch(r"0?[.,]\d+", clock):  # of a day, in a spreadsheet
        seconds = round(float(fraction[0].replace(",", ".")) * 86_400)
        clock = str(timedelta(seconds=seconds))
    if not clock:
        return when
    if not when:
        raise ValueError(f"found {clock!r} and no date for it")
    if re.search(r"\d[:h]\d", when):
        raise ValueError(f"found {when!r} with a time in it and {clock!r} in the column for the time")
    return f"{when} {clock}"


def order_said(remark: str) -> str:
    """Dmy or mdy, where a column's name says it, like `(dd/mm/yyyy)`."""
    found = re.match(r"(d{1,2}.m{1,4}|m{1,4}.d{1,2}).y", remark.strip().lower())
    return {"d": "dmy", "m": "mdy"}[found[0][0]] if found else ""


def _plain(text: str) -> str:
    """Lower case without accents, any blanks as one, commas as blanks, no weekday, 年月日 as hyphens."""
    text = unicodedata.normalize("NFKD", text).replace("\u202f", " ")
    text = "".join(char for char in text if not unicodedata.combining(char)).lower().translate(_ALIKE)
    text = re.sub(r"(\d{4})\s?[年년]\s?(\d{1,2})\s?[月월]\s?(\d{1,2})\s?[日일]?", r"\1-\2-\3 ", unicodedata.normalize("NFC", text))
    return _BLANKS.sub(" ", _COMMA.sub(r"\1.\2", text)).strip()


def _forms(text: str) -> tuple[re.Match[str] | None, ...]:
    return _YMD.match(text), _SLASHED.match(text), _DAY_MONTH.match(text), _MONTH_DAY.match(text), _BASIC.match(text)


def _serial(text: str) -> re.Match[str] | None:
    found = _SERIAL.fullmatch(text)
    return found if found and int(found[1]) in _SERIALS else None


def _date(original: str, order: str) -> tuple[date, str]:
    """The day, and the text behind it. Raises ValueError."""
    text, weekdays = _without_weekday(_plain(original))
    if serial := _serial(text.partition(" ")[0]):
        seconds = round(float(serial[2] or 0) * 86_400)
        day = date(1899, 12, 30) + timedelta(days=int(serial[1]) + seconds // 86_400)
        clock = f" {timedelta(seconds=seconds % 86_400)}" if serial[2] and seconds % 86_400 else " 0:00" if serial[2] else ""
        return day, f"{clock}{text[serial.end() :]}".strip()
    ymd, slashed, day_month, month_day, basic = _forms(text)
    if ymd:
        found, parts = ymd, (ymd[1], ymd[3], ymd[4])
    elif slashed:
        found, parts = slashed, _slashed(slashed, order, original)
    elif day_month and day_month[2] in _MONTH:
        found, parts = day_month, (day_month[3], str(_MONTH[day_month[2]]), day_month[1])
    elif month_day and month_day[1] in _MONTH:
        found, parts = month_day, (month_day[3], str(_MONTH[month_day[1]]), month_day[2])
    elif basic:
        found, parts = basic, (basic[1], basic[2], basic[3])
    else:
        raise ValueError(f"time: found {original!r}, expected YYYY-MM-DD HH:MM, ISO 8601 or another date with its year")
    year, month, number = (int(one) for one in parts)
    year += 2000 if len(parts[0]) == 2 else 0
    if year not in _YEARS:
        raise ValueError(f"time: found {original!r}, expected a year from {_YEARS[0]} to {_YEARS[-1]}")
    try:
        day = date(year, month, number)
    except ValueError as error:
        raise ValueError(f"time: found {original!r}: {error}") from None
    if weekdays and day.weekday() not in weekdays:
        raise ValueError(f"time: found {original!r}, and {day} is a {day:%A}")
    return day, _behind(text[found.end() :], original)


def _behind(rest: str, original: str) -> str:
    """What stands behind a date, without a word between. Raises ValueError."""
    if re.match(r"t?-|\s+-\d", rest):
        raise ValueError(f"time: found {original!r}: a time, or an offset from UTC? Write the time behind a blank, like 2026-12-01 09:30")
    return re.sub(r"^(?:- )?(?:t|at|um|a las|alle|ore|kl\.?|om|as|\ba\b|@)?\s?(?=\d)", "", rest.strip())


def _without_weekday(text: str) -> tuple[str, tuple[int, ...]]:
    word = re.match(rf"({_LETTERS})\.? ", text)
    days = _weekdays(word[1]) if word else ()
    return (text[word.end() :], days) if word and days else (text, ())


def _weekdays(word: str) -> tuple[int, ...]:
    """Which days of the week a word can mean."""
    return (_WEEKDAY[word],) if word in _WEEKDAY else _SHORT_DAYS.get(word, ())


def _slashed(match: re.Match[str], order: str, original: str) -> tuple[str, str, str]:
    """(year, month, day). Raises ValueError."""
    a, b, c = match[1], match[3], match[4]
    possible = _orders(match)
    order = order or (possible.pop() if len(possible) == 1 else "")
    if not order:
        raise ValueError(f"{original!r} can be read two ways; say which with --dates dmy or --dates mdy")
    return (a, b, c) if order == "ymd" else (c, b, a) if order == "dmy" else (c, a, b)


def _clock(rest: str, original: str) -> tuple[time | None, tzinfo | None]:
    """The time of day and the zone behind a date, each None where there is none. Raises ValueError."""
    zone, given = None, _ENDS_IN_ZONE.search(rest)
    if _RANGE.fullmatch(rest) and not _ISO.fullmatch(original.strip()):
        raise ValueError(
            f"time: found {original!r}: a time until another one, or an offset from UTC? Write one time, like 10:00, or an offset behind seconds, like 10:00:00-05:00"
        )
    if given and (given[1] or given[2]) not in ("am", "pm", "uhr"):
        try:
            zone, rest = _zone((given[1] or given[2]).upper()), rest[: given.start()].rstrip(" (")
        except ValueError as error:
            word = given[1] or given[2]
            if word.isalpha() and word.upper() not in _SHORT_ZONES.split():
                raise ValueError(f"time: found {original!r}: “{word}” was not understood; write the time as 12:00") from None
            raise ValueError(f"time: found {original!r}; its zone: {error}") from None
    if not rest:
        return None, zone
    found = _CLOCK.fullmatch(rest) or _BASIC_CLOCK.fullmatch(rest)
    half = found[4] if found and found.re is _CLOCK else None
    if not found or (rest.isdigit() and found.re is _CLOCK):
        raise ValueError(f"time: found {rest!r} in {original!r}, expected HH:MM")
    hour, minute, second = int(found[1]), int(found[2] or 0), int(found[3] or 0)
    if half and ((hour > 12 and half[0] == "a") or (hour == 0 and half[0] == "p")):
        raise ValueError(f"time: found {rest!r} in {original!r}: {hour} o'clock is not {half}")
    if half and hour <= 12:
        hour = hour % 12 + (12 if half[0] == "p" else 0)
    try:
        return time(hour, minute, second), zone
    except ValueError as error:
        raise ValueError(f"time: found {original!r}: {error}") from None
