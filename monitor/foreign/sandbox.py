"""The one way in which a document of somebody else is read: by a child process that may be killed.

The child has none of our secrets in its environment, bounded memory, processor and wall time, and nothing to write to but a
pipe. One at a time: however many documents are bombs, they cost one core and the memory of one child. What the child says is
taken in small pieces, so that a list of a million hosts does not hold the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import stat
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import monitor
from monitor import safe
from monitor.foreign.bounds import Bounds, ForeignError, OverLimitError

log = logging.getLogger("monitor.foreign")

_LINE = 1 << 20  # bytes; the child writes lines of some 32 KiB


def _silent(_what: str, _why: str) -> None:
    pass


class Sandbox:
    """Reads one document at a time. `note` is told what was over a limit, and with an empty reason when it no longer is."""

    def __init__(self, bounds: Bounds = Bounds()) -> None:  # noqa: B008 - frozen
        self.bounds = bounds
        self.note: Callable[[str, str], object] = _silent
        self._over: set[str] = set()
        self._turn = asyncio.Lock()

    async def read(self, form: str, what: str, document: bytes | Path, **options: Any) -> list[Any]:
        """What the document says, by the reader of its form. `what` names it for people. Raises ForeignError."""
        try:
            async with self._turn:
                found = await self._read(form, document, options)
        except OverLimitError as error:
            log.warning("%s: not read: %s", safe.clean(what, 300), error)
            self._over.add(what)
            self.note(what, str(error))
            raise
        if what in self._over:
            self._over.remove(what)
            self.note(what, "")
        return found

    async def _read(self, form: str, document: bytes | Path, options: dict[str, Any]) -> list[Any]:
        source = self._opened(document)
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-s", "-P", "-m", "monitor.foreign.child", form, json.dumps(asdict(self.bounds)), json.dumps(options),
                stdin=source, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, env=_environment(), cwd="/",
                limit=_LINE, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise ForeignError(f"no process could be started for it ({error.strerror})") from error
        finally:
            os.close(source)
        try:
            async with asyncio.timeout(self.bounds.seconds):
                return await self._answer(process)
        except TimeoutError:
            raise OverLimitError(f"reading it took more than {self.bounds.seconds:g} s") from None
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await asyncio.shield(process.wait())

    def _opened(self, document: bytes | Path) -> int:
        """A descriptor that the child can read to its end without us."""
        limit = self.bounds.most_bytes
        if isinstance(document, Path):
            source = os.open(document, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            about = os.fstat(source)
            if stat.S_ISREG(about.st_mode) and about.st_size <= limit:
                return source
            os.close(source)
            if not stat.S_ISREG(about.st_mode):  # a pipe would keep us waiting for its writer
                raise ForeignError("it is no regular file")
        elif len(document) <= limit:
            source = os.memfd_create("document")
            with open(source, "wb", closefd=False) as memory:
                memory.write(document)
            os.lseek(source, 0, os.SEEK_SET)
            return source
        raise OverLimitError(f"it is larger than {limit >> 20} MiB")

    async def _answer(self, process: asyncio.subprocess.Process) -> list[Any]:
        """Everything that the child yields. Only its last line says that this is all."""
        assert process.stdout is not None
        found: list[Any] = []
        taken = 0
        try:
            while line := await process.stdout.readline():
                taken += len(line)
                if taken > self.bounds.answer:
                    raise OverLimitError(f"what is in it is larger than {self.bounds.answer >> 20} MiB")
                said = json.loads(line)
                if isinstance(said, dict):
                    return _ended(said, found)
                found += said
                await asyncio.sleep(0)
        except ForeignError:
            raise
        except (ValueError, TypeError, RecursionError):
            raise ForeignError("the process that read it gave no sense") from None
        code = await process.wait()
        if code in (-signal.SIGXCPU, -signal.SIGKILL, -signal.SIGALRM):
            raise OverLimitError("reading it took more than it may, and was stopped")
        raise ForeignError(f"the process that read it ended with {code}")


def _ended(said: dict[str, Any], found: list[Any]) -> list[Any]:
    if "over" in said:
        raise OverLimitError(safe.clean(str(said["over"]), 300))
    if "refused" in said:
        raise ForeignError(" ".join(safe.clean(str(said["refused"]), 300).split()))
    return found


def _environment() -> dict[str, str]:
    """Nothing of ours but where the program is: no token, no folder of credentials."""
    return {
        "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONPATH": str(Path(monitor.__file__).parent.parent), "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",  # memory for one thread
    }  # fmt: skip
