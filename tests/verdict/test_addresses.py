"""Addresses by their standards' own examples; what only looks like one is none."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.verdict.addresses import TOO_MANY, addresses, chain_of, wallet_names

VALID = {
    "bitcoin": ["1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
                "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"],
    "ethereum": ["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", "0x52908400098527886E0F7030069857D2E4169EE7"],
    "bitcoincash": ["bitcoincash:qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a", "qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a"],
    "ripple": ["rPEPPER7kfTD9w2To4CQk6UCfuHM9c6GDY", "X7AcgcsBL6XDcUb289X4mJ8djcdyKaB5hJDWMArnXr61cqZ"],
    "solana": ["EYM2PCSVq7zZoFBqXiepECGNXSkKAyBREGymzzsFpump"],
    "cardano": ["addr1vpu5vlrf4xkxv2qpwngf6cjhtw542ayty80v8dyr49rf5eg0yu80w"],
    "ton": ["Ef_lZ1T4NCb2mwkme9h2rJfESCE0W34ma9lWp7-_uY3zXDvq"],
}  # fmt: skip


@pytest.mark.parametrize(("chain", "value"), [(c, v) for c, values in VALID.items() for v in values])
def test_an_address_is_known_by_its_checksum_and_one_wrong_letter_is_enough(chain: str, value: str) -> None:
    assert chain_of(value) == chain
    assert [a.chain for a in addresses(f"Send it to {value}, now.")] == [chain]
    unchecked = chain == "solana" or (chain == "ethereum" and value[2:] in (value[2:].lower(), value[2:].upper()))
    if not unchecked:
        at = len(value) - 3
        assert chain_of(value[:at] + ("2" if value[at] != "2" else "3") + value[at + 1 :]) == ""


@pytest.mark.parametrize(
    "text",
    [
        "bitcoin:1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2?amount=0.1",
        "ethereum:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed@1",
        "1BvBMSEYstWet\u200bqTFn5Au4m4GFg7xJaNVN2",
        "bc1q w508 d6qe jxtd g4y5 r3za rvar y0c5 xw7k v8f3 t4",
        "b c 1 q w 5 0 8 d 6 q e j x t d g 4 y 5 r 3 z a r v a r y 0 c 5 x w 7 k v 8 f 3 t 4",
        "0x5290840009 8527886E0F 7030069857 D2E4169EE7",
        "👉1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2👈",
    ],
)
def test_written_apart_or_behind_a_scheme_it_is_still_one(text: str) -> None:
    assert len(addresses(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "0x88df016429689c079f3b2f6ad39fa052532c56795b733da78a91ebe6a713944b",  # a transaction
        "9c718c7c02372a6b7e300990511cd6fdff7f1dfa",  # a commit
        "#ThisIsAVeryLongHashtagUsedInAMarketingCampaign",
        "Donaudampfschifffahrtsgesellschaftskapitaen2024",
        "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKZtcN",
        "DE89370400440532013000 and 123e4567-e89b-12d3-a456-426614174000",
        "0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",  # cases that no wallet takes
        "The 26th state today to embrace Medicaid expansion 2024 and 3 more of the 12 states in 2025",
    ],
)
def test_what_only_looks_like_one_is_none(text: str) -> None:
    assert addresses(text) == ()


def test_two_beside_each_other_are_two() -> None:
    one, other = VALID["bitcoin"][:2]
    for between in (" ", ",", "\n", "/", " - "):
        assert [a.value for a in addresses(f"{one}{between}{other}{between}{one}")] == [one, other]
    assert wallet_names("aaa.eth bbb.eth ccc.eth") == ("aaa.eth", "bbb.eth", "ccc.eth")


def test_names_that_wallets_resolve() -> None:
    assert wallet_names("Send to Acme-Relief.eth or fund[.]sol, not to a.eth.link or me@x.eth") == ("acme-relief.eth", "fund.sol")


def test_an_address_hidden_among_hundreds_is_told_by_their_number() -> None:
    assert addresses("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb " * 700)[-1].value == TOO_MANY


@given(st.text(max_size=300))
@settings(max_examples=300, deadline=None)
def test_no_text_makes_it_raise(text: str) -> None:
    addresses(text)
    wallet_names(text.encode("utf-8", "replace").decode())
    if text:
        chain_of(text)
