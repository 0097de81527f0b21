"""Slack: one channel. Pages as messages, threads as their story; what people answer without buttons is read too.

`api.py` talks, `message.py` words, `seal.py` knows our own messages again. `conversation.py` reads threads, `thread.py` what a reply means;
`people.py` knows who may, `membership.py` who is one of us, `targets.py` whom a mention reaches; `app.py` answers clicks, `commands.py` commands and the Home tab, `replies.py` is how;
`history.py` what our messages say to a database that is a copy.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from monitor import safe, text_files
from monitor.after_restore import Found
from monitor.model import Account, Approving, Human, PageKind, State
from monitor.notifiers.interface import Letter, NotifierError, Refusal, Settings
from monitor.notifiers.slack import seal
from monitor.notifiers.slack.announcement import SlackAnnouncements
from monitor.notifiers.slack.api import Api, messages, next_cursor
from monitor.notifiers.slack.app import SlackApp
from monitor.notifiers.slack.conversation import Conversation, Memory
from monitor.notifiers.slack.front import Front
from monitor.notifiers.slack.history import SlackHistory
from monitor.notifiers.slack.message import Look, arguments, mention, runbook_messages
from monitor.notifiers.slack.people import People
from monitor.notifiers.slack.replies import Office
from monitor.notifiers.slack.seal import Seal
from monitor.notifiers.slack.standing import SlackStanding
from monitor.notifiers.slack.targets import Targets
from monitor.numbering import install_of

_NAMESPACE = uuid.UUID("6f3c6f0e-5d1a-4f0e-9d2b-0a3f1d6c7b11")
CLOCKS_DIFFER = timedelta(minutes=15)  # a message may carry an earlier time of Slack's than our page
_HISTORY_PAGES = 5


def build(settings: Settings, secrets: Mapping[str, str]) -> SlackNotifier:
    """The Slack channel. Raises KeyError when the secret `slack_bot_token` is missing."""
    api = Api(secrets["slack_bot_token"], str(settings.options.get("api_base", "https://slack.com/api/")), settings.session)
    made = SlackNotifier(api, str(settings.options["channel"]), settings, pressed=bool(secrets.get("slack_app_token")))
    made.seal = seal.of(secrets)
    return made


class SlackNotifier:
    """See `Notifier`. A receipt is the message's `ts`."""

    def __init__(self, api: Api, channel: str, settings: Settings, *, pressed: bool) -> None:
        self._api, self._channel, self._clock = api, channel, settings.clock
        self._channel_id = channel
        self.seal = Seal()
        self._memory = Memory()
        responders, approvers = (tuple(settings.options.get(name) or ()) for name in ("responders", "approvers"))
        self.people = People(api, settings.clock, responders, approvers)
        self.look = Look(str(settings.options.get("runbook_url") or ""), _runbook(settings), pressed=pressed)
        self._broadcast = bool(settings.options.get("broadcast", True))
        self._mention = tuple(settings.options.get("mention") or ())
        self._sockets = int(settings.options.get("sockets") or 1)

    @property
    def runbook(self) -> tuple[tuple[str, ...], ...]:
        """The runbook file, message by message."""
        return runbook_messages(self.look.runbook)

    def renew(self, fresh: SlackNotifier) -> None:
        """Go on as `fresh` was configured. The token, the channel and what is remembered stay."""
        self.look, self._broadcast, self._mention = fresh.look, fresh._broadcast, fresh._mention
        self.people.responders, self.people.approvers = fresh.people.responders, fresh.people.approvers

    def front(self, office: Office, app_token: str) -> Front:
        """Where people work with what this channel is told."""
        app = SlackApp(self._api, self.people, self._channel, office, self.seal)
        return Front(self._api, self.people, app, app_token, self._sockets, self._clock)

    def announcements(
        self, channel: str | None, install: str, approving: Approving, accounts: Callable[[], tuple[Account, ...]]
    ) -> SlackAnnouncements:
        """Where registrations are announced: in `channel`, else here."""
        channels = tuple(dict.fromkeys(filter(None, (channel, self._channel))))
        return SlackAnnouncements(self._api, channels, install, approving, accounts)

    def standing(self) -> SlackStanding:
        """What remembers us when our database does not."""
        return SlackStanding(self._api, self._channel, self.people, self.seal)

    async def told(self, since: datetime) -> Found:
        """What our messages here say of incidents, for a database that is a copy from then. Raises NotifierError."""
        return await SlackHistory(self._api, self._channel, self._channel_id, self.people, self.seal).told(since)

    async def covered(self, letter: Letter, within: timedelta) -> bool:
        """Whether another monitor has told of the same thing here, and still does what is to be done.

        Raises NotifierError when Slack does not say: then it counts as not covered.
        """
        oldest = str((letter.incident.opened_at - CLOCKS_DIFFER).timestamp())
        newest, state, cursor = 0.0, (0.0, ""), ""
        for _ in range(_HISTORY_PAGES):
            call = self._api.web.conversations_history(
                channel=self._channel_id, oldest=oldest, include_all_metadata=True, limit=200, cursor=cursor
            )
            answer = await self._api.call(call)
            for message in messages(answer):
                payload = self.seal.payload(message, self._channel)
                if not _same_thing(payload, letter):
                    continue
                said_at = float(payload.get("at", 0))  # a copy of an old message is a new message, and says the old time
                newest = max(newest, min(said_at, float(message["ts"])))
                if message.get("thread_ts") in (None, message["ts"]):  # its first message, edited as things change
                    state = max(state, (said_at, str(payload.get("state"))))
            cursor = next_cursor(answer)
            if not cursor:
                break
        if state[1] in (State.ACKNOWLEDGED, State.RESOLVED):
            return True
        return newest > (self._clock() - within).timestamp()

    async def send(self, letter: Letter) -> str:
        """Post a root, a reply or a broadcast reply; or edit the root."""
        page, content = letter.page, arguments(letter, replace(self.look, names=self.people.names, mark=self.seal.mark))
        if page.kind is PageKind.REDACT:
            await self._api.call(self._api.web.chat_update(channel=self._channel_id, ts=page.receipt, **_update(content)))
            return page.receipt
        if page.kind is PageKind.SYNC:
            if not letter.root:
                return "nothing to edit"
            await self._api.call(
                self._api.web.chat_update(
                    channel=self._channel_id, ts=letter.root, metadata=self._metadata(letter, root=True), **_update(content)
                )
            )
            return letter.root
        under: dict[str, Any] = {}
        if letter.root and page.kind is not PageKind.ROOT:
            under = {"thread_ts": letter.root, "reply_broadcast": page.kind is PageKind.REPEAT and self._broadcast}
        answer = await self._api.call(
            self._api.web.chat_postMessage(
                channel=self._channel,
                metadata=self._metadata(letter, thread=str(under.get("thread_ts", ""))),
                unfurl_links=False,
                unfurl_media=False,
                client_msg_id=str(uuid.uuid5(_NAMESPACE, page.key)),
                **under,
                **content,
            )
        )
        self._channel_id = str(answer.get("channel") or self._channel)
        if not answer.get("ts"):
            raise NotifierError(Refusal.UNKNOWN, "Slack answered ok without saying where the message is")
        if under and not _stands_below(answer):
            raise _alone(str(answer["ts"]))
        return str(answer["ts"])

    def _metadata(self, letter: Letter, *, root: bool = False, thread: str = "") -> dict[str, Any]:
        """Ids only: any app of the workspace can read it. `subject`, `state` and `at` are for a second monitor that looks on."""
        payload: dict[str, str | int] = {
            "incident": letter.incident.id,
            "rev": letter.page.id,
            "subject": letter.incident.subject,
            "post": _first(letter),
            "state": letter.incident.state.value,
            "at": int(letter.now.timestamp()),
            "thread": thread,
            "dedupe_key": letter.root_key if root else letter.page.key,
        }
        return self.seal.metadata(payload, self._channel)

    async def find(self, letter: Letter) -> str:
        """The message of ours whose metadata carries this page's key, by thread and history.

        Raises NotifierError: ALONE for a reply that stands in the channel, below nothing.
        """
        await self.people.introduced()
        below = letter.root if letter.page.kind is not PageKind.ROOT else ""
        try:
            found = await self._found(letter, below)
        except NotifierError as error:
            if not below or error.refusal is not Refusal.LOST:
                raise
            found = None
        found = found or (await self._found(letter, "") if below else None)
        if found and below and not found.get("thread_ts"):
            raise _alone(str(found["ts"]))
        return str(found["ts"]) if found else ""

    async def _found(self, letter: Letter, below: str) -> Mapping[str, Any] | None:
        """The message of this page, in the thread `below` or among those of the channel. Raises NotifierError."""
        oldest = str((letter.page.created_at - CLOCKS_DIFFER).timestamp())
        web, cursor = self._api.web, ""
        for _ in range(_HISTORY_PAGES):
            asked: dict[str, Any] = {
                "channel": self._channel_id,
                "oldest": oldest,
                "include_all_metadata": True,
                "limit": 200,
                "cursor": cursor,
            }
            answer = await self._api.call(web.conversations_replies(ts=below, **asked) if below else web.conversations_history(**asked))
            for message in messages(answer):
                ours = self.seal.payload(message, self._channel) if self.people.wrote(message) else {}
                if ours.get("dedupe_key") == letter.page.key:
                    return message
            cursor = next_cursor(answer)
            if not cursor:
                return None
        return None

    async def humans(self, root: str) -> tuple[Human, ...]:
        """What people replied, understood or not, and their 👀 and ✅ on messages of ours."""
        read = Conversation(self._api, self.people, self.seal, self._channel, self._channel_id, root, self._clock(), self._memory)
        return await read.humans()

    async def check(self) -> str:
        """`auth.test`, whether we are in the channel, and whether we may read it."""
        answer = await self.people.introduce()
        info = (await self._api.call(self._api.web.conversations_info(channel=self._channel_id))).get("channel") or {}
        if info.get("is_archived") or info.get("is_member") is False:
            why = "is archived" if info.get("is_archived") else "does not have the bot as a member: /invite it"
            raise NotifierError(Refusal.DESTINATION, f"channel {self._channel} {why}")
        await self.standing().check()
        outside = await self._outside()
        said = f"; not in the channel, so not surely woken: {', '.join(outside)}" if outside else ""
        return f"Slack as {safe.for_terminal(str(answer.get('user')))} in {safe.for_terminal(str(answer.get('team')))}, channel {self._channel}{said}"

    async def _outside(self) -> list[str]:
        """Members of the groups we mention who are not in the channel: Slack does not reliably notify them."""
        groups = [who for who in self._mention if who.startswith("S")]
        if not groups:
            return []
        there, found = await Targets(self._api, self.people, self._clock).members(self._channel_id), []
        for group in groups:
            with contextlib.suppress(NotifierError):  # one that is switched off: `Targets` says it
                members = (await self._api.call(self._api.web.usergroups_users_list(usergroup=group))).get("users") or ()
                found += [f"{user} of {group}" for user in members if user not in there]
        return found[:10]

    async def shout(self, text: str) -> None:
        """A plain message that nothing in the store knows of. It wakes whom a page wakes: it may be the only one."""
        said = " ".join([*map(mention, self._mention), safe.for_slack_sentence(text, 2_500)])
        await self._api.call(self._api.web.chat_postMessage(channel=self._channel, text=said, mrkdwn=False, parse="none"))


