"""Answers that libraries read whole and parse themselves, within limits: for the session that all edges share.

slack_sdk reads whatever comes and builds it. Who sends that is not hostile, but what people put into Slack may be.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import aiohttp

from monitor import bounded_json

log = logging.getLogger("monitor.http")

MOST_BYTES = 8 * 1024 * 1024  # of an answer: parsing that much text keeps the loop for less than a tenth of a second
_CHUNK, _LARGE = 1 << 16, 1 << 20


class TooLargeError(aiohttp.ClientPayloadError):
    """More in one answer than we take."""


async def read(response: aiohttp.ClientResponse, most: int = MOST_BYTES, gate: asyncio.Semaphore | None = None) -> bytes:
    """The body, unpacked. Raises TooLargeError, the connection then being closed, and what aiohttp raises.

    So many large ones at once as the `gate` lets through: sixty-four reads of eight megabytes would be half a gigabyte.
    """
    chunks, size = [], 0
    async with contextlib.AsyncExitStack() as stack:
        async for chunk in response.content.iter_chunked(_CHUNK):
            if gate and size <= _LARGE < size + len(chunk):
                await stack.enter_async_context(gate)
            size += len(chunk)
            if size > most:
                response.close()
                raise TooLargeError(f"more than {most >> 20} MiB")
            chunks.append(chunk)
        return b"".join(chunks)


class Response(aiohttp.ClientResponse):
    """Of at most eight megabytes; as JSON, of at most so many values."""

    async def read(self) -> bytes:
        """The whole body. Raises TooLargeError."""
        if self._body is None:
            self._body = await read(self)
        return await super().read()

    async def json(self, **how: Any) -> Any:
        """What it says. Raises TooMuchError where that would build too much."""
        bounded_json.bound(await self.read())
        return await super().json(**how)


class Socket(aiohttp.ClientWebSocketResponse):
    """Of a socket, frames that would build too much when they are parsed are taken for empty ones."""

    async def receive(self, timeout: float | None = None) -> aiohttp.WSMessage:  # noqa: ASYNC109 - aiohttp's signature
        """The next frame."""
        message = await super().receive(timeout)
        if message.type is aiohttp.WSMsgType.TEXT:
            try:
                bounded_json.bound(message.data.encode("utf-8", "replace"))
            except ValueError as error:
                log.warning("a frame of a socket was left out: %s", error)
                return message._replace(data="{}")
        return message
