"""Wallet addresses a reader could copy, with their checksums, and names that stand for one.

Sources: BIP-173 and BIP-350 (bech32, bech32m), the Bitcoin wiki (Base58Check), EIP-55, the Bitcoin
Cash CashAddr specification, XLS-5d (X-addresses), CIP-19 (Cardano), TEP-2 (TON), Monero's
cryptonote Base58, Solana (32 bytes in Base58). Test networks count: a wallet shows them alike.
"""

from __future__ import annotations

import binascii
import hashlib
import itertools
import re
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from dataclasses import dataclass

import re2

from monitor.verdict.links import ends, refanged

_BITCOIN = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_RIPPLE = "rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz"
_DIGITS = {alphabet: {c: n for n, c in enumerate(alphabet)} for alphabet in (_BITCOIN, _RIPPLE)}
_BECH32 = {c: n for n, c in enumerate("qpzry9x8gf2tvdw0s3jn54khce6mua7l")}
# Version bytes of Base58Check addresses that end in a hash of twenty bytes.
_VERSIONS = {
    "00": "bitcoin", "05": "bitcoin", "6f": "bitcoin", "c4": "bitcoin", "30": "litecoin", "32": "litecoin", "3a": "litecoin",
    "1e": "dogecoin", "16": "dogecoin", "71": "dogecoin", "41": "tron", "4c": "dash", "10": "dash", "1cb8": "zcash", "1cbd": "zcash",
    "06a19f": "tezos", "06a1a1": "tezos", "06a1a4": "tezos", "025a79": "tezos",
}  # fmt: skip
_SEGWIT = {"bc": "bitcoin", "tb": "bitcoin", "bcrt": "bitcoin", "ltc": "litecoin", "tltc": "litecoin"}
_CARDANO = ("addr", "addr_test", "stake", "stake_test")
_CASHADDR = ("bitcoincash", "bchtest", "bchreg")
_CASHADDR_BITS = (160, 192, 224, 256, 320, 384, 448, 512)
_MONERO = {18: 69, 19: 77, 42: 69, 53: 69, 54: 77, 63: 69, 24: 69, 25: 77, 36: 69}  # network byte: decoded length
_MONERO_BLOCKS = {2: 1, 3: 2, 5: 3, 6: 4, 7: 5, 9: 6, 10: 7, 11: 8}  # characters: bytes
_CANDIDATE = re2.compile(
    r"(?:^|[^0-9A-Za-z_\-])("
    r"0x[0-9a-fA-F]{40}"
    r"|(?i:bc|tb|bcrt|ltc|tltc|addr|addr_test|stake|stake_test)1[0-9a-zA-Z]{6,200}"
    r"|(?i:(?:bitcoincash|bchtest|bchreg):)?[qpQP][0-9a-zA-Z]{41,111}"
    r"|-?[01]:[0-9a-fA-F]{64}"
    r"|[EUk0][Qfj][A-Za-z0-9_\-]{46}"
    r"|[1-9A-HJ-NP-Za-km-z]{25,128}"
    r")"
)
_MOST = 200  # different addresses taken from one post
_TRIES = 400  # candidates examined in one post
TOO_MANY = "more-addresses-than-anybody-pays-to"
_HIDDEN = re.compile("[\u00ad\u034f\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]+")
# An address written apart begins with one of these, however it is cut.
_APART = re2.compile(
    r"(?:^|[^0-9A-Za-z])((?:0[ .·|\-]{0,2}[xX]|[bB][ .·|\-]{0,2}[cC][ .·|\-]{0,2}1|(?:ltc|addr)1|[13LDTrX][1-9A-HJ-NP-Za-km-z]{0,11})"
    r"(?:[ \t\n.·|\-]{0,2}[0-9A-Za-z]){20,110})"
)
_PIECES = re2.compile(r"(?s)(?:\b(?:[0-9]+[A-Za-z]|[A-Za-z]+[0-9])[0-9A-Za-z]*\b.*){2}|(?:\b[0-9A-Za-z][ \t\n.·|\-]){12}")
_GAPS = re.compile(r"[ \t\n.·|-]+")
_JOINED = {"0": range(42, 43), "b": range(14, 91), "l": range(40, 91), "a": range(58, 109)}  # lengths, by first letter
# Names that wallets resolve to an address: ENS, Solana, Unstoppable and the like.
_NAME = re2.compile(r"(?i)(?:^|[^\p{L}\p{N}_.@/\-])([a-z0-9\-_]{3,}\.(?:eth|sol|bnb|crypto|nft|ton|arb|btc|wallet))")
_MAY_BE_NAME = re2.compile(r"(?i)(?:\.|dot)[\])}\s]*(?:eth|sol|bnb|crypto|nft|ton|arb|btc|wallet)\b")


@dataclass(frozen=True, slots=True)
class Address:
    """`value` as a wallet takes it: without the signs or blanks that a post put inside."""

    chain: str
    value: str


