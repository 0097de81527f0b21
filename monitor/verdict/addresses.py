"""Wallet addresses a reader could copy, with their checksums.

Sources: BIP-173/350 (bech32, bech32m), the Bitcoin wiki (Base58Check), XRPL serialization
(its own alphabet), Solana (32 bytes in Base58). Ethereum's EIP-55 checksum is not verified: an
address whose letters changed case still receives money.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import re2

_BITCOIN = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_RIPPLE = "rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VERSIONS = {0x00: "bitcoin", 0x05: "bitcoin", 0x30: "litecoin", 0x32: "litecoin", 0x1E: "dogecoin",
             0x16: "dogecoin", 0x41: "tron"}  # fmt: skip
_HRPS = {"bc": "bitcoin", "ltc": "litecoin"}
_CANDIDATE = re2.compile(
    r"\b(0x[0-9a-fA-F]{40}|(?:bc|BC|ltc|LTC)1[0-9a-zA-Z]{6,87}|(?:addr1|ADDR1)[0-9a-z]{50,110}"
    r"|[1-9A-HJ-NP-Za-km-z]{25,48})\b"
)
_MOST = 200  # different addresses taken from one post


@dataclass(frozen=True, slots=True)
class Address:
    """`value` as written in the post."""

    chain: str
    value: str


def addresses(text: str) -> tuple[Address, ...]:
    """The valid addresses in `text`, at most two hundred, in order, without repeats."""
    found: dict[str, Address] = {}
    for match in _CANDIDATE.finditer(text):
        if len(found) >= _MOST:
            break
        value = match.group(1)
        chain = "" if value in found else chain_of(value)
        if chain:
            found[value] = Address(chain, value)
    return tuple(found.values())


def chain_of(value: str) -> str:
    """The chain this is a valid address of, or an empty string."""
    if value.startswith("0x") and len(value) == 42:
        return "ethereum"
    human = value.lower().partition("1")[0]
    if human in (*_HRPS, "addr") and _bech32(value):
        return _HRPS.get(human, "cardano")
    if value.startswith("r") and len(value) <= 35 and _base58check(value, _RIPPLE, 0):
        return "ripple"
    raw = _base58(value, _BITCOIN)
    if raw is None:
        return ""
    if len(raw) == 25 and _checksum(raw):
        return _VERSIONS.get(raw[0], "")
    return "solana" if len(raw) == 32 and _looks_random(value) else ""


def _looks_random(value: str) -> bool:
    """Thirty-two bytes of Base58 that are not a long hashtag or word: digits and both cases."""
    return any(c.isdigit() for c in value) and value.lower() != value != value.upper()


def _base58(value: str, alphabet: str) -> bytes | None:
    number = 0
    for char in value:
        digit = alphabet.find(char)
        if digit < 0:
            return None
        number = number * 58 + digit
    zeros = len(value) - len(value.lstrip(alphabet[0]))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")


def _checksum(raw: bytes) -> bool:
    return hashlib.sha256(hashlib.sha256(raw[:-4]).digest()).digest()[:4] == raw[-4:]


def _base58check(value: str, alphabet: str, version: int) -> bool:
    raw = _base58(value, alphabet)
    return raw is not None and len(raw) == 25 and raw[0] == version and _checksum(raw)


def _bech32(value: str) -> bool:
    if value.lower() != value and value.upper() != value:
        return False
    human, _, data = value.lower().rpartition("1")
    if not human or len(data) < 7 or any(c not in _BECH32 for c in data):
        return False
    digits = [_BECH32.index(c) for c in data]
    spread = [ord(c) >> 5 for c in human] + [0] + [ord(c) & 31 for c in human]
    constant = _polymod(spread + digits)
    if human == "addr":
        return constant == 1
    return constant == (1 if digits[0] == 0 else 0x2BC830A3) and digits[0] <= 16


def _polymod(values: list[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, factor in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= factor if top >> bit & 1 else 0
    return check
