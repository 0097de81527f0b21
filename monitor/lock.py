"""One daemon for each data directory, and whether there is one: the kernel knows, however the daemon ended."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from monitor import private
from monitor.config import ConfigError

_PATIENCE = 1.0  # seconds: `status` holds the lock for a moment when it looks whether anybody does
FILE = "lock"


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """One daemon per data directory: two would send every page twice. Raises ConfigError."""
    private.folder(directory)
    private.create(directory / FILE)
    with (directory / FILE).open("r+") as file:
        until = time.monotonic() + _PATIENCE
        while not _take(file, fcntl.LOCK_EX):
            if time.monotonic() > until:
                raise ConfigError(f"{directory}: another hijack-monitor is running on this data_dir; stop it first")
            time.sleep(0.05)
        yield


def is_locked(directory: Path) -> bool:
    """Whether a daemon runs on this data directory. A process that was killed holds no lock."""
    try:
        with (directory / FILE).open() as file:
            return not _take(file, fcntl.LOCK_SH)
    except FileNotFoundError:
        return False


def _take(file: IO[str], how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
