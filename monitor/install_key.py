"""The installation's own secret, and the keys made from it.

With it the monitor knows its own messages when it reads them back, and signs what an auditor gets. It is the secret
`install_key` where one is given (hosts that must recognise each other share it), else a file beside the database, made
at the first start. Whoever has it can forge both, so it is kept apart from backups.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets as random
from collections.abc import Mapping
from pathlib import Path

NAME = "install_key"
LEAST = 32  # characters: 128 bits in hexadecimal


class InstallKeyError(ValueError):
    """The key cannot be used; the message says what was found, what was expected and what to do."""


def load(folder: Path, secrets: Mapping[str, str]) -> bytes:
    """The secret, else the file in `folder`, made when it is absent (mode 0600). Raises InstallKeyError and OSError."""
    given = secrets.get(NAME, "")
    path = folder / NAME
    where = f"the secret {NAME}" if given else str(path)
    key = given or _kept(path)
    if len(key) < LEAST or not key.isascii() or not key.isprintable():
        raise InstallKeyError(
            f"{where}: found {len(key)} characters, expected at least {LEAST} printable ASCII ones, such as `openssl rand -hex 32` prints"
        )
    return key.encode()


def derived(key: bytes, purpose: str) -> bytes:
    """32 bytes for one purpose: knowing them gives away neither the key nor those of another purpose.

    One block of HKDF-Expand (RFC 5869); the key is as random as its maker, so that the extract step is left out.
    """
    return hmac.digest(key, f"hijack-monitor {purpose}\x01".encode(), "sha256")


def _kept(path: Path) -> str:
    """The file's content. Whoever comes first makes it, whole or not at all: it appears by a link, never half written."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_name(f"{NAME}.{random.token_hex(4)}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(f"{random.token_hex(32)}\n")
                file.flush()
                os.fsync(descriptor)
            with contextlib.suppress(FileExistsError):
                os.link(fresh, path)
        finally:
            fresh.unlink()
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, encoding="utf-8", errors="replace") as file:
        return file.read(4096).strip()
