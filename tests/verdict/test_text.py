"""What is the same to a reader, and what disguise hides."""

from __future__ import annotations

import random
import re
import signal
import unicodedata
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from monitor.verdict.links import canonical_links, hosts
from monitor.verdict.text import canonical, skeleton

# Text as an attacker writes it: any code point, and the pieces that foldings trip over.
PIECES = st.sampled_from(
    ["&amp;", "&amp;amp;lt;", "https://a.example/", "http://B.example:80/?utm_source=x&a=1.", "x.com/", "’", "“", "—", "…", " \u00a0", "\u0301",
     "\u0344", "\u202e", "\u200b", "\ufe0f", "\ufdfa", "@a", "$BTC", "1", ".", "s p a c e d", "<!channel>", "\u037e", "\u1fef", "://", "?utm_id"]
)  # fmt: skip
TEXT = st.lists(st.one_of(PIECES, st.text(max_size=8)), max_size=12).map("".join)


@pytest.mark.parametrize(
    ("registered", "posted"),
    [
        ("We’re hiring — 12 people…", "We're hiring - 12 people..."),
        ("Fish & chips", "Fish &amp; chips"),
        ("a < b", "a &lt; b"),
        ("two\n\nlines ", "\n two \t\r\n\r\nlines\u2029"),
        ("Ready.  Go", "Ready. Go"),
        ("10 % off", "10\u202f%\u00a0off"),
        ("— Acme", "- Acme"),
        ("1️⃣ first", "1⃣ first"),
        ("café", "cafe\u0301"),
        ("heart ❤️", "heart ❤"),
        ("See https://Acme.example/sale", "See http://acme.example/sale?utm_source=x&utm_campaign=y"),
        ("See acme.example", "See https://acme.example/"),
        ("See https://acme.example/x?id=7", "See https://acme.example/x?fbclid=abc&id=7"),
        ("Read https://acme.example/x.", "Read https://acme.example/x?gclid=1."),
    ],
)
def test_what_publishing_tools_change_is_the_same_text(registered: str, posted: str) -> None:
    assert canonical(registered) == canonical(posted)


@pytest.mark.parametrize(
    ("registered", "posted"),
    [
        ("We pay 5 %", "We pay 50 %"),
        ("It is on", "It is off"),
        ("See https://acme.example/sale", "See https://acme.example/Sale"),
        ("See https://acme.example/x?id=7", "See https://acme.example/x?id=8"),
        ("See https://acme.example", "See https://acme.example.evil.io"),
        ("Ａcme", "Acme"),
        ("Асme", "Acme"),
        ("us", "US"),
        ("ﬁnd", "find"),
        ("x\u200by", "xy"),
        ("Sell\nnothing today", "Sell nothing\ntoday"),
        ("two\nlines", "two lines"),
        ("two\nlines", "two\n\nlines"),
        ("- one\n- two", "- one\n  - two"),
        ("one   two", "one two"),
        ("one two", "one\ttwo"),
        ("one two", "one\u3000two"),
        ("5' tall", "5′ tall"),
        ("Buy » sell", "Buy « sell"),
        ('"Buy"', "«Buy»"),
        ("Let's eat grandma", "Let's eat‚ grandma"),
        ("a 10-20 lead", "a 10−20 lead"),
        ("a man-eating shark", "a man—eating shark"),
        ("acme-pay.example", "acme‑pay.example"),
        ("safe", "s\u0336a\u0336f\u0336e\u0336"),
        ("safe", "sa\ufe0ffe"),
        ("safe", "sa\u00adfe"),
        ("safe", "\u202eefas\u202c"),
        ("safe", "safe\U000e0061"),
        ("3.5 %", "3,5 %"),
        ("It is safe.", "It is safe?"),
        ("Up 📈", "Up 📉"),
        ("👍", "👎"),
    ],
)
def test_what_a_reader_could_see_as_another_statement_stays_different(registered: str, posted: str) -> None:
    assert canonical(registered) != canonical(posted)


def test_links_registered_apart_are_appended_once() -> None:
    assert canonical("New: alerts", ("https://acme.example/alerts",)) == canonical("New: alerts https://acme.example/alerts?utm_id=1")
    assert canonical("See https://acme.example/a", ("http://acme.example/a",)) == canonical("See https://acme.example/a")


@given(TEXT)
@example("http://a.b/?utm_a.=.")
@example("\u0344" * 40)
@example("A\ufe0f\u0301")
@example("https://a.example/’?utm_id")
@settings(max_examples=600, deadline=None)
def test_canonical_is_idempotent(text: str) -> None:
    once = canonical(text)
    assert canonical(once) == once


def _as_read(text: str) -> str:
    """What a reader takes in, written independently of `canonical`: signs of one meaning made one,
    blanks and invisible presentation ignored, links without scheme, case of host or tags."""
    text = unicodedata.normalize("NFC", text)
    for sign, entity in (("<", "lt"), (">", "gt"), ('"', "quot"), ("'", "#39"), ("&", "amp")):
        text = re.sub(f"&(?:amp;)*{entity};", sign, text)
    text = unicodedata.normalize("NFC", re.sub("[\ufe0e\ufe0f]", "", text))
    text = re.sub("[‘’‚‛′‵ʼ]", "'", re.sub("[“”„‟″‶«»]", '"', re.sub("[‐‑‒–—―−]", "-", text.replace("…", "..."))))
    text = text.replace("\u034f", "")
    text = re.sub(r"(?i)https?://|:80\b|:443\b", "", text)
    text = re.sub(r"(?i)(?:utm_[a-z_]*|[a-z]*clid|igshid|ref_src|s_cid|mc_.id|_hs...)(?:=[^\s&#]*)?", "", text)
    return re.sub(r"[\s/?&.,;:!)\]'\"*_~]+", "", text).lower()


