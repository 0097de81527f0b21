"""Whatever a reader sees beside the words is compared with the registration, or somebody is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.model import ApprovedPost, Exact, Kind, NoMatch, Post, Severity
from monitor.sources._x_dialect import LADDERS, unseen_parts
from monitor.sources._x_payload import Includes, read_post
from monitor.verdict import judge
from monitor.verdict.approved import Queue
from monitor.verdict.shown_parts import UNREAD, parts
from tests.verdict.test_approved import ME, NOW, approved, post
from tests.verdict.test_judge import ACCOUNT, COMPANY, RULES

WORDS = "Our fees fall on Monday, for everybody."
NAMES = ("quotes", "answers", "reposts")
KINDS = {"quotes": Kind.QUOTE, "answers": Kind.REPLY, "reposts": Kind.REPOST}


def worth(posted: Post, *registrations: ApprovedPost) -> tuple[Severity, str]:
    verdict = judge(posted, ACCOUNT, COMPANY, Queue(registrations), RULES)
    return verdict.severity, verdict.reason


def at(name: str, identifier: str, **more: object) -> Post:
    """A post with these words that quotes, answers or reposts another one."""
    return post(WORDS, kind=KINDS[name], referenced_id=identifier, **more)


@pytest.mark.parametrize("name", NAMES)
def test_a_registration_that_names_the_other_post_excuses_it_there_and_nowhere_else(name: str) -> None:
    one = approved(WORDS, kind=KINDS[name], shown=((name, "55"),))
    assert worth(at(name, "55"), one)[0] is Severity.CLEAR
    severity, reason = worth(at(name, "66"), one)
    assert severity is Severity.PAGE
    assert "post 66, and post 55 was registered" in reason
    assert worth(at(name, ""), one)[0] is Severity.PAGE


@pytest.mark.parametrize("name", NAMES)
def test_a_registration_that_names_no_other_post_is_a_notice(name: str) -> None:
    severity, reason = worth(at(name, "66"), approved(WORDS, kind=KINDS[name]))
    assert severity is Severity.NOTIFY
    assert f"post 66, which the registration does not name (--{name})" in reason


def test_a_registered_post_below_one_of_our_own_needs_its_name_too() -> None:
    below = post(WORDS, referenced_id="90", conversation="90")
    assert worth(below, approved(WORDS))[0] is Severity.NOTIFY
    assert worth(below, approved(WORDS, shown=(("answers", "90"),)))[0] is Severity.CLEAR
    assert worth(below, approved(WORDS, kind=Kind.REPLY, shown=(("answers", "90"),)))[0] is Severity.CLEAR, "it calls it a reply"
    assert worth(below, approved(WORDS, shown=(("answers", "91"),)))[0] is Severity.PAGE
    assert worth(post(WORDS), approved(WORDS, shown=(("answers", "91"),)))[0] is Severity.PAGE, "it answers none"
    assert worth(post(WORDS, conversation="90"), approved(WORDS))[0] is Severity.NOTIFY, "X does not say which post it answers"
    assert worth(post(WORDS, conversation="100"), approved(WORDS))[0] is Severity.CLEAR
    assert worth(post(WORDS, id="101", version=2, conversation="100"), approved(WORDS))[0] is Severity.CLEAR, "an edit begins no other"


def test_a_registered_text_below_a_strangers_post_is_not_silent_although_replies_are_only_recorded() -> None:
    below = replace(at("answers", "66"), text=f"@stranger {WORDS}", automatic=len("@stranger "))
    assert worth(below)[0] is Severity.RECORD, "what nobody registered is"
    assert worth(below, approved(WORDS))[0] is Severity.NOTIFY
    assert worth(below, approved(WORDS, kind=Kind.REPLY))[0] is Severity.NOTIFY
    assert worth(below, approved(WORDS, kind=Kind.REPLY, shown=(("answers", "66"),)))[0] is Severity.CLEAR
    assert worth(below, approved(WORDS, kind=Kind.REPLY, shown=(("answers", "55"),)))[0] is Severity.PAGE
    assert worth(below, approved(WORDS, kind=Kind.QUOTE, shown=(("quotes", "55"),)))[0] is Severity.PAGE


def test_a_quote_that_stands_below_a_strangers_post_shows_both() -> None:
    quote = at("quotes", "55", answers="66")
    assert worth(quote, approved(WORDS, kind=Kind.QUOTE, shown=(("quotes", "55"),)))[0] is Severity.NOTIFY
    both = (("quotes", "55"), ("answers", "66"))
    assert worth(quote, approved(WORDS, kind=Kind.QUOTE, shown=both))[0] is Severity.CLEAR
    assert worth(replace(quote, answers="67"), approved(WORDS, kind=Kind.QUOTE, shown=both))[0] is Severity.PAGE


def test_the_first_part_of_a_thread_stands_alone_and_the_others_below_it() -> None:
    first = approved(WORDS, part=1, parts=2)
    second = approved("And here is how.", 2, part=2, parts=2, after=1)
    assert worth(post(WORDS, referenced_id="90", conversation="90"), first, second)[0] is Severity.NOTIFY
    used = replace(first, used_by="100", used_at=NOW)
    below = post("And here is how.", id="101", root_id="101", referenced_id="100", conversation="100")
    assert worth(below, used, second)[0] is Severity.CLEAR
    assert worth(replace(below, kind=Kind.QUOTE, answers="100", referenced_id="7"), used, second)[0] is Severity.PAGE


@pytest.mark.parametrize(
    ("part", "value", "severity"),
    [
        ("community", "1493446837214187523", Severity.PAGE),
        ("poll", "2 choices", Severity.PAGE),
        ("poll", UNREAD, Severity.PAGE),
        ("attached", "hologram 7", Severity.PAGE),
        ("place", "01a9a39529b27f36", Severity.NOTIFY),
        ("paid", "yes", Severity.NOTIFY),
        ("audience", "followers", Severity.NOTIFY),
    ],
)
def test_a_part_that_the_registration_does_not_name_is_told(part: str, value: str, severity: Severity) -> None:
    posted = post(WORDS, shown=((part, value),), poll=part == "poll")
    assert worth(posted, approved(WORDS))[0] is severity
    assert worth(posted, approved(WORDS, shown=((part, "another"),)))[0] is severity
    assert worth(posted, approved(WORDS, shown=((part, value),)))[0] is Severity.CLEAR


@pytest.mark.parametrize("settings", ["mentionedUsers", "following", "subscribers", "verified", "other", "something new"])
def test_who_may_reply_is_a_notice_unless_everybody_or_registered(settings: str) -> None:
    severity, reason = worth(post(WORDS, reply_settings=settings), approved(WORDS))
    assert severity is Severity.NOTIFY
    assert settings in reason
    assert worth(post(WORDS, reply_settings=settings), approved(WORDS, shown=(("replies", settings),)))[0] is Severity.CLEAR
    assert worth(post(WORDS, reply_settings="everyone"), approved(WORDS))[0] is Severity.CLEAR


def test_a_poll_of_which_only_the_flag_is_known_pages() -> None:
    assert worth(post(WORDS, poll=True), approved(WORDS))[0] is Severity.PAGE


@pytest.mark.parametrize("name", ["community", "audience"])
def test_a_post_for_a_few_that_everybody_sees_is_a_notice(name: str) -> None:
    assert worth(post(WORDS), approved(WORDS, shown=((name, "1"),)))[0] is Severity.NOTIFY


VALUES = st.sampled_from(["", "1", "2"])


@given(st.dictionaries(st.sampled_from(["community", "poll", "attached", "place", "paid", "audience"]), VALUES.filter(bool)),
       st.dictionaries(st.sampled_from(["community", "poll", "attached", "place", "paid", "audience", *NAMES]), VALUES.filter(bool)),
       st.sampled_from([Kind.POST, Kind.REPLY, Kind.QUOTE, Kind.REPOST]), VALUES, VALUES, st.sampled_from(["", "everyone", "following"]))  # fmt: skip
def test_no_post_is_clear_of_which_a_part_is_not_named(
    there: dict[str, str], named: dict[str, str], kind: Kind, referenced: str, conversation: str, replies: str
) -> None:
    posted = post(WORDS, kind=kind, referenced_id=referenced, conversation=conversation, reply_settings=replies, shown=tuple(there.items()))
    severity, _ = worth(posted, approved(WORDS, kind=kind, shown=tuple(named.items())))
    other = {name for name, value in parts(posted).items() if named.get(name) != value}
    if other:
        assert severity >= Severity.NOTIFY
    if other & {"community", "poll", "attached"}:
        assert severity is Severity.PAGE
    if {name for name in NAMES if name in named and named[name] != parts(posted).get(name)}:
        assert severity is Severity.PAGE


def test_a_repost_can_be_registered_by_its_post_alone_and_rules_still_accuse_it() -> None:
    one = approved("", kind=Kind.REPOST, shown=(("reposts", "55"),))
    posted = post("RT @partner: We open a shop", kind=Kind.REPOST, referenced_id="55", referenced_author="partner")
    match = Queue([one]).match(posted)
    assert isinstance(match, Exact)
    assert not match.words
    assert worth(posted, one)[0] is Severity.CLEAR
    assert worth(replace(posted, referenced_id="56"), one)[0] is Severity.PAGE
    assert worth(replace(posted, text="RT @partner: send to bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"), one)[0] is Severity.PAGE
    assert isinstance(Queue([one]).match(post("")), NoMatch)


def test_two_of_the_same_words_are_told_apart_by_what_they_answer() -> None:
    ones = [approved(WORDS, n, kind=Kind.REPLY, shown=(("answers", str(50 + n)),)) for n in (1, 2, 3)]
    match = Queue(ones).match(at("answers", "52"))
    assert isinstance(match, Exact)
    assert match.approved == 2


# --- what X says ------------------------------------------------------------------------------------------------------------


def read(more: Includes | None = None, **data: Any) -> Post:
    made = read_post({"id": "1990000000000000001", "text": WORDS, "author_id": "1", **data}, ME, more or Includes({}, {}), NOW)
    assert isinstance(made, Post)
    return made


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ({"community_id": "1493446837214187523"}, (("community", "1493446837214187523"),)),
        ({"geo": {"place_id": "01a9a39529b27f36"}}, (("place", "01a9a39529b27f36"),)),
        ({"geo": {"coordinates": {"type": "Point", "coordinates": [-9.1, 38.7]}}}, (("place", "-9.1,38.7"),)),
        ({"geo": {"something": "else"}}, (("place", "somewhere"),)),
        ({"geo": {}}, ()),
        ({"geo": {"place_id": None, "coordinates": None}}, ()),
        ({"paid_partnership": True}, (("paid", "yes"),)),
        ({"paid_partnership": False}, ()),
        ({"scopes": {"followers": True}}, (("audience", "followers"),)),
        ({"scopes": {"followers": False}}, ()),
        ({"scopes": {"followers": False, "subscribers": True}}, (("audience", "subscribers"),)),
        ({"attachments": {"poll_ids": ["7"]}}, (("poll", UNREAD),)),
        ({"attachments": {"media_source_tweet_id": ["55"]}}, (("attached", "media_source_tweet_id 55"),)),
        ({"attachments": {"hologram": "7"}}, (("attached", "hologram 7"),)),
        ({"attachments": {"media_keys": None, "poll_ids": None, "media_source_tweet_id": None}}, ()),
    ],
)
def test_what_x_says_of_a_post_is_named(data: dict[str, Any], shown: tuple[tuple[str, str], ...]) -> None:
    made = read(**data)
    assert made.shown == shown
    assert made.poll is any(name == "poll" for name, _ in shown)


def test_the_choices_of_a_poll_are_read_and_counted() -> None:
    more = Includes({}, {"7": {"id": "7", "options": [{"label": "Yes"}, {"label": "No"}]}, "8": {"id": "8"}})
    assert read(more, attachments={"poll_ids": ["7"]}).shown == (("poll", "2 choices"),)
    assert read(more, attachments={"poll_ids": ["7", "8"]}).shown == (("poll", UNREAD),)
    registered = approved(f"{WORDS}\n- Yes\n- No", shown=(("poll", "2 choices"),))
    seen = replace(read(more, attachments={"poll_ids": ["7"]}), created_at=NOW)
    assert worth(seen, registered)[0] is Severity.CLEAR
    assert worth(seen, approved(f"{WORDS}\n- Yes\n- No"))[0] is Severity.PAGE, "registered as lines of the text"
    assert worth(replace(seen, text=f"{WORDS}\n- Yes\n- Never"), registered)[0] is not Severity.CLEAR
    hidden = replace(read(attachments={"poll_ids": ["7"]}), created_at=NOW)
    assert worth(hidden, approved(WORDS))[0] is Severity.PAGE
    assert "with a poll whose choices the platform does not give" in worth(hidden, approved(WORDS))[1]


def test_a_quote_in_a_reply_names_the_post_that_it_stands_below() -> None:
    refs = [{"type": "quoted", "id": "55"}, {"type": "replied_to", "id": "66"}]
    assert read(referenced_tweets=refs, in_reply_to_user_id="9").answers == "66"
    assert read(referenced_posts=refs, in_reply_to_user_id="9").answers == "66"
    assert read(referenced_tweets=refs[:1], in_reply_to_user_id="9", conversation_id="44").answers == "44"
    assert read(referenced_tweets=refs[:1], in_reply_to_user_id="9").answers == "another post"
    assert read(referenced_tweets=refs[:1], conversation_id="1990000000000000001").answers == ""


@pytest.mark.parametrize(
    ("text", "reaches", "automatic"),
    [
        ("@jo @mo thanks", [8, 14], 8),
        ("@jo @mo thanks", [4, 14], 4),  # the second handle was typed
        ("@jo @mo thanks", [0, 14], 0),
        ("@jo @mo thanks", [99, 14], 8),  # never more than the handles
        ("@jo @mo thanks", None, 8),
        ("@jo @mo thanks", ["8", 14], 8),
        ("thanks @jo", [0, 10], 0),
    ],
)
def test_only_the_handles_that_x_itself_put_before_a_reply_are_its_own(text: str, reaches: object, automatic: int) -> None:
    refs = [{"type": "replied_to", "id": "66"}]
    assert read(text=text, display_text_range=reaches, referenced_tweets=refs).automatic == automatic
    assert read(text=text, display_text_range=reaches).automatic == 0, "no reply"


@pytest.mark.parametrize("rung", [0, 1])
def test_every_field_is_asked_for_in_either_dialect(rung: int) -> None:
    form = LADDERS["timelines"][rung]
    asked = form.params["tweet.fields" if rung == 0 else "post.fields"].split(",")
    assert {
        "community_id",
        "geo",
        "paid_partnership",
        "scopes",
        "attachments",
        "reply_settings",
        "display_text_range",
        "conversation_id",
    } <= set(asked)
    assert "attachments.poll_ids" in form.params["expansions"]
    assert "options" in form.params["poll.fields"]
    assert not unseen_parts(form)