def _runbook(settings: Settings) -> str:
    """The operator's own file. Raises OSError when it cannot be read; of one that is no text what can be read is better than none."""
    name = str(settings.options.get("runbook_file") or "")
    if not name:
        return ""
    try:
        return text_files.read(Path(name))
    except text_files.TextError:
        return Path(name).read_text(encoding="utf-8", errors="replace")


def _update(content: dict[str, Any]) -> dict[str, Any]:
    """chat.update knows neither mrkdwn nor unfurl arguments; a plain edit must drop the old blocks."""
    return {k: v for k, v in content.items() if k != "mrkdwn"} | ({} if "blocks" in content else {"blocks": []})


def _stands_below(answer: Mapping[str, Any]) -> bool:
    """Whether Slack put a reply where it belongs. Where the first message was deleted it posts it to the channel and says nothing of
    it, except that the answer names no thread.
    """
    message = answer.get("message")
    return bool((message if isinstance(message, Mapping) else answer).get("thread_ts"))


def _alone(receipt: str) -> NotifierError:
    return NotifierError(Refusal.ALONE, "the first message was deleted in Slack: this one stands in the channel", receipt=receipt)


def _same_thing(payload: Mapping[str, Any], letter: Letter) -> bool:
    """Whether another monitor's message tells of the same account and the same first post."""
    ours = install_of(str(payload.get("dedupe_key"))) == install_of(letter.page.key)
    return not ours and payload.get("subject") == letter.incident.subject and payload.get("post") == _first(letter)


def _first(letter: Letter) -> str:
    """The post that opened the incident."""
    return letter.posts[0].post.id if letter.posts and letter.page.kind in (PageKind.ROOT, PageKind.REPEAT, PageKind.SYNC) else ""