def addresses(text: str) -> tuple[Address, ...]:
    """The valid addresses in `text`, in order, without repeats.

    Zero-width signs inside one and blanks between its pieces do not hide it. Beyond two hundred, or
    four hundred candidates, the last one is `TOO_MANY`, which nobody publishes.
    """
    if not text.isascii():
        text = _HIDDEN.sub("", text)
    found: dict[str, Address] = {}
    for number, value in enumerate(_candidates(text)):
        if len(found) >= _MOST or number >= _TRIES:
            found[TOO_MANY] = Address("unknown", TOO_MANY)
            break
        chain = "" if value in found else chain_of(value)
        if chain:
            found[value] = Address(chain, value)
    return tuple(found.values())


def wallet_names(text: str) -> tuple[str, ...]:
    """Names like `acme.eth` in `text`, lower-case, at most twenty."""
    if not _MAY_BE_NAME.search(text):
        return ()
    text = refanged(text)
    return tuple(dict.fromkeys(m.group(1).lower() for m in _NAME.finditer(text) if ends(text, m.end())))[:20]


def _candidates(text: str) -> Iterator[str]:
    for match in _CANDIDATE.finditer(text):
        after = text[match.end() : match.end() + 2]
        if not after or (not (after[0].isascii() and after[0].isalnum()) and (after[0] not in "_-" or not after[1:].isalnum())):
            yield match.group(1)
    if not _PIECES.search(text):
        return
    for run in itertools.islice(_APART.finditer(text), 100):
        pieces = _GAPS.split(run.group(1))
        if len(pieces) > 1 and sum(any(c.isdigit() for c in p) for p in pieces[1:12]) * 4 >= min(len(pieces), 12):
            yield from _joined(pieces)


def _joined(pieces: list[str]) -> Iterator[str]:
    """What the pieces of an address come to; only forms that carry a checksum."""
    value = ""
    for piece in itertools.takewhile(lambda p: len(p) <= 30, pieces):
        value += piece
        if len(value) in _JOINED.get(value[0].lower(), range(26, 36)):
            yield value


def chain_of(value: str) -> str:
    """The chain this is a valid address of, or an empty string."""
    if value[:2] == "0x":
        return "ethereum" if len(value) == 42 and _eip55(value[2:]) else ""
    prefix, colon, rest = value.partition(":")
    if colon and len(rest) == 64:
        return "ton" if prefix in ("0", "-1", "1") and _is_hex(rest) else ""
    start = value[:2].lower()
    if start[:1] in ("q", "p", "b") and _is_cashaddr(value):
        return "bitcoincash"
    if colon:
        return ""
    found = _bech32(value) if start in ("bc", "tb", "lt", "tl", "ad", "st") else ""
    return found or (_ton(value) if len(value) == 48 else "") or _in_base58(value)


def _is_hex(value: str) -> bool:
    return all(c in "0123456789abcdefABCDEF" for c in value)


def _eip55(digits: str) -> bool:
    """Forty hexadecimal digits; where cases are mixed they are a checksum, and wallets refuse a wrong one."""
    low = digits.lower()
    if not _is_hex(digits) or digits in (low, digits.upper()):
        return _is_hex(digits)
    hashed = _keccak(low.encode()).hex()
    return all(c.isdigit() or c.isupper() == (h >= "8") for c, h in zip(digits, hashed, strict=False))


def _keccak(data: bytes) -> bytes:
    from Crypto.Hash import keccak  # 3 MiB that a daemon needs only when somebody posts such an address

    return keccak.new(digest_bits=256, data=data).digest()


# --- Base58 --------------------------------------------------------------------------------------


def _in_base58(value: str) -> str:
    if len(value) in (95, 106) and _is_monero(value):
        return "monero"
    if value[0] in "rXT" and len(value) <= 48 and _is_ripple(value):
        return "ripple"
    raw = _base58(value, _BITCOIN)
    if raw is None or len(raw) < 25:
        return ""
    if len(raw) in (25, 26, 27) and _checksum(raw):
        return _VERSIONS.get(raw[:-24].hex(), "")
    if len(raw) == 32:
        return "solana" if _looks_random(value) or set(value[:20]) == {"1"} else ""
    return "cardano" if _is_byron(raw) else ""


def _looks_random(value: str) -> bool:
    """Thirty-two bytes of Base58 that are not a long hashtag or word: digits and both cases."""
    return any(c.isdigit() for c in value) and value.lower() != value != value.upper()


def _base58(value: str, alphabet: str) -> bytes | None:
    number = 0
    try:
        for digit in map(_DIGITS[alphabet].__getitem__, value):
            number = number * 58 + digit
    except KeyError:
        return None
    zeros = len(value) - len(value.lstrip(alphabet[0]))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")


def _checksum(raw: bytes) -> bool:
    return hashlib.sha256(hashlib.sha256(raw[:-4]).digest()).digest()[:4] == raw[-4:]


def _is_ripple(value: str) -> bool:
    """A classic address, or an X-address with its flag and tag (XLS-5d)."""
    raw = _base58(value, _RIPPLE)
    if raw is None or not _checksum(raw):
        return False
    if len(raw) == 25:
        return raw[0] == 0
    flag, tag = raw[22:23], raw[23:31]
    tagged = flag == b"\1" and tag[4:] == bytes(4)
    return len(raw) == 35 and raw[:2] in (b"\x05\x44", b"\x04\x93") and (tagged or (flag == b"\0" and tag == bytes(8)))


