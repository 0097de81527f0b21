"""A signed webhook: every page and every change of an incident as JSON, for whatever else wakes people.

`X-Hijackmon-Signature: v1=hex(hmac-sha256(key, timestamp + "." + body))`, `X-Hijackmon-Timestamp` in seconds,
`Idempotency-Key` is the page's key: a receiver that has it already ignores the rest.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from monitor.model import Human
from monitor.notifiers import _http, _words
from monitor.notifiers.interface import Letter, Settings


def build(settings: Settings, secrets: Mapping[str, str]) -> WebhookNotifier:
    """Raises KeyError when the secret `webhook_key` is missing."""
    return WebhookNotifier(str(settings.options["url"]), secrets["webhook_key"], settings)


class WebhookNotifier:
    """See `Notifier`. A receipt is the page's key."""

    def __init__(self, url: str, key: str, settings: Settings) -> None:
        self._url, self._key, self._session, self._clock = url, key.encode(), settings.session, settings.clock

    async def send(self, letter: Letter) -> str:
        """Every kind of page; `kind` says which."""
        body = {"kind": letter.page.kind.value, "key": letter.page.key, "mentions": list(letter.page.mentions), **_http.facts(letter)}
        if letter.page.plain:
            body = {k: v for k, v in body.items() if k != "posts"}
        await self._post(body, letter.page.key)
        return letter.page.key

    async def _post(self, body: dict[str, Any], key: str) -> None:
        data, stamp = json.dumps(body, ensure_ascii=False).encode(), str(int(self._clock().timestamp()))
        signature = hmac.new(self._key, stamp.encode() + b"." + data, hashlib.sha256).hexdigest()
        headers = {"X-Hijackmon-Timestamp": stamp, "X-Hijackmon-Signature": f"v1={signature}", "Idempotency-Key": key}
        await _http.post(self._session, "the webhook", self._url, data, headers)

    async def find(self, letter: Letter) -> str:  # noqa: ARG002
        """The receiver tells doubles by the `Idempotency-Key`."""
        return ""

    async def humans(self, root: str) -> tuple[Human, ...]:  # noqa: ARG002
        """One way."""
        return ()

    async def check(self) -> str:
        """A webhook can only be tried by sending: `drill` does."""
        return "a signed webhook"

    async def shout(self, text: str) -> None:
        """Something that nothing in the store knows of."""
        await self._post({"kind": "shout", "text": _words.line(text, 1_000)}, hashlib.sha256(text.encode("utf-8", "replace")).hexdigest())
