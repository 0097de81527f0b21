"""Our own standing message: what in Slack remembers us when our database does not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from monitor import safe
from monitor.first_sight import Proof
from monitor.notifiers.interface import NotifierError, Refusal
from monitor.notifiers.slack.api import Api, next_cursor
from monitor.notifiers.slack.people import People
from monitor.notifiers.slack.seal import EVENT, Seal

KIND = "standing"
_NO_SCOPE = (
    "it cannot tell a lost database from a new one: add channels:history (groups:history for a private channel) to the scopes of the Slack"
    " app, and install it again"
)
_RENEWED = 30 * 86_400  # seconds: some workspaces hide what is older than 90 days
_A_PAGE, _MOST_PAGES = 999, 30


class SlackStanding:
    """See `first_sight.Channel`. A receipt is the message's `ts`."""

    def __init__(self, api: Api, channel: str, people: People, seal: Seal) -> None:
        self._api, self._channel, self._people, self._seal = api, channel, people, seal
        self._channel_id = channel

    async def tell(self, text: str, payload: dict[str, str | int], receipt: str) -> str:
        """Post it, or edit it; once a month it is posted anew."""
        said: dict[str, Any] = {"text": safe.for_slack_lines(text, 3_500), "metadata": self._seal.metadata(payload, self._channel)}
        said |= {"parse": "none", "link_names": False}
        age = self._people.clock().timestamp() - _time(receipt) if receipt else 0.0
        if receipt and age < _RENEWED:
            await self._api.call(self._api.web.chat_update(channel=self._channel_id, ts=receipt, **said))
            return receipt
        answer = await self._api.call(
            self._api.web.chat_postMessage(channel=self._channel, unfurl_links=False, unfurl_media=False, mrkdwn=False, **said)
        )
        self._channel_id = str(answer.get("channel") or self._channel)
        if not answer.get("ts"):
            raise NotifierError(Refusal.UNKNOWN, "Slack answered ok without saying where the message is")
        return str(answer["ts"])

    async def proofs(self, receipt: str = "") -> tuple[tuple[Proof, ...], bool]:
        """The channel's history, back to that message, or to its beginning where that can be done."""
        await self._people.introduced()
        found, cursor = [], ""
        since: dict[str, Any] = {"oldest": receipt, "inclusive": True} if receipt else {}
        for _ in range(_MOST_PAGES):
            answer = await self._history(include_all_metadata=True, limit=_A_PAGE, cursor=cursor, **since)
            found += [proof for message in answer.get("messages") or () if (proof := self._read(message))]
            cursor = next_cursor(answer)
            if not cursor:
                return tuple(found), True
        return tuple(found), False

    async def check(self) -> None:
        """Whether what is there of ours could be read. Raises NotifierError."""
        await self._history(limit=1)

    async def _history(self, **asked: Any) -> Mapping[str, Any]:
        try:
            return await self._api.call(self._api.web.conversations_history(channel=self._channel_id, **asked))
        except NotifierError as error:
            raise NotifierError(error.refusal, _NO_SCOPE, code=error.code) if error.code == "missing_scope" else error from None

    def _read(self, message: Mapping[str, Any]) -> Proof | None:
        """A message that Slack names us as the author of, and that has our metadata. Its seal proves nothing more here: the key
        may be lost with the database, and what it says is never believed beyond the time at which Slack says it was written.
        """
        metadata = message.get("metadata")
        if not self._people.wrote(message) or not isinstance(metadata, Mapping) or metadata.get("event_type") != EVENT:
            return None
        said = metadata.get("event_payload")
        said = said if isinstance(said, Mapping) else {}
        edited = message.get("edited")
        written = max(_time(message.get("ts")), _time(edited.get("ts")) if isinstance(edited, Mapping) else 0.0)
        if said.get("kind") != KIND:
            return Proof(_moment(written), written=_moment(written), posted=_moment(_time(message.get("ts"))))
        accounts, handles = (frozenset(str(said.get(name, "")).split()) for name in ("accounts", "handles"))
        read = _time(said.get("read")) or _time(message.get("ts"))  # nothing was read so far: it was wanted from then on
        return Proof(
            _moment(min(written, read)), accounts, bool(said.get("whole")), str(said.get("install")), handles, _count(said.get("told")),
            _moment(written), _moment(_time(message.get("ts"))),
        )  # fmt: skip


def _time(value: object) -> float:
    """Seconds since 1970, 0 for what is none."""
    try:
        return min(max(float(str(value)), 0.0), 4e9)
    except ValueError:
        return 0.0


def _count(value: object) -> int:
    """A number, 0 for what is none."""
    try:
        return int(str(value))
    except ValueError:
        return 0


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
