"""Pictures, videos and alt texts beside registered words: what is compared is silent, what is not is at least a notice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import rulebook
from monitor.model import Account, ApprovedPost, Company, Exact, Kind, Media, NoMatch, Post, Severity
from monitor.verdict import judge
from monitor.verdict.approved import Queue
from monitor.verdict.shown_pictures import SAME_PICTURE, not_compared
from tests.verdict.test_approved import HOUR, NOW, approved, post

WORDS = "Our new office in Lisbon opens on Monday."
ONE, OTHER, THIRD = "0" * 64, "f" * 64, "0f" * 32
VIDEO, ANIMATED = Media("video"), Media("animated_gif")


def photo(shown: str = ONE, alt: str = "") -> Media:
    return Media("photo", hash=shown, alt_text=alt)


def shown(*media: Media, text: str = WORDS) -> Post:
    return post(text, media=media)


@pytest.mark.parametrize(
    ("registered", "media", "caveats"),
    [
        ({"media": 1, "pictures": (ONE,)}, [photo()], ()),
        ({"media": 1}, [photo()], ("picture not compared: the registration says only how many",)),
        ({"media": 2}, [photo(), photo()], ("2 pictures not compared: the registration says only how many",)),
        ({"media": 1}, [VIDEO], ("video not compared: only still pictures are",)),
        ({"media": 1}, [ANIMATED], ("video not compared: only still pictures are",)),
        ({"media": 1}, [Media("unknown")], ("picture not compared: the registration says only how many",)),
        ({"media": 2, "pictures": (ONE,)}, [VIDEO, photo()], ("video not compared: only still pictures are",)),
        ({"media": 1, "pictures": (ONE,)}, [photo(alt="Send it here")], ("the alt text of picture 1 was not registered",)),
        ({"media": 1, "pictures": (ONE,), "alt": ("A door",)}, [photo(alt="A  door")], ()),
        ({"media": 1, "pictures": (ONE,), "alt": ("A door",)}, [photo()], ()),
        ({"media": 1, "pictures": (ONE,), "alt": ("A door",)}, [photo(alt="A window")], ("the alt text of picture 1 is not the registered one",)),
        ({"media": 2, "pictures": (ONE, OTHER), "alt": ("A door",)}, [photo(alt="A door"), photo(OTHER, "A door")], ("the alt text of picture 2 is not the registered one",)),
        ({"media": 2, "pictures": (ONE, OTHER), "alt": ("A door", "A key")}, [photo(OTHER, "A key"), photo(ONE, "A door")], ()),
    ],
)  # fmt: skip
def test_what_nobody_compared_is_a_notice_in_words(registered: dict[str, Any], media: list[Media], caveats: tuple[str, ...]) -> None:
    match = Queue([approved(WORDS, **registered)]).match(shown(*media))
    assert isinstance(match, Exact)
    assert match.caveats == caveats


@pytest.mark.parametrize(
    ("registered", "media", "why"),
    [
        ({"media": 1, "pictures": (ONE,)}, [VIDEO], "with a video where a registered picture was planned"),
        ({"media": 2, "pictures": (ONE,)}, [photo(), Media("unknown", doubt="it is lost")], "picture 2 could not be compared: it is lost"),
        ({"media": 2, "pictures": (ONE,)}, [VIDEO, VIDEO], "with a video where a registered picture was planned"),
        ({"media": 2, "pictures": (ONE,)}, [photo(), photo()], "with one picture more than the 1 registered"),
        ({"media": 2, "pictures": (ONE,)}, [photo(), photo(OTHER)], "with one picture more than the 1 registered"),
        ({"media": 2, "pictures": (ONE, OTHER)}, [photo(), photo()], "picture 2 is not the registered one (256 of 256 bits differ)"),
        ({"media": 1, "pictures": (ONE,)}, [photo("")], "picture 1 could not be compared: it was not fetched"),
        ({"media": 1, "pictures": (ONE,)}, [Media("photo", doubt="it is too plain")], "picture 1 could not be compared: it is too plain"),
        ({"media": 1, "pictures": (ONE,)}, [photo(), photo()], "with 2 pictures or videos were where 1 picture or video was planned"),
        ({}, [VIDEO], "with 1 picture or video was where no picture or video was planned"),
    ],
)  # fmt: skip
def test_other_pictures_are_another_post(registered: dict[str, Any], media: list[Media], why: str) -> None:
    match = Queue([approved(WORDS, **registered)]).match(shown(*media))
    assert match == NoMatch(f"the words of registered post #1, but {why}", 1, 100)


hashes = st.integers(0, 2**256 - 1)


@given(planned=st.lists(hashes, max_size=3), posted=st.lists(st.one_of(st.none(), hashes), max_size=4), counted=st.integers(0, 2))
def test_silence_means_that_every_picture_was_compared(planned: list[int], posted: list[int | None], counted: int) -> None:
    """Whatever was registered and whatever is shown: no caveat and no page only if each shown picture is a registered one."""
    one = approved(WORDS, media=len(planned) + counted, pictures=tuple(f"{p:064x}" for p in planned))
    media = [VIDEO if p is None else photo(f"{p:064x}") for p in posted]
    match = Queue([one]).match(shown(*media))
    if isinstance(match, Exact) and not match.caveats:
        assert None not in posted
        assert len(posted) == len(planned)
        assert all(p is not None and min((p ^ q).bit_count() for q in planned) <= SAME_PICTURE for p in posted)


def test_of_several_registrations_with_these_words_the_one_that_is_compared_whole_is_used() -> None:
    counted, hashed = approved(WORDS, 1, media=1, not_before=NOW - 2 * HOUR), approved(WORDS, 2, media=1, pictures=(ONE,))
    assert Queue([counted, hashed]).match(shown(photo())) == Exact(2, "1 picture(s) compared, at most 0 of 256 bits differ")
    again = Queue([counted, replace(hashed, used_by="99", used_at=NOW)]).match(shown(photo()))
    assert isinstance(again, Exact)
    assert again.approved == 1
    assert again.caveats


# --- posts without words ---------------------------------------------------------------------------------------------


def picture(number: int, *pictures: str, **more: Any) -> ApprovedPost:
    return approved("", number, media=len(pictures), pictures=pictures, **more)


def test_a_post_without_words_is_known_by_its_picture() -> None:
    queue = Queue([picture(1, ONE), picture(2, OTHER), picture(3, THIRD, ONE)])
    for media, number in [([photo(OTHER)], 2), ([photo(ONE)], 1), ([photo(ONE), photo(THIRD)], 3)]:
        match = queue.match(shown(*media, text=""))
        assert isinstance(match, Exact)
        assert (match.approved, match.caveats) == (number, ())


def test_another_picture_without_words_is_nobodys() -> None:
    match = Queue([picture(1, ONE)]).match(shown(photo(THIRD), text=""))
    assert match == NoMatch("without words, like registered post #1, but picture 1 is not the registered one (128 of 256 bits differ)")
    assert isinstance(Queue([picture(1, ONE)]).match(shown(VIDEO, text="")), NoMatch)
    assert isinstance(Queue([picture(1, ONE)]).match(shown(text="")), NoMatch)


def test_of_pictures_without_words_the_page_says_what_is_wrong_with_the_one_that_was_meant() -> None:
    queue = Queue([picture(1, OTHER), picture(2, ONE, used_by="99", used_at=NOW)])
    assert "registered post #2 was already used" in queue.match(shown(photo(ONE), text="")).reason  # type: ignore[union-attr]
    assert queue.pictures_wanted(shown(photo(""), text=""))


def test_a_number_alone_never_excuses_a_post_without_words() -> None:
    match = Queue([approved("", media=1)]).match(shown(photo(), text=""))
    assert match == NoMatch("without words, like registered post #1, but the registration names no picture to compare")


def test_words_that_were_registered_with_a_picture_are_no_picture_without_words() -> None:
    assert isinstance(Queue([approved(WORDS, media=1, pictures=(ONE,))]).match(shown(photo(ONE), text="")), NoMatch)
    assert isinstance(Queue([picture(1, ONE)]).match(shown(photo(ONE))), NoMatch)


# --- what stands in alt texts ----------------------------------------------------------------------------------------

ME = Account("x", "1", "acme")
COMPANY = Company("Acme Exchange", ("acme.example",), (), ("acme",))
RULES = rulebook.load([]).rules
SCAM = "Send 0.1 BTC to bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq and we send 0.2 BTC back"


def test_rules_read_the_alt_text_of_a_registered_post_that_nobody_registered() -> None:
    """The picture and the words are ours; the hijacker wrote what screen readers say."""
    queue = Queue([approved(WORDS, media=1, pictures=(ONE,))])
    quiet = judge(shown(photo(alt="A door")), ME, COMPANY, queue, RULES)
    assert quiet.severity is Severity.NOTIFY
    assert "the alt text of picture 1 was not registered" in quiet.reason
    assert judge(shown(photo()), ME, COMPANY, queue, RULES).severity is Severity.CLEAR
    assert judge(shown(photo(alt=SCAM)), ME, COMPANY, queue, RULES).severity is Severity.PAGE
    urgent = "Withdraw all your funds now, we have been hacked"
    said = judge(shown(photo(alt=urgent)), ME, COMPANY, queue, RULES)
    alone = judge(post(urgent), ME, COMPANY, None, RULES)
    assert {f.rule for f in alone.findings} <= {f.rule for f in said.findings}
    assert alone.findings
    known = Queue([approved(WORDS, media=1, pictures=(ONE,), alt=(urgent,))])
    assert judge(shown(photo(alt=urgent)), ME, COMPANY, known, RULES).severity is Severity.CLEAR


def test_a_reply_whose_alt_text_leads_away_pages_and_its_words_are_read() -> None:
    quiet = replace(ME, unapproved=((Kind.REPLY, Severity.RECORD),))
    for alt in ("Claim it at evil-prize.example/now", SCAM):
        reply = replace(shown(photo(alt=alt), text="@jo Please look at this."), kind=Kind.REPLY)
        assert judge(reply, quiet, COMPANY, Queue(), RULES).severity is Severity.PAGE


@pytest.mark.parametrize(
    ("media", "pictures", "said"),
    [
        (0, 0, ""),
        (2, 2, ""),
        (1, 0, "picture not compared: 1 picture or video is only counted, so the post will be a notice"),
        (3, 0, "picture not compared: 3 of 3 pictures or videos are only counted, so the post will be a notice"),
        (3, 1, "picture not compared: 2 of 3 pictures or videos are only counted, so the post will be a notice"),
    ],
)
def test_whoever_registers_a_number_is_told_what_comes_of_it(media: int, pictures: int, said: str) -> None:
    assert not_compared(media, pictures) == said
