"""What whoever acts from Slack is lent, and how they are answered: refusals only to them, what was done in the message."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from monitor import safe
from monitor.desk import DeskError
from monitor.model import ONE_IS_ENOUGH, Account, Approving, Company
from monitor.notifiers.interface import NotifierError
from monitor.notifiers.slack.api import Api
from monitor.notifiers.slack.payload import Payload, read_json, user_of
from monitor.outbox import Outbox
from monitor.store import Store
from monitor.verdict.rules import Rules

log = logging.getLogger("monitor.slack")


@dataclass
class Office:
    """What the rest of the monitor lends to whoever acts from Slack."""

    store: Store
    outbox: Outbox
    clock: Callable[[], datetime]
    wake: Callable[[], None]
    company: Company
    rules: Callable[[], Rules]
    accounts: Callable[[], tuple[Account, ...]]
    standing: Callable[[], list[str]]
    last_drill: Callable[[], str]
    drill: Callable[[str], Awaitable[int]]
    approving: Approving = ONE_IS_ENOUGH
    logins: Mapping[str, str] = field(default_factory=dict)


class Replies:
    """Answers to one person, and the desk's refusals in words."""

    def __init__(self, api: Api, channel: str, office: Office) -> None:
        self._api, self._channel, self._office = api, channel, office

    async def told(self, payload: Payload, why: str, done: str) -> str:
        """Refusals are for the one who clicked; what was done shows in the message."""
        if not why:
            self._office.wake()
            return done
        await self.answer(payload, why)
        return f"refused: {why}"

    async def answer(self, payload: Payload, text: str) -> None:
        """Something only this person sees."""
        url = str(payload.get("response_url") or "")
        if url:
            await self._api.respond(url, safe.cut_markup(text, 2_900))
            return
        try:
            channel = read_json((payload.get("view") or {}).get("private_metadata")).get("c") or self._channel
            await self._api.call(
                self._api.web.chat_postEphemeral(channel=str(channel), user=user_of(payload), text=safe.cut_markup(text, 2_900))
            )
        except NotifierError as error:
            log.warning("an answer could not be given: %s", error)

    def tried(self, payload: Payload, what: Callable[[], object]) -> str:
        """The refusal of the desk, in words, or an empty string. Done and marked in one transaction."""
        try:
            with self._office.store.transaction():
                what()
                self._office.store.done(str(payload["envelope"]), self._office.clock(), "done")
        except DeskError as error:
            return safe.for_slack_sentence(str(error))
        return ""
