"""PagerDuty, Events API v2: one alert per incident, whose `dedup_key` makes sending twice harmless.

202 means accepted; the same key updates the open alert, and opens a new one after it was resolved. One
way: an acknowledgement made in PagerDuty does not reach us. (developer.pagerduty.com, Events API v2)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from monitor.model import Human, PageKind, Severity, State
from monitor.notifiers import _http, _words
from monitor.notifiers.interface import Letter, Settings

_ACTIONS = {State.ACKNOWLEDGED: "acknowledge", State.RESOLVED: "resolve"}


def build(settings: Settings, secrets: Mapping[str, str]) -> PagerDutyNotifier:
    """Raises KeyError when the secret `pagerduty_routing_key` is missing."""
    return PagerDutyNotifier(str(settings.options["api_base"]), secrets["pagerduty_routing_key"], settings)


class PagerDutyNotifier:
    """See `Notifier`. A receipt is the `dedup_key`."""

    def __init__(self, base: str, key: str, settings: Settings) -> None:
        self._url, self._key, self._session = f"{base.rstrip('/')}/v2/enqueue", key, settings.session

    async def send(self, letter: Letter) -> str:
        """Trigger for what wakes; acknowledge or resolve when the incident was. Further posts are not told."""
        action = "trigger" if letter.page.kind in (PageKind.ROOT, PageKind.REPEAT) else _ACTIONS.get(letter.incident.state)
        if action is None or letter.page.kind is PageKind.NOTE:
            return "nothing to tell"
        event: dict[str, Any] = {"event_action": action, "dedup_key": _key(letter)}
        if action == "trigger":
            event |= {"client": "hijack-monitor", "payload": _payload(letter)}
            event["links"] = [{"href": link, "text": "the post"} for k in letter.posts[:3] if (link := _words.link(k))]
        await self._post(event)
        return _key(letter)

    async def _post(self, event: dict[str, Any]) -> None:
        await _http.post(self._session, "PagerDuty", self._url, json.dumps({"routing_key": self._key, **event}).encode(), {})

    async def find(self, letter: Letter) -> str:  # noqa: ARG002
        """Sending again is harmless, so nothing is looked for."""
        return ""

    async def humans(self, root: str) -> tuple[Human, ...]:  # noqa: ARG002
        """One way."""
        return ()

    async def check(self) -> str:
        """A routing key can only be tried by paging: `drill` does."""
        return f"PagerDuty at {self._url}"

    async def shout(self, text: str) -> None:
        """An alert that nothing in the store knows of."""
        payload = {"summary": _words.line(text, 1_000), "source": "hijack-monitor", "severity": "critical"}
        await self._post({"event_action": "trigger", "payload": payload})


def _key(letter: Letter) -> str:
    install = letter.page.key.split(":", 1)[0]
    return f"hijack-monitor:{install}:inc:{letter.incident.id}"


def _payload(letter: Letter) -> dict[str, Any]:
    """At most 1,024 characters of summary and 512 KB in all; we are far inside."""
    incident = letter.incident
    first = f" {_words.said(letter.posts[0], 300)}" if letter.posts else ""
    payload: dict[str, Any] = {
        "summary": _words.line(f"{_words.headline(letter)}. {incident.reason}.{first}", 1_000),
        "source": _words.line(incident.name, 100),
        "severity": "critical" if incident.severity is Severity.PAGE else "warning",
        "timestamp": incident.opened_at.isoformat(),
        "class": "hijack",
    }
    return payload if letter.page.plain else payload | {"custom_details": _http.facts(letter)}
