"""What our own messages say of incidents, for a database that is a copy of an earlier one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from monitor.after_restore import Found, Told
from monitor.model import State
from monitor.notifiers.slack.api import Api, messages, next_cursor
from monitor.notifiers.slack.people import People
from monitor.notifiers.slack.seal import Seal

_EARLIER = timedelta(minutes=15)  # Slack's clock may be behind ours
_A_PAGE, _MOST_PAGES = 999, 30
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)


class SlackHistory:
    """See `after_restore.Channel`. Only what Slack names us as the author of and whose seal is good counts."""

    def __init__(self, api: Api, channel: str, channel_id: str, people: People, seal: Seal) -> None:
        self._api, self._channel, self._channel_id, self._people, self._seal = api, channel, channel_id, people, seal

    async def told(self, since: datetime) -> Found:
        """The channel's messages since then, and those of threads that it shows."""
        await self._people.introduced()
        found, cursor, oldest = list[Told](), "", str((since - _EARLIER).timestamp())
        for _ in range(_MOST_PAGES):
            call = self._api.web.conversations_history(
                channel=self._channel_id, oldest=oldest, include_all_metadata=True, limit=_A_PAGE, cursor=cursor
            )
            answer = await self._api.call(call)
            found += [told for message in messages(answer) if (told := self._read(message))]
            cursor = next_cursor(answer)
            if not cursor:
                return tuple(found), True
        return tuple(found), False

    def _read(self, message: Mapping[str, Any]) -> Told | None:
        said = self._seal.payload(message, self._channel) if self._people.wrote(message) else {}
        try:
            number, at = int(said["incident"]), datetime.fromtimestamp(int(said["at"]), UTC)
            state, key = State(str(said["state"])), str(said["dedupe_key"])
        except (KeyError, ValueError, OverflowError, OSError):
            return None
        if not 0 < number < 2**53 or at > _LATEST:
            return None
        return Told(number, str(said.get("subject")), state, at, key, str(message.get("ts")))
