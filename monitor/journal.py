"""Logs as the journal takes them: one line an event, the level, ids as fields.

To a terminal or a file it is one plain line. Bodies of posts are never logged.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
from pathlib import Path

from monitor import safe

SOCKET = "/run/systemd/journal/socket"
_FIELDS = ("account", "post", "severity")
_PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


class JournalHandler(logging.Handler):
    """journald's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL), for structured fields."""

    def __init__(self, path: str = SOCKET) -> None:
        super().__init__()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.connect(path)

    def emit(self, record: logging.LogRecord) -> None:
        """Send one datagram; a full journal must not stop the monitor."""
        fields = {
            "MESSAGE": line(record, with_fields=False),
            "PRIORITY": str(_PRIORITY.get(record.levelno, 6)),
            "SYSLOG_IDENTIFIER": "hijack-monitor",
            "LOGGER": record.name,
            **{f"MONITOR_{f.upper()}": safe.for_log(str(getattr(record, f))) for f in _FIELDS if hasattr(record, f)},
        }
        try:
            self._socket.send("".join(f"{k}={v}\n" for k, v in fields.items()).encode("utf-8", "replace"))
        except OSError:
            sys.stderr.write(fields["MESSAGE"] + "\n")


class PlainHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """One line to stderr, with the time where nobody else adds one."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return f"{self.formatter.formatTime(record) if self.formatter else ''} {record.levelname.lower()} {line(record)}"


def line(record: logging.LogRecord, *, with_fields: bool = True) -> str:
    """Message, ids, and where an exception came from; always one line."""
    said = record.getMessage()
    if record.exc_info and record.exc_info[1] is not None:
        trace = record.exc_info[2]
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        where = f" at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""
        said += f" [{type(record.exc_info[1]).__name__}{where}]"
    if with_fields:
        said += "".join(f" {f}={getattr(record, f)}" for f in _FIELDS if hasattr(record, f))
    return safe.for_log(said, 1_000)


def set_up() -> None:
    """Log to the journal when stderr is the journal, else to stderr."""
    handler: logging.Handler = PlainHandler(sys.stderr)
    handler.setFormatter(logging.Formatter())
    if _is_journal():
        with contextlib.suppress(OSError):  # then the plain handler stays
            handler = JournalHandler()
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for noisy in ("apscheduler", "tweepy", "slack_sdk", "aiohttp"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


def _is_journal() -> bool:
    """Systemd says in JOURNAL_STREAM which device and inode its stream has."""
    stream = os.environ.get("JOURNAL_STREAM", "")
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return stream == f"{status.st_dev}:{status.st_ino}"


def notify(state: str) -> None:
    """sd_notify(3): READY=1, STATUS=..., WATCHDOG=1. Silent where systemd is not listening."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        try:
            out.connect("\0" + address[1:] if address.startswith("@") else address)
            out.send(state.encode())
        except OSError:
            logging.getLogger("monitor.service").warning("systemd did not take our notification")
