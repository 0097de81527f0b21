"""Every place a reader could reach, and whose it is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.model import Company
from monitor.verdict.links import Place, hosts, place, registered_name

COMPANY = Company("Binary", ("binary.com", "bny.example"), (), ())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Claim on drop.xyz today", ("drop.xyz",)),
        ("go to drop[.]xyz or drop(dot)top", ("drop.xyz", "drop.top")),
        ("hxxps://drop.xyz/a", ("drop.xyz",)),
        ("https://ours.example@drop.xyz/a", ("drop.xyz",)),
        ("https://drop.xyz\\@ours.example", ("drop.xyz",)),
        ("https://drop.xyz/?to=https://ours.example", ("drop.xyz",)),
        ("dr\u200bop.xyz and ｄｒｏｐ．ｔｏｐ", ("drop.xyz", "drop.top")),
        ("write to help@drop.xyz", ()),
        ("one.io two.io three.io,four.io;five.io", ("one.io", "two.io", "three.io", "four.io", "five.io")),
        ("Node.js 22, README.md and update.zip", ()),
        ("open evil.zip/claim", ("evil.zip",)),
        ("It is live.Join us. U.S. at 8 a.m., up 3.2x", ()),
        ("acme . io and acme .io", ("acme.io",)),
        ("http://45.9.148.2/a", ("45.9.148.2",)),
        ("bücher.example and xn--bcher-kva.example", ("bücher.example", "xn--bcher-kva.example")),
    ],
)
def test_every_host_a_reader_could_reach(text: str, found: tuple[str, ...]) -> None:
    assert hosts(text) == found or set(hosts(text)) == set(found)


@pytest.mark.parametrize(
    ("host", "whose"),
    [
        ("binary.com", Place.OURS),
        ("shop.binary.com", Place.OURS),
        ("binary.io", Place.LOOKALIKE),  # another suffix
        ("binary-airdrop.xyz", Place.LOOKALIKE),  # our name inside
        ("getbinaryapp.com", Place.LOOKALIKE),
        ("binray.com", Place.LOOKALIKE),  # one edit away
        ("binar.com", Place.LOOKALIKE),
        ("b1nary.net", Place.LOOKALIKE),  # drawn alike
        ("bіnary.com", Place.LOOKALIKE),  # the i is Cyrillic
        ("xn--" + "bіnary".encode("punycode").decode() + ".com", Place.LOOKALIKE),
        ("blnary.com", Place.LOOKALIKE),
        ("binary.com.evil.io", Place.LOOKALIKE),  # ours below theirs
        ("binary.claims.io", Place.LOOKALIKE),
        ("login-binary.web.app", Place.LOOKALIKE),
        ("getbinaryapp.hosting-of-all.org", Place.LOOKALIKE),
        ("canary.yahoo.com", Place.FOREIGN),  # an edit away, but not the name that was registered
        ("library.org", Place.FOREIGN),
        ("bny-claim.io", Place.LOOKALIKE),  # a short name as a word of its own
        ("bnyx.io", Place.FOREIGN),
        ("x.com", Place.PLATFORM),
        ("bit.ly", Place.SHORTENER),
        ("t.co", Place.WRAPPED),
        ("medium.com", Place.FOREIGN),
    ],
)
def test_whose_a_host_is(host: str, whose: Place) -> None:
    assert place(host, COMPANY) is whose


def test_names_one_edit_away_below_another_registered_name_are_silent() -> None:
    assert place("finance.yahoo.com", Company("B", ("binance.com",))) is Place.FOREIGN
    assert place("finance.yahoo.com", Company("F", ("finances.io",))) is Place.FOREIGN


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("www.acme.co.uk", "acme.co.uk"),
        ("a.b.acme.com", "acme.com"),
        ("x.github.io", "x.github.io"),
        ("com", "com"),
        ("acme.example", "acme.example"),
    ],
)
def test_the_name_somebody_registered(host: str, name: str) -> None:
    assert registered_name(host) == name


@given(st.text(max_size=200), st.text(max_size=30))
@settings(max_examples=300, deadline=None)
def test_no_text_makes_it_raise(text: str, host: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    for found in (*hosts(text), *hosts("", (host,)), host):
        place(found.lower(), COMPANY)
        registered_name(found)
