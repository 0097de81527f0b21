"""One POST, and what its outcome means for the page. For routes where sending twice does no harm."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp

from monitor.notifiers.interface import NotifierError, Refusal

DEADLINE_SECONDS = 10
_MOST_ANSWER = 64 * 1024


async def post(session: aiohttp.ClientSession, name: str, url: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """POST JSON; the beginning of the answer's body. Raises NotifierError; neither URL nor header is in its message."""
    try:
        async with (
            asyncio.timeout(DEADLINE_SECONDS),
            session.post(url, data=body, headers={"Content-Type": "application/json", **headers}, allow_redirects=False) as answer,
        ):
            status, after, said = answer.status, answer.headers.get("Retry-After", ""), await answer.content.read(_MOST_ANSWER)
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        raise NotifierError(Refusal.NOT_ACCEPTED, f"{name} could not be reached ({type(error).__name__})") from None
    if 200 <= status < 300:
        return said
    raise refused(name, status, after)


def refused(name: str, status: int, retry_after: str = "") -> NotifierError:
    """What an HTTP status other than 2xx means for the page."""
    said = f"{name} answered {status}"
    if status == 429:
        return NotifierError(Refusal.SLOW_DOWN, said, float(retry_after) if retry_after.isdigit() else 30.0)
    if status in (401, 403):
        return NotifierError(Refusal.CREDENTIALS, said)
    if status in (400, 413, 415, 422):
        return NotifierError(Refusal.CONTENT, said)
    if 300 <= status < 500 and status not in (408, 425):
        return NotifierError(Refusal.DESTINATION, said)
    return NotifierError(Refusal.NOT_ACCEPTED, said)


def facts(letter: Any) -> dict[str, Any]:
    """The incident in words for programs: what happened, where, since when; untrusted text defanged."""
    from monitor.notifiers import _words

    incident = letter.incident
    return {
        "incident": f"INC-{incident.id}",
        "state": incident.state.value,
        "severity": incident.severity.word,
        "headline": _words.headline(letter),
        "reason": _words.line(incident.reason, 600),
        "page": _words.line(letter.page.reason, 300),
        "opened_at": incident.opened_at.isoformat(),
        "acknowledged_by": _words.line(incident.acknowledged_by, 80),
        "resolved_by": _words.line(incident.resolved_by, 80),
        "cause": _words.line(incident.cause, 300),
        "anchor": letter.anchor,
        "posts": [
            {"id": k.post.id, "created_at": k.post.created_at.isoformat(), "text": _words.said(k, 1_000), "link": _words.link(k)}
            for k in letter.posts[:5]
        ],
    }
