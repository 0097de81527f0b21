"""Files and folders that only their owner reads, and that no link of somebody else's leads elsewhere."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

UMASK = 0o077  # for everything that libraries make: the database's journal, pictures of the demo


def folder(path: Path) -> None:
    """Make it with mode 0700; one that is there stays as its owner made it. Raises OSError."""
    if not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)


def create(path: Path) -> None:
    """An empty file of mode 0600, unless there is one. A link in its place is not followed. Raises OSError."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))


def write(path: Path, body: bytes) -> None:
    """Whole or not at all, with mode 0600. What stands there is replaced, a link itself and not what it leads to. Raises OSError."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(descriptor)
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
