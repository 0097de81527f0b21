"""Alertmanager, API v2: an existing distributed engine for grouping, silences and deduplication.

Labels hold nothing of this host, so that two monitors that see the same hijack make one alert
(prometheus.io, Alertmanager: identical label sets are one alert). Every URL of a cluster gets every alert.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from monitor.model import Human, Incident, PageKind, State
from monitor.notifiers import _http, _words
from monitor.notifiers.interface import Letter, NotifierError, Settings

LASTS = timedelta(hours=24)  # an alert outlives the monitor that sent it; a repeat renews it


def build(settings: Settings, secrets: Mapping[str, str]) -> AlertmanagerNotifier:
    """The secret `alertmanager_token`, where given, is sent as a bearer token; `username` and the secret `alertmanager_password` instead of it.

    Raises KeyError for a username without its password, ValueError for both ways at once.
    """
    name, token = str(settings.options.get("username") or ""), secrets.get("alertmanager_token", "")
    if name and token:
        raise ValueError("found both username and the secret alertmanager_token, expected one of them")
    login = base64.b64encode(f"{name}:{secrets['alertmanager_password']}".encode()).decode() if name else ""
    return AlertmanagerNotifier(settings, f"Basic {login}" if login else f"Bearer {token}" if token else "")


class AlertmanagerNotifier:
    """See `Notifier`. A receipt is the alert's fingerprint in words: its labels."""

    def __init__(self, settings: Settings, authorization: str) -> None:
        self._urls = [f"{str(url).rstrip('/')}/api/v2/alerts" for url in settings.options["urls"]]
        self._labels: dict[str, str] = dict(settings.options.get("labels") or {})
        self._headers = {"Authorization": authorization} if authorization else {}
        self._session, self._clock = settings.session, settings.clock

    async def send(self, letter: Letter) -> str:
        """Fire, renew, or resolve. Acknowledgements have no place in Alertmanager."""
        if letter.page.kind is PageKind.NOTE:
            return "nothing to tell"
        incident = letter.incident
        over = incident.state is State.RESOLVED
        now = self._clock()
        await self._post(
            {
                "labels": self._labels | labels(incident),
                "annotations": {
                    "summary": _words.headline(letter),
                    "description": "" if letter.page.plain else _words.body(letter)[:4_000],
                },
                "startsAt": incident.opened_at.isoformat(),
                "endsAt": (now if over else now + LASTS).isoformat(),
            }
        )
        return json.dumps(labels(incident))

    async def _post(self, alert: dict[str, Any]) -> None:
        """To every member; accepted when one of them accepted it, for they tell each other."""
        errors: list[NotifierError] = []
        for url in self._urls:
            try:
                await _http.post(self._session, "Alertmanager", url, json.dumps([alert]).encode(), self._headers)
            except NotifierError as error:
                errors.append(error)
        if len(errors) == len(self._urls):
            raise errors[0]

    async def find(self, letter: Letter) -> str:  # noqa: ARG002
        """The same alert again changes nothing."""
        return ""

    async def humans(self, root: str) -> tuple[Human, ...]:  # noqa: ARG002
        """Alertmanager has silences, not people."""
        return ()

    async def check(self) -> str:
        """A member that answers is proof enough that it would take an alert."""
        return f"Alertmanager, {len(self._urls)} member(s)"

    async def shout(self, text: str) -> None:
        """An alert that nothing in the store knows of; it ends by itself."""
        end = self._clock() + timedelta(hours=1)
        await self._post(
            {
                "labels": self._labels | {"alertname": "HijackMonitorBroken", "severity": "page"},
                "annotations": {"summary": _words.line(text, 1_000)},
                "endsAt": end.isoformat(),
            }
        )

    async def alive(self, install: str, seconds: float) -> None:
        """An alert of this monitor's own that resolves by itself when it is not renewed: route its end to a pager."""
        end = self._clock() + timedelta(seconds=seconds)
        said = "hijack-monitor is alive; when this resolves, it is not"
        await self._post(
            {
                "labels": self._labels | {"alertname": "HijackMonitorAlive", "monitor": install},
                "annotations": {"summary": said},
                "endsAt": end.isoformat(),
            }
        )


def labels(incident: Incident) -> dict[str, str]:
    """What names the alert, the same on every host."""
    blind = incident.subject.startswith(("blind:", "gap:", "drift:"))
    return {
        "alertname": "HijackMonitorBlind" if blind else "HijackMonitor",
        "account": _words.line(incident.subject, 100),
        "name": _words.line(incident.name, 100),
        "severity": incident.severity.word,
    }
