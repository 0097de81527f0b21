"""The pictures that a plan names, reduced to their hashes when they are registered: files beside it, https addresses.

A video, and what moves, is only counted: `lint` says so, and its post will be a notice. A picture that is named and cannot
be compared makes its row a bad one: registered with a number alone it would excuse any picture.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath

from monitor.foreign.sandbox import Sandbox
from monitor.pictures import MovingError, PictureError, bytes_of_file, hash_in
from monitor.planning import Bad, Plan
from monitor.public_web import Web, WebError

VIDEOS = (".mp4", ".m4v", ".mov", ".webm", ".avi", ".mkv", ".mpg", ".mpeg")
_AT_ONCE = 8  # fetches; one host is not asked for a whole plan at the same time

WITHOUT = "no text, and no still picture that could say which post is meant"


class PlannedPictures:
    """`folder` is where the files of the plan lie. The same picture of many rows is fetched once."""

    def __init__(self, folder: Path, web: Web = Web()) -> None:  # noqa: B008 - frozen
        self._folder, self._web = folder, web
        self._turns, self._sandbox = asyncio.Semaphore(_AT_ONCE), Sandbox()
        self._found: dict[str, asyncio.Task[str]] = {}

    async def compared(self, plan: Plan | Bad) -> Plan | Bad:
        """The plan with the hashes of what its `files` name, or the reason why one of them has none."""
        if isinstance(plan, Bad):
            return plan
        hashes = []
        for name in plan.files:
            try:
                hashes.append(await self._hash(name))
            except MovingError:
                continue
            except (PictureError, WebError) as error:
                return Bad(f"picture {name}: {error}")
        if not (plan.text or hashes or plan.field or plan.conversation or plan.author or "reposts" in dict(plan.shown)):
            return Bad(WITHOUT)
        return replace(plan, pictures=tuple(hashes))

    async def all(self, plans: Iterable[Plan | Bad]) -> list[Plan | Bad]:
        """`compared` for each, side by side."""
        return list(await asyncio.gather(*map(self.compared, plans)))

    async def _hash(self, name: str) -> str:
        if name not in self._found:
            self._found[name] = asyncio.create_task(self._read(name))
        return await self._found[name]

    async def _read(self, name: str) -> str:
        if PurePosixPath(name.partition("?")[0]).suffix.lower() in VIDEOS:
            raise MovingError("it is a video")
        if "://" not in name:
            return await hash_in(await asyncio.to_thread(bytes_of_file, self._folder / name), self._sandbox)
        async with self._turns:
            kind, body = await self._web.fetched(name)
            if kind.startswith("video/"):
                raise MovingError("it is a video")
        return await hash_in(body, self._sandbox)


async def compared(plans: Iterable[Plan | Bad], folder: Path, web: Web = Web()) -> list[Plan | Bad]:  # noqa: B008 - frozen
    """The plans with the hashes of the pictures that they name, each in its place."""
    return await PlannedPictures(folder, web).all(plans)
