"""Whoever has the account chooses the form: none that costs nothing makes a post worth less."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor import record, rulebook
from monitor.model import NO_CONTEXT, Account, Company, Context, Exact, Kind, Media, Original, Post, ProfileChange, Severity, Standing
from monitor.sources._x_payload import includes, read_post
from monitor.verdict import judge, judge_change
from monitor.verdict.approved import Queue
from tests.verdict.test_approved import ME, NOW, approved, post

RULES = rulebook.load([]).rules
COMPANY = Company("Acme Exchange", ("acme.example",), (), ("acme", "AcmeSupport"))
GENTLE = Account("x", "1", "acme", unapproved=tuple((k, Severity.RECORD) for k in Kind if k is not Kind.POST))
POSTS = Path(__file__).parents[3] / "shared" / "data" / "incident_posts_dev.jsonl"
REPOST = post("RT @acme: Hello there", kind=Kind.REPOST, referenced_id="7", referenced_author="acme")


def texts() -> list[str]:
    """Of real hijacks, where they are at hand, and some of our own."""
    real = [json.loads(line)["text"] for line in POSTS.read_text().splitlines()] if POSTS.is_file() else []
    return [*real, "Good morning.", "We are closing. Goodbye.", "Big news today", ""]


def on_x(text: str, **fields: Any) -> Post:
    """As X gives it."""
    made = read_post({"id": "1859500000000000000", "text": text, "author_id": "1"} | fields, ME, includes({}), NOW)
    assert isinstance(made, Post), made
    return made


def severity(one: Post, context: Context = NO_CONTEXT, account: Account = GENTLE, queue: Queue | None = None) -> Severity:
    return judge(one, account, COMPANY, queue or Queue(), RULES, context).severity


@pytest.mark.parametrize("text", texts())
def test_no_form_makes_the_text_of_a_hijack_silent(text: str) -> None:
    picture = (Media("photo"),)
    assert severity(post("@jo here you go", kind=Kind.REPLY, media=picture)) >= Severity.NOTIFY
    for standing in (Standing.UNAPPROVED, Standing.ACCUSED, Standing.UNREAD):
        assert severity(REPOST, Context(original=standing)) is Severity.PAGE
    typed = {"author_id": "1", "in_reply_to_user_id": "99"}
    quoted = [{"type": "quoted", "id": "55"}]
    for one in (
        on_x(f"RT @acme: {text}"), on_x(f"RT @partner: {text}"), on_x(f"@jo {text}", **typed), on_x(f"@jo {text}"),
        on_x(f"{text} https://t.co/a", referenced_tweets=quoted),
        on_x(f"@jo {text}", referenced_tweets=[*quoted, {"type": "replied_to", "id": "56"}], **typed),
        on_x(text, in_reply_to_user_id="1"),
    ):  # fmt: skip
        assert severity(one) is Severity.PAGE, one.kind


@settings(deadline=None)
@given(
    st.text(max_size=80), st.sampled_from(["RT @acme: ", "RT @partner: ", "@jo ", "QT @acme: ", "via @acme: ", ". @jo ", ""]), st.booleans()
)
def test_whatever_is_typed_without_a_reference_is_worth_what_a_post_is(text: str, before: str, answered: bool) -> None:
    made = on_x(before + text, **({"in_reply_to_user_id": "99"} if answered else {}))
    assert made.kind is Kind.POST
    assert severity(made) is Severity.PAGE
    assert made.referenced_author == ""


def test_a_typed_form_counts_for_the_strictest_of_what_it_may_be() -> None:
    strict = Account(
        "x", "1", "acme", unapproved=((Kind.POST, Severity.RECORD), (Kind.REPLY, Severity.NOTIFY), (Kind.REPOST, Severity.PAGE))
    )
    assert severity(on_x("RT @acme: Hello"), account=strict) is Severity.PAGE
    assert severity(on_x("@jo Hello", in_reply_to_user_id="9"), account=strict) is Severity.NOTIFY
    assert severity(on_x("Hello"), account=strict) is Severity.RECORD


def test_only_a_reference_makes_a_reply_and_an_event_may_name_it_beside_them() -> None:
    assert on_x("@jo hi", in_reply_to_user_id="9", referenced_tweets=[{"type": "replied_to", "id": "5"}]).kind is Kind.REPLY
    assert on_x("@jo hi", in_reply_to_user_id="9", in_reply_to_tweet_id="5").kind is Kind.REPLY
    assert on_x("and more", in_reply_to_user_id="1", referenced_tweets=[{"type": "replied_to", "id": "5"}]).kind is Kind.POST


# --- reposts of our own, and what a profile pins -----------------------------------------------------------


def test_a_repost_of_our_own_is_quiet_in_two_cases_only() -> None:
    strict = replace(GENTLE, unapproved=())
    for account in (GENTLE, strict):
        quiet = [s for s in Standing if severity(REPOST, Context(original=s), account) <= Severity.RECORD]
        assert quiet == [Standing.APPROVED, Standing.OLDER]
    assert severity(REPOST, Context(), strict) is Severity.PAGE, "nobody knows whose it is: the handle excuses nothing"


def test_a_rule_that_accuses_an_older_post_makes_its_repost_a_post_whatever_its_severity() -> None:
    whole = Original(ME, NOW, "Send 1 BTC and we send 2 BTC back. Giveaway! 1BoatSLRHtKNngkdXEeobR76b53LETtpyT")
    assert severity(replace(REPOST, original=whole), Context(original=Standing.OLDER)) is Severity.PAGE
    harmless = replace(whole, text="Hello there, all of you")
    assert severity(replace(REPOST, original=harmless), Context(original=Standing.OLDER)) is Severity.RECORD


def test_what_a_rule_says_of_an_approved_text_does_not_accuse_its_repost_unless_it_accuses_approved_posts_too() -> None:
    words = replace(REPOST, text="RT @acme: Last day for withdrawals in the old app: move to the new one.")
    verdict = judge(words, GENTLE, COMPANY, Queue(), RULES, Context(original=Standing.APPROVED))
    assert (verdict.severity, verdict.reason) == (Severity.RECORD, "a repost of a post of our own that was approved: recorded, nobody told")
    wallet = replace(REPOST, text="RT @acme: pay to bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4")
    assert severity(wallet, Context(original=Standing.APPROVED)) is Severity.PAGE


def test_rules_read_the_reposted_post_to_its_end_where_it_came_along() -> None:
    data = {"id": "1859500000000000001", "text": "RT @partner: Hello…", "referenced_tweets": [{"type": "retweeted", "id": "7"}]}
    more = {"tweets": [{"id": "7", "author_id": "5", "text": "Hello. Send to bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"}]}
    made = read_post(data, ME, includes({"includes": more}), NOW)
    assert isinstance(made, Post)
    assert made.original == Original("", made.original.created_at, more["tweets"][0]["text"]) if made.original else False
    assert severity(made) is Severity.PAGE


@pytest.mark.parametrize(
    "broken", [{"id": "7"}, {"id": "7", "text": None, "entities": 5}, {"id": "7", "text": "x", "referenced_tweets": "no"}]
)
def test_a_broken_include_costs_only_itself(broken: dict[str, Any]) -> None:
    data = {"id": "1859500000000000001", "text": "RT @partner: Hello", "referenced_tweets": [{"type": "retweeted", "id": "7"}]}
    made = read_post(data, ME, includes({"includes": {"tweets": [broken]}}), NOW)
    assert isinstance(made, Post)
    assert made.kind is Kind.REPOST


def pin(after: str, standing: Standing | None, **more: Any) -> Severity:
    change = ProfileChange(ME, "pinned_post", "1", after, NOW, **more)
    return judge_change(change, COMPANY, Queue(), RULES, Context(original=standing)).severity


def test_a_pinned_post_pages_by_the_same_test_as_a_repost() -> None:
    assert [s for s in Standing if pin("7", s) is Severity.NOTIFY] == [Standing.APPROVED, Standing.OLDER]
    assert pin("7", None) is Severity.PAGE
    assert pin("", None) is Severity.NOTIFY, "nothing is pinned any more"
    scam = Original(ME, NOW, "Claim the airdrop, connect your wallet")
    assert pin("7", Standing.OLDER, original=scam) is Severity.PAGE


# --- what the platform does not give --------------------------------------------------------------------------


def test_an_article_without_its_body_is_a_notice_with_an_approved_title_too() -> None:
    url = {"url": "https://t.co/a", "expanded_url": "https://x.com/i/article/9"}
    made = on_x("https://t.co/a", article={"title": "Our year"}, entities={"urls": [url]})
    assert (made.text, made.links, made.unread) == ("Our year", (), ("the body of its article",))
    queue = Queue([approved("Our year", not_before=made.created_at, not_after=made.created_at)])
    verdict = judge(made, GENTLE, COMPANY, queue, RULES)
    assert verdict.severity is Severity.NOTIFY
    assert isinstance(verdict.match, Exact)
    assert "the body of its article was not compared" in verdict.reason
    quiet = Account("x", "1", "acme", unapproved=((Kind.POST, Severity.RECORD),))
    assert severity(made, account=quiet) is Severity.NOTIFY


def test_the_body_of_an_article_is_compared_where_it_is_given_and_another_article_is_a_link() -> None:
    assert on_x("x", article={"title": "Our year", "plain_text": "It was long."}).text == "Our year\nIt was long.\nx"
    assert on_x("x", article={"title": "Our year", "plain_text": "It was long."}).unread == ()
    assert on_x("x", article={}).unread
    urls = [{"url": f"https://t.co/{n}", "expanded_url": f"https://x.com/i/article/{n}"} for n in (1, 2)]
    assert len(on_x("https://t.co/1 https://t.co/2", article={"title": "Our year"}, entities={"urls": urls}).links) == 2
    assert on_x("https://t.co/1", entities={"urls": urls[:1]}).links


def test_pictures_of_which_only_the_link_came_are_still_pictures() -> None:
    url = {"url": "https://t.co/a", "expanded_url": "https://x.com/acme/status/1859500000000000000/photo/1"}
    assert on_x("hi https://t.co/a", entities={"urls": [url]}).media == (Media("unknown"),)
    assert on_x("hi https://t.co/a", entities={"urls": [url | {"media_key": "3_1"}]}).media == (Media("unknown"),)


@pytest.mark.parametrize("history", [[""], [None], "x", [], None, ["x", {}], 5])
def test_a_history_without_ids_is_the_post_alone(history: object) -> None:
    made = on_x("hi", edit_history_tweet_ids=history)
    assert (made.root_id, made.version, made.versions) == (made.id, 1, (made.id,))


def test_what_was_read_comes_back_from_the_store_as_it_was() -> None:
    shown = Original(ME, NOW, "Hello", ("https://acme.example/",))
    for item in (
        replace(REPOST, original=shown, forms=(Kind.REPLY,), versions=("1", "2"), unread=("a",)),
        ProfileChange(ME, "pinned_post", "", "7", NOW, shown), ProfileChange(ME, "bio", "", "x", NOW),
    ):  # fmt: skip
        assert record.stored(json.loads(record.dump(item))) == item
    assert record.context(json.loads(record.dump_context(Context(original=Standing.OLDER)))) == Context(original=Standing.OLDER)
    assert record.context({}) == Context()


# --- the profile ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "before", "after", "wanted"),
    [
        ("banner", "", "https://pbs.twimg.com/profile_banners/1/2", Severity.PAGE),
        ("banner", "https://pbs.twimg.com/profile_banners/1/2", "", Severity.PAGE),
        ("bio", "Trade with us.", "Trade with us. Call +1 202 555 0143", Severity.PAGE),
        ("bio", "Trade with us.", "Trade with us. Help: @acme_helpdesk", Severity.PAGE),
        ("bio", "Trade with us.", "Trade with us. Help: ＠acme_helpdesk", Severity.PAGE),
        ("bio", "Trade with us.", "Trade with us. Help: @ACMESUPPORT", Severity.NOTIFY),
        ("bio", "Trade with us.", "Trade with us. help@acme.example", Severity.NOTIFY),
        ("bio", "Trade with us.", "Tips: bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", Severity.PAGE),
        ("bio", "Trade with us.", "Trade with us. acmegifts.eth", Severity.PAGE),
        ("bio", "Trade with us.", "This account was hacked", Severity.PAGE),
        ("bio", "Trade with us.", "Official support of Acme, write to us", Severity.PAGE),
        ("location", "Lisbon", "Lisbon, WhatsApp", Severity.PAGE),
        ("location", "Lisbon", "t.me/acme", Severity.PAGE),
        ("location", "Lisbon", "@acme_helpdesk", Severity.PAGE),
        ("location", "Lisbon", "Berlin", Severity.NOTIFY),
        ("bio", "Trade with us. CEO: @jo", "Trade with us in Berlin. CEO: @jo", Severity.NOTIFY),
        ("bio", "Trade with us. CEO: @jo", "Trade with us in Berlin. CEO: @jim", Severity.PAGE),
        ("bio", "Join t.me/acme", "Join t.me/acme in Berlin", Severity.NOTIFY),
        ("bio", "Join t.me/acme", "Join t.me/acme_two", Severity.PAGE),
        ("bio", "Join t.me/acme. CEO: @jo", "Join t.me/acme 24/7 since 2015. CEO: @jo", Severity.NOTIFY),
        ("bio", "Join t.me/acme", "Join evil.xyz", Severity.PAGE),
    ],
)
def test_of_a_bio_or_a_location_what_came_new_counts(field: str, before: str, after: str, wanted: Severity) -> None:
    assert judge_change(ProfileChange(ME, field, before, after, NOW), COMPANY, Queue(), RULES).severity is wanted


def test_a_registered_bio_may_say_all_that() -> None:
    bio = "Call +1 202 555 0143, help from @acme_helpdesk. Official support."
    queue = Queue([approved(bio, kind=Kind.PROFILE, field="bio")])
    assert judge_change(ProfileChange(ME, "bio", "Old", bio, NOW), COMPANY, queue, RULES).severity is Severity.CLEAR


@pytest.mark.parametrize(
    ("fields", "worth"),
    [
        ({"card_uri": "card://1899"}, Severity.NOTIFY),
        ({"attachments": {"hologram_ids": ["7"]}}, Severity.NOTIFY),
        ({"referenced_tweets": [{"type": "replied_to", "id": "56"}, {"type": "remixed", "id": "57"}]}, Severity.NOTIFY),
        ({"attachments": {"poll_ids": ["7"]}}, Severity.PAGE),
        ({}, Severity.RECORD),
    ],
)
def test_what_else_a_reply_shows_is_told_like_a_picture(fields: dict[str, Any], worth: Severity) -> None:
    answer = {"in_reply_to_user_id": "99", "referenced_tweets": [{"type": "replied_to", "id": "56"}]}
    one = on_x("@jo here you go", **answer | fields)
    assert one.kind is Kind.REPLY
    assert severity(one) is worth


def test_a_kind_of_reference_that_nobody_knows_is_excused_by_no_registration() -> None:
    text = "Good morning."
    posted = replace(on_x(text, referenced_tweets=[{"type": "remixed", "id": "57"}]), created_at=NOW)
    assert severity(posted, queue=Queue([approved(text)])) is Severity.PAGE


def test_a_handle_typed_before_a_registered_text_is_no_part_of_a_reply() -> None:
    """X names its owner as answered, and may leave out the range that is displayed."""
    text = "Good morning."
    posted = replace(on_x(f"@acme_help {text}", in_reply_to_user_id="99"), created_at=NOW)
    assert severity(posted, queue=Queue([approved(text)])) is Severity.PAGE