@given(TEXT, TEXT)
@settings(max_examples=400, deadline=None)
def test_equal_after_canonical_means_equal_to_a_reader(one: str, other: str) -> None:
    if canonical(one) == canonical(other):
        assert _as_read(one) == _as_read(other)


@given(st.lists(st.one_of(st.sampled_from(["\n", " ", "\r\n", "\u00a0", "\t", "a", "b."]), st.text(max_size=3)), max_size=12).map("".join))
@settings(max_examples=400, deadline=None)
def test_canonical_keeps_every_line_and_what_is_on_it(text: str) -> None:
    lines = re.split("\r\n|[\r\n\u2028\u2029]", text.strip())
    folded = canonical(text).split("\n")
    assert len(folded) == len(lines)
    assert [_as_read(line) for line in folded] == [_as_read(line) for line in lines]


@given(TEXT)
@settings(max_examples=300, deadline=None)
def test_canonical_keeps_what_a_reader_reads(text: str) -> None:
    assert _as_read(canonical(text)) == _as_read(text)


@given(st.one_of(TEXT, st.text(alphabet=st.characters(), max_size=200)))
@settings(max_examples=400, deadline=None)
def test_no_text_makes_a_folding_raise(text: str) -> None:
    folded = skeleton(text)
    assert len(folded) <= 3 * len(text) + 3
    assert "  " not in folded
    hosts(text.encode("utf-8", "replace").decode())


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("сlаim уоur аirdrор", "claim your airdrop"),
        ("cl\u200baim", "claim"),
        ("𝐁𝐢𝐭𝐜𝐨𝐢𝐧", "bitcoin"),
        ("B1tc0in g1veaway", "bitcoin giveaway"),
        ("c1aim", "claim"),
        ("g i v e a w a y", "giveaway"),
        ("s.e.n.d", "send"),
        ("🇨🇱🇦🇮🇲", "claim"),
        ("air\u202epord\u202c", "airdrop"),
        ("ＣＬＡＩＭ", "claim"),
        ("c̷l̷a̷i̷m̷", "claim"),
        ("frееееее", "free"),
        ("\U0001ccd8\U0001cce1\U0001ccd6im", "claim"),  # outlined letters of Unicode 16, which older Pythons do not know
    ],
)
def test_disguise_is_undone(text: str, word: str) -> None:
    assert word in skeleton(text)


@pytest.mark.parametrize(
    "text", ["Сегодня мы запускаем новую функцию", "新しい機能を発表します", "Ευχαριστούμε για τη στήριξη", "مرحبا بكم"]
)
def test_other_scripts_stay_readable(text: str) -> None:
    assert not re.search("[a-z]", skeleton(text))


DICE = random.Random(3)
HOSTILE = {
    "every character": "".join(map(chr, range(0x20, 25_020))),
    "CJK at random": "".join(chr(DICE.randrange(0x4E00, 0xD7FF)) for _ in range(25_000)),
    "upper planes": "".join(chr(DICE.randrange(0x10000, 0x1FFFF)) for _ in range(25_000)),
    "two scripts": "аb " * 8_333,
    "greek and cyrillic": "".join(chr(DICE.randrange(0x370, 0x52F)) for _ in range(25_000)),
    "words in pieces": "gi.ve aw.ay " * 2_083,
    "leetspeak": "cl41m y0ur w4ll37 " * 1_388,
    "base58 soup": " ".join("".join(DICE.choices("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", k=33)) for _ in range(735)),
    "hosts": " ".join(f"a{n}.com" for n in range(2_800)),
    "phrases": "claim now connect wallet airdrop is live " * 609,
    "combining marks": "e" + "\u0301" * 24_999,
    "U+FDFA": "\ufdfa" * 25_000,
    "ampersands": "&amp;" * 5_000,
    "emoji": "👨‍👩‍👧" * 5_000,
    "base58": "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa " * 700,
    "dots": "a.a." * 6_250,
    "links": "http://a.b" * 2_500,
    "spelled": "g i v " * 4_000,
    "at": "@a" * 12_500,
    "blanks": " " * 25_000,
    "rtl": "\u202ea" * 12_500,
}


@pytest.fixture
def hang_guard() -> Iterator[None]:
    """Not a measurement (`make bench` measures): a pattern that backtracks takes minutes, not seconds."""

    def hung(*_: object) -> None:
        raise AssertionError("still not done after 20 s")

    before = signal.signal(signal.SIGALRM, hung)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("hang_guard")
@pytest.mark.parametrize("name", HOSTILE)
def test_no_hostile_text_hangs_a_folding(name: str) -> None:
    for text in (HOSTILE[name], HOSTILE[name] + "!", "a" + HOSTILE[name]):
        assert canonical(canonical(text)) == canonical(text)
        skeleton(text)
        hosts(text)


def test_runs_of_combining_marks_are_bounded_before_they_are_sorted() -> None:
    """Unicode's own limit (UAX #15, Stream-Safe Text Format): thirty, then a joiner."""
    folded = canonical("e" + "\u0301\u0323" * 5_000)
    assert max(len(run) for run in re.findall("[\u0301\u0323]+", folded)) <= 30


@given(TEXT)
@settings(max_examples=200, deadline=None)
def test_links_alone_are_idempotent_too(text: str) -> None:
    assert canonical_links(canonical_links(text)) == canonical_links(text)
