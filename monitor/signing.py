"""Signatures that say which installation wrote something: Ed25519 (RFC 8032), by a key made from its own secret.

Whoever has the public key can check one, and nobody who has not the secret can make one. Imports Crypto, late: only an
export signs.
"""

from __future__ import annotations

import hashlib
from typing import Any

from monitor import install_key

_PURPOSE = "export signature, Ed25519 seed"


def public(secret: bytes) -> bytes:
    """The public key of an installation, 32 bytes."""
    return bytes(_key(secret).public_key().export_key(format="raw"))


def sign(secret: bytes, said: bytes) -> bytes:
    """64 bytes."""
    from Crypto.Signature import eddsa

    return bytes(eddsa.new(_key(secret), "rfc8032").sign(said))


def holds(public_key: bytes, said: bytes, signature: bytes) -> bool:
    """Whether whoever has the secret of this public key signed exactly this."""
    from Crypto.Signature import eddsa

    try:
        eddsa.new(eddsa.import_public_key(public_key), "rfc8032").verify(said, signature)
    except ValueError:
        return False
    return True


def fingerprint(public_key: bytes) -> str:
    """What people compare: the first 32 hexadecimal digits of the key's SHA-256."""
    return hashlib.sha256(public_key).hexdigest()[:32]


def _key(secret: bytes) -> Any:
    from Crypto.PublicKey import ECC

    return ECC.construct(curve="Ed25519", seed=install_key.derived(secret, _PURPOSE))
