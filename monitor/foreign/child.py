"""The child process of `sandbox`: one document on standard input, lines of JSON on standard output.

A line is a list of what was found, the last one an object: {} when that was all, {"over": why} at a limit of ours,
{"refused": why} for what is no document of its form.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from monitor.foreign.bounds import Bounds, OverLimitError

_PIECE = 32_000  # characters


def bind(bounds: Bounds) -> None:
    """Limits that the kernel holds. `RLIMIT_DATA` counts what a process writes to, and not the libraries that it maps."""
    with contextlib.suppress(OSError):  # the kernel takes us rather than the daemon
        Path("/proc/self/oom_score_adj").write_text("1000")
    seconds = max(1, int(bounds.seconds) + 1)
    for what, most in (
        (resource.RLIMIT_DATA, bounds.memory), (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0),
    ):  # fmt: skip
        resource.setrlimit(what, (most, most))
    signal.setitimer(signal.ITIMER_REAL, bounds.seconds + 2)  # should whoever waits for us have died


def say(reader: Any, body: bytes, bounds: Bounds, options: dict[str, Any]) -> None:
    """Write what the reader yields, in pieces."""
    piece: list[str] = []
    size = 0
    for item in reader.read(body, bounds, **options):
        piece.append(json.dumps(item))
        size += len(piece[-1])
        if size > _PIECE:
            print(f"[{','.join(piece)}]", flush=True)
            piece, size = [], 0
    print(f"[{','.join(piece)}]")


def main() -> None:
    """Never fails but by being killed."""
    form, limits, options = sys.argv[1:]
    reader, bounds = importlib.import_module(f"monitor.foreign.{form}"), Bounds(**json.loads(limits))
    bounds = reader.needs(bounds) if hasattr(reader, "needs") else bounds
    bind(bounds)
    last: dict[str, str] = {}
    try:
        say(reader, sys.stdin.buffer.read(bounds.most_bytes + 1), bounds, json.loads(options))
    except OverLimitError as error:
        last = {"over": str(error)}
    except MemoryError:
        last = {"over": f"reading it needs more than {bounds.memory >> 20} MiB"}
    except RecursionError:
        last = {"over": "it is nested too deeply"}
    except Exception as error:  # noqa: BLE001 - whatever a parser raises about a document
        last = {"refused": str(error)[:1_000] or type(error).__name__}
    print(json.dumps(last), flush=True)


if __name__ == "__main__":
    main()