def _is_byron(raw: bytes) -> bool:
    """CBOR: an array of two, tagged bytes and their CRC-32 (CIP-19)."""
    if raw[:3] != b"\x82\xd8\x18" or len(raw) < 12:
        return False
    start, length = (5, raw[4]) if raw[3] == 0x58 else (4, raw[3] - 0x40)
    end = start + length
    return raw[end : end + 1] == b"\x1a" and raw[end + 1 :] == binascii.crc32(raw[start:end]).to_bytes(4, "big")


def _is_monero(value: str) -> bool:
    """Blocks of eleven characters for eight bytes; the last four bytes are the Keccak of the rest."""
    raw = b""
    for start in range(0, len(value), 11):
        block = value[start : start + 11]
        size = _MONERO_BLOCKS.get(len(block))
        decoded = _base58(block, _BITCOIN)
        number = int.from_bytes(decoded or b"", "big")
        if size is None or decoded is None or number >= 1 << (8 * size):
            return False
        raw += number.to_bytes(size, "big")
    return _MONERO.get(raw[0]) == len(raw) and _keccak(raw[:-4])[:4] == raw[-4:]


# --- bech32, CashAddr, TON -----------------------------------------------------------------------


def _bech32(value: str) -> str:
    human, one, data = value.lower().rpartition("1")
    if not one or (human not in _SEGWIT and human not in _CARDANO) or (value.lower() != value != value.upper()):
        return ""
    try:
        digits = [_BECH32[c] for c in data]
    except KeyError:
        return ""
    if len(digits) < 7:
        return ""
    check = _polymod([ord(c) >> 5 for c in human] + [0] + [ord(c) & 31 for c in human] + digits)
    if human in _SEGWIT:
        return _SEGWIT[human] if _is_segwit(digits[:-6], check) and len(value) <= 90 else ""
    raw = _bytes(digits[:-6])
    return "cardano" if check == 1 and raw is not None and _is_shelley(raw) else ""


def _is_segwit(digits: list[int], check: int) -> bool:
    version, program = digits[0], _bytes(digits[1:])
    if program is None or version > 16 or not 2 <= len(program) <= 40:
        return False
    return check == 1 and len(program) in (20, 32) if version == 0 else check == 0x2BC830A3


def _is_shelley(raw: bytes) -> bool:
    """Header: four bits of type, four of network; the type says how long it is (CIP-19)."""
    kind, network = raw[0] >> 4, raw[0] & 15
    if network > 1:
        return False
    if kind in (4, 5):  # a pointer follows the hash
        return 32 <= len(raw) <= 50
    return len(raw) == {0: 57, 1: 57, 2: 57, 3: 57, 6: 29, 7: 29, 14: 29, 15: 29}.get(kind)


def _bytes(digits: list[int]) -> bytes | None:
    """Groups of five bits as bytes; None where the padding is more than a group or not zero."""
    number = 0
    for digit in digits:
        number = number << 5 | digit
    spare = len(digits) * 5 % 8
    if spare >= 5 or number & ((1 << spare) - 1):
        return None
    return (number >> spare).to_bytes(len(digits) * 5 // 8, "big")


def _polymod(values: list[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, factor in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= factor if top >> bit & 1 else 0
    return check


def _is_cashaddr(value: str) -> bool:
    """With or without its prefix; the version byte says how long the hash is."""
    low = value.lower()
    if (value != low and value != value.upper()) or len(low) < 42:
        return False
    prefix, colon, data = low.rpartition(":")
    if colon and prefix not in _CASHADDR:
        return False
    if data[0] not in "qpz" or any(c not in _BECH32 for c in data):
        return False
    digits = [_BECH32[c] for c in data]
    if _cash_polymod([ord(c) & 31 for c in (prefix or _CASHADDR[0])] + [0] + digits):
        return False
    raw = _bytes(digits[:-8])
    return raw is not None and raw[0] < 0x80 and (raw[0] >> 3) in (0, 1, 2, 3) and (len(raw) - 1) * 8 == _CASHADDR_BITS[raw[0] & 7]


def _cash_polymod(values: list[int]) -> int:
    check = 1
    for value in values:
        top = check >> 35
        check = (check & 0x07FFFFFFFF) << 5 ^ value
        for bit, factor in enumerate((0x98F2BC8E61, 0x79B76D99E2, 0xF33E5FB3C4, 0xAE2EABE2A8, 0x1E4F43E470)):
            check ^= factor if top >> bit & 1 else 0
    return check ^ 1


def _ton(value: str) -> str:
    """Base64 of tag, workchain, hash and CRC-16 (TEP-2)."""
    try:
        raw = urlsafe_b64decode(value.replace("+", "-").replace("/", "_"))
    except (ValueError, binascii.Error):
        return ""
    good = raw[0] & 0x7F in (0x11, 0x51) and binascii.crc_hqx(raw[:-2], 0) == int.from_bytes(raw[-2:], "big")
    return "ton" if good else ""
