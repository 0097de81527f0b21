"""Links are compared whole; a short link counts as itself; what it led to accuses and never excuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import rulebook
from monitor.model import Account, Company, Exact, Kind, Near, NoMatch, Post, Severity
from monitor.sources._x_payload import Includes, read_post
from monitor.verdict import judge
from monitor.verdict.approved import Queue
from monitor.verdict.links import canonical_links, hosts, links_in, sent_on
from monitor.verdict.shown_links import lengthened
from tests.verdict.test_approved import NOW, approved, post

COMPANY = Company("Acme Exchange", ("acme.example",), (), ("acme",))
ACCOUNT = Account("x", "1", "acme", unapproved=((Kind.REPLY, Severity.RECORD),))
RULES = rulebook.load([]).rules
TEXT = "Our report is out. https://acme.example/report"


def from_x(text: str, *urls: dict[str, str], **more: object) -> Post:
    data = {
        "id": "1992000000000000001",
        "text": text,
        "author_id": "1",
        "created_at": "2025-11-21T23:33:40.000Z",
        "entities": {"urls": list(urls)},
    }
    found = read_post(data | more, "x::1", Includes({}, {}), NOW)
    assert isinstance(found, Post)
    return replace(found, created_at=NOW)


def wrapped(expanded: str, unwound: str = "", tco: str = "https://t.co/a1") -> dict[str, str]:
    return {"url": tco, "expanded_url": expanded} | ({"unwound_url": unwound} if unwound else {})


@pytest.mark.parametrize("behind", ["を見て", "、どうぞ", "。", "看这里", "에서", "！"])
@pytest.mark.parametrize("link", ["https://acme.example", "https://acme.example/a", "http://acme.example/a"])
def test_a_link_that_a_text_goes_on_behind_without_a_blank_is_the_shown_link(link: str, behind: str) -> None:
    queue, text = Queue([approved(f"詳しくは{link}{behind}")]), f"詳しくはhttps://t.co/a1{behind}"
    assert judge(from_x(text, wrapped(link)), ACCOUNT, COMPANY, queue, RULES).severity is Severity.CLEAR
    for other in ("https://evil.example/a", f"{link}/b"):
        assert judge(from_x(text, wrapped(other)), ACCOUNT, COMPANY, queue, RULES).severity is Severity.PAGE
    posted = from_x(text, wrapped(link), {"url": "https://t.co/b2", "expanded_url": "https://acme.example/c"})
    assert judge(posted, ACCOUNT, COMPANY, queue, RULES).severity is Severity.PAGE


@pytest.mark.parametrize("host", ["例え.jp", "日本.みんな", "acme.example.evil.com", "acme.exampleé.com"])
def test_a_host_of_other_letters_stays_whole(host: str) -> None:
    assert hosts(f"https://{host}/x") == (host,)
    assert hosts(f"見てhttps://{host}") == (host,)


def test_a_short_link_that_x_unwinds_to_us_is_not_the_registered_link() -> None:
    posted = from_x("Our report is out. https://t.co/a1", wrapped("https://bit.ly/x", "https://acme.example/report"))
    assert posted.text == "Our report is out. https://bit.ly/x"
    assert isinstance(Queue([approved(TEXT)]).match(posted), NoMatch)
    assert judge(posted, ACCOUNT, COMPANY, Queue([approved(TEXT)]), RULES).severity is Severity.PAGE


def test_the_registered_address_is_itself_wherever_x_says_that_it_leads() -> None:
    posted = from_x("See https://t.co/a1", wrapped("https://bit.ly/x", "https://acme.example/report"))
    assert isinstance(Queue([approved("See https://bit.ly/x")]).match(posted), Exact)
    assert isinstance(Queue([approved("See", links=("https://bit.ly/x",))]).match(posted), Exact)


def test_a_short_link_of_our_own_shortener_counts_as_what_it_leads_to() -> None:
    ours = replace(COMPANY, shorteners=("go.acme.example",))
    posted = from_x("Our report is out. https://t.co/a1", wrapped("https://go.acme.example/x", "https://acme.example/report"))
    assert judge(posted, ACCOUNT, ours, Queue([approved(TEXT)]), RULES).severity is Severity.CLEAR
    elsewhere = from_x("Our report is out. https://t.co/a1", wrapped("https://go.acme.example/x", "https://acme.example/other"))
    assert judge(elsewhere, ACCOUNT, ours, Queue([approved(TEXT)]), RULES).severity is Severity.PAGE
    unfollowed = from_x("Our report is out. https://t.co/a1", wrapped("https://go.acme.example/x"))
    assert judge(unfollowed, ACCOUNT, ours, Queue([approved(TEXT)]), RULES).severity is Severity.PAGE


def test_a_longer_short_link_is_not_taken_for_the_one_it_begins_with() -> None:
    ours = Company("Acme", shorteners=("ac.me",))
    shown = post("a https://ac.me/x1 b https://ac.me/x.", unwound=(("https://ac.me/x", "https://acme.example/1"),))
    assert lengthened(shown, ours).text == "a https://ac.me/x1 b https://acme.example/1."


def test_where_a_short_link_led_accuses_under_a_reply_that_nobody_registers() -> None:
    posted = post("@jo this helps: https://go.acme.example/x", kind=Kind.REPLY, links=("https://go.acme.example/x",),
                  unwound=(("https://go.acme.example/x", "https://acme-claims.top/x"),))  # fmt: skip
    verdict = judge(posted, ACCOUNT, COMPANY, Queue(), RULES)
    assert verdict.severity is Severity.PAGE
    assert "acme-claims.top" in verdict.hosts


@pytest.mark.parametrize(
    "card",
    ["card://1899123", "https://acme.example/report?u=https://evil.example", "https://acme.example/other", "https://evil.example/report",
     "https://acme.example", "https://t.co/zz", "ACME://report", "poll2choice"],
)  # fmt: skip
def test_a_card_is_compared_whole_whatever_its_scheme(card: str) -> None:
    match = Queue([approved(TEXT)]).match(post(TEXT, links=("https://acme.example/report",), card=card))
    assert isinstance(match, NoMatch)
    assert "link card" in match.reason


def test_the_card_of_a_link_that_the_text_shows_or_the_registration_names_is_no_other_one() -> None:
    link = "https://acme.example/report"
    assert isinstance(Queue([approved(TEXT)]).match(post(TEXT, links=(link,), card=link)), Exact)
    assert isinstance(Queue([approved("Out now", links=("card://7",))]).match(post("Out now card://7", card="card://7")), Exact)
    shown = from_x("Our report is out. https://t.co/a1", wrapped(link), card_uri="https://t.co/a1")
    assert isinstance(Queue([approved(TEXT)]).match(shown), Exact)
    bare = from_x("Our report is out. https://t.co/a1", wrapped(link), card_uri="tombstone://card")
    assert isinstance(Queue([approved(TEXT)]).match(bare), Exact)


@pytest.mark.parametrize(
    "hidden",
    ["https://acme.example/report/2", "https://acme.example/report?x=1", "https://acme.example/report#x", "https://acme.example/", "https://t.me/acme_support",
     "https://acme.github.io/claim", "https://bit.ly/x", "https://t.co/x", "acme://report", "https://ACME.example/Report"],
)  # fmt: skip
def test_another_page_behind_the_registered_words_pages_also_on_a_host_that_is_known(hidden: str) -> None:
    registered = "Our report is out. https://acme.example/report More: https://t.me/acme https://acme.github.io/docs"
    match = Queue([approved(registered)]).match(post(registered, links=("https://acme.example/report", hidden)))
    assert isinstance(match, NoMatch)
    assert "link that they do not show" in match.reason


def test_a_hidden_link_of_x_without_a_target_pages() -> None:
    posted = from_x("Our report is out. https://t.co/a1", wrapped("https://acme.example/report"), {"url": "https://t.co/b2"})
    assert isinstance(Queue([approved(TEXT)]).match(posted), NoMatch)


@pytest.mark.parametrize(
    ("tag", "stays"),
    [
        ("utm_source=hootsuite", False), ("utm_medium=social&utm_campaign=q4_2026", False), ("fbclid=IwAR0abc-_x", False), ("utm_id=1", False),
        ("utm_content=post%20one", False), ("UTM_SOURCE=x", False),
        ("utm_redirect=evil", True), ("utm_evil=1", True), ("utm_=1", True), ("utm_source=https://evil.example", True),
        ("utm_source=//evil.example", True), ("utm_source=https%3A%2F%2Fevil.example", True), ("utm_campaign=a:b", True),
        ("gclid=a/b", True), ("ref_src=%2Fclaim", True), ("ref_src=%2fclaim", True), ("s_cid=%253A", True), ("utm_term=a%00b", True),
        ("utm_source=a;to=evil", True), ("utm_source=a@evil", True), ("utm_source=a\\evil", True), ("utm_source=a+b|c", True), ("utm_source=ａ", True),
    ],
)  # fmt: skip
def test_only_a_tag_that_tools_add_with_a_value_that_leads_nowhere_is_left_out(tag: str, stays: bool) -> None:
    link = f"https://acme.example/report?{tag}"
    assert (canonical_links(link) != "https://acme.example/report") is stays


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=12), st.text(max_size=30))
def test_no_tag_outside_the_list_and_no_value_that_could_be_an_address_is_ever_left_out(name: str, value: str) -> None:
    link = f"https://acme.example/report?{name}={value}"
    if canonical_links(link) == "https://acme.example/report" and "&" not in link and "#" not in link:
        assert (
            name.lower().startswith(("utm_", "gclid", "fbclid", "dclid", "msclkid", "twclid", "igshid", "mc_", "ref_src", "_hs", "s_cid"))
            or not name + value
        )
        assert not set(value) & set(":/\\@;=|")


@given(st.sampled_from(["https://acme.example/report", "https://t.me/acme"]), st.text("abc/?=&#.-_~%:@", min_size=1, max_size=12))
def test_a_link_that_differs_anywhere_is_another_one(link: str, more: str) -> None:
    posted = f"Our news: {link}{more}"
    match = Queue([approved(f"Our news: {link}")]).match(post(posted, links=(link + more,)))
    if isinstance(match, Exact):
        assert canonical_links(f"{link}{more}").rstrip(".") == canonical_links(link) or links_in(canonical_links(posted)) == {link}
    assert not isinstance(match, Near)


@pytest.mark.parametrize(
    "address",
    ["https://acme.example/login?next=https://evil.example/x", "https://acme.example/r?u=https%3A%2F%2Fevil.example", "https://acme.example/out/http://evil.example",
     "https://x.com/i/redirect?url=https%3a%2f%2fevil.example%2fx", "https://acme.example/#https://evil.example", "https://acme.example/?u=HTTPS%253A%252F%252Fevil.example"],
)  # fmt: skip
def test_a_link_to_us_that_sends_its_reader_on_leads_where_it_sends_them(address: str) -> None:
    assert sent_on("", (address,), COMPANY) == ("evil.example",)
    assert judge(post(f"@jo see {address}", kind=Kind.REPLY), ACCOUNT, COMPANY, Queue(), RULES).severity is Severity.PAGE


def test_a_link_to_us_that_leads_to_us_again_is_ours() -> None:
    own = "https://acme.example/login?next=https://app.acme.example/x"
    assert judge(post(f"@jo see {own}", kind=Kind.REPLY), ACCOUNT, COMPANY, Queue(), RULES).severity is Severity.RECORD
