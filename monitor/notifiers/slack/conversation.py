"""Reads the thread of one message of ours: what people replied, and their reactions. Whatever is odd in it is skipped and logged once."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from monitor import safe
from monitor.model import Human
from monitor.notifiers.interface import NotifierError, Refusal
from monitor.notifiers.slack import thread
from monitor.notifiers.slack.api import Api, is_stamp, next_cursor, objects
from monitor.notifiers.slack.people import OUTSIDE, People
from monitor.notifiers.slack.seal import Seal

log = logging.getLogger("monitor.slack")

REPLY, REACTION = "a reply in Slack", "a reaction in Slack"
WHOLE = timedelta(seconds=100)  # how often a thread of many pages is read from its beginning; in between only what is new
_PAGES = 10  # two thousand messages in one read; the next one goes on behind them
_MOST_REMEMBERED = 5_000  # refused replies, odd messages; those beyond are asked about, and logged, again
_MOST_REACTED = 50  # people on one message
_USER = re.compile(r"[UW][A-Z0-9]{1,30}")
_SUBTYPES = (None, "thread_broadcast", "file_share", "me_message")
_ACK_REACTIONS = ("eyes", "white_check_mark", "heavy_check_mark")


@dataclass(frozen=True, slots=True)
class Reached:
    """Up to which message a thread was read. `ended_at` is when nothing stood behind it, None while more does; `unsaid` whether Slack
    could not say who somebody before it is.
    """

    newest: str
    ended_at: datetime | None = None
    unsaid: bool = False


@dataclass
class Memory:
    """What is known of threads from one read to the next."""

    refused: dict[str, Human] = field(default_factory=dict)  # replies, by channel and time: Slack is not asked again for each
    odd: set[str] = field(default_factory=set)  # messages that were logged
    reached: dict[str, Reached] = field(default_factory=dict)  # of long threads


@dataclass
class Conversation:
    """One read of the thread below `root`."""

    api: Api
    people: People
    seal: Seal
    channel: str  # as configured: the seal names it
    channel_id: str
    root: str
    now: datetime
    memory: Memory
    _asked: dict[tuple[str, str], tuple[str, str] | None] = field(default_factory=dict)  # a flood must not use up what we may ask
    _unsaid: bool = False  # whether Slack could not say who somebody is: the thread is read again from its beginning
    _newest: str = ""  # of the messages read
    _pages: int = 0

    async def humans(self) -> tuple[Human, ...]:
        """What people did, understood or not. Raises NotifierError, with what was `heard` where only a part of the thread was read:
        LOST when there is no thread.
        """
        await self.people.introduced()
        last = self.memory.reached.get(self.root)
        if last and last.ended_at and not timedelta() <= self.now - last.ended_at < WHOLE:
            last = None
        self._unsaid = last is not None and last.unsaid
        found: list[Human] = []
        try:
            async for message in self._messages(last.newest if last else ""):
                await asyncio.sleep(0)  # two thousand of them are no reason to keep a page waiting
                try:
                    found += await self._done_in(message)
                except NotifierError:
                    self._unsaid = True
                except Exception as error:  # noqa: BLE001 - nothing that stands in one message may keep an `ack` in another from being heard
                    self._skip(message, error)
        except NotifierError as error:
            if self._newest:
                self._remember(Reached(self._newest, None, self._unsaid))
            error.heard = tuple(found)
            raise
        if self._unsaid:
            self.memory.reached.pop(self.root, None)
        elif self._newest and (last.ended_at is None if last else self._pages > 1):
            self._remember(Reached(self._newest, self.now))
        return tuple(found)

    async def _messages(self, oldest: str) -> AsyncIterator[Any]:
        """All of the thread, or what is new in a long one. Raises NotifierError."""
        cursor, cursors = "", {""}
        while self._pages < _PAGES:
            call = self.api.web.conversations_replies(
                channel=self.channel_id, ts=self.root, include_all_metadata=True, limit=200, cursor=cursor, oldest=oldest or None
            )
            answer = await self.api.call(call)
            listed = answer.get("messages")
            if not listed and not self._pages and not oldest:
                raise NotifierError(Refusal.LOST, "Slack has no message there any more")
            self._pages += 1
            for message in listed if isinstance(listed, list) else [listed]:
                if isinstance(message, Mapping) and is_stamp(message.get("ts")):
                    self._newest = max(oldest, self._newest, message["ts"], key=lambda ts: float(ts or 0))
                yield message
            cursor = next_cursor(answer)
            if not cursor or cursor in cursors:
                return
            cursors.add(cursor)
        raise NotifierError(Refusal.UNKNOWN, "it has more messages than one read takes: the newest of them are still to be read")

    def _remember(self, reached: Reached) -> None:
        if len(self.memory.reached) >= _MOST_REMEMBERED:
            self.memory.reached.clear()
        self.memory.reached[self.root] = reached

    async def _done_in(self, message: Any) -> list[Human]:
        """Of one message. Raises NotifierError where Slack cannot say who somebody is, and anything else where it is odd."""
        if not isinstance(message, Mapping) or not is_stamp(message.get("ts")):
            raise ValueError("no object, or its `ts` is no time of Slack's")
        if message["ts"] == self.root and message.get("subtype") == "tombstone":
            return [Human("deleted", "somebody", "Slack", self.now, "the first message was deleted")]
        return await (self._said(message) if _is_by_a_person(message) else self._reacted(message))

    async def _said(self, message: Mapping[str, Any]) -> list[Human]:
        """The act of a reply; what was not understood, or not allowed, as a Human too: it is answered once."""
        stamp, user, text = message["ts"], _user(message.get("user")), message.get("text")
        if not isinstance(text, str):
            raise TypeError("its `text` is no text")
        name = f"{self.channel_id}:{stamp}"
        if refused := self.memory.refused.get(f"reply:{name}"):
            return [refused]
        said, when = thread.read(text), datetime.fromtimestamp(float(stamp), UTC)
        who, why = await self._judged(user, said.verb or ("acknowledge" if said.tries else "look"))
        if said.verb and who:
            return [Human(said.verb, who, REPLY, when, "", user, said.cause, f"reply:{name}")]
        if not said.verb and who:
            return [Human("unclear" if said.tries else "talk", who, REPLY, when, thread.WORDS, user, key=f"unclear:{name}")]
        return await self._refused(user, why, REPLY, when, f"reply:{name}") if said.verb or said.tries else []

    async def _reacted(self, message: Mapping[str, Any]) -> list[Human]:
        """On messages that are provably ours, and of this thread."""
        ours = self.seal.payload(message, self.channel) if self.people.wrote(message) else {}
        if not ours or (message["ts"] != self.root and ours.get("thread") != self.root):
            return []
        found: list[Human] = []
        for user in self._acknowledging(message):
            who, why = await self._judged(user, "acknowledge")
            key = f"reaction:{self.channel_id}:{message['ts']}:{user}"
            if who:
                found.append(Human("acknowledge", who, REACTION, self.now, user=user, key=key))
            else:
                found += await self._refused(user, why, REACTION, self.now, key)
        return found

    def _acknowledging(self, message: Mapping[str, Any]) -> list[str]:
        """Who reacted with 👀 or ✅. What is odd in one reaction costs no other."""
        found: dict[str, None] = {}
        for reaction in objects(message, "reactions"):
            users = reaction.get("users")
            if reaction.get("name") in _ACK_REACTIONS and isinstance(users, list):
                found |= {user: None for user in users if isinstance(user, str) and _USER.fullmatch(user)}
        return list(found)[:_MOST_REACTED]

    async def _refused(self, user: str, why: str, via: str, when: datetime, key: str) -> list[Human]:
        """For the answer in the thread: somebody who believes to have acknowledged must not sleep on. No app is answered."""
        person = await self.people.person(user)
        if person.gone or user == self.people.us:
            return []
        outside = why.startswith(OUTSIDE)  # once for each such person: they must not use up the answers that others need
        told = Human(
            "refused", person.name, via, when, self.people.in_words(why), user, key=f"outside:{self.root}:{user}" if outside else key
        )
        if via == REPLY and len(self.memory.refused) < _MOST_REMEMBERED:
            self.memory.refused[key] = told
        return [told]

    async def _judged(self, user: str, verb: str) -> tuple[str, str]:
        """(their name, why not), asked once a read. Raises NotifierError."""
        act = (user, verb)
        if act not in self._asked:
            self._asked[act] = None
            self._asked[act] = await self.people.judged(user, verb)
        if (answer := self._asked[act]) is None:
            raise NotifierError(Refusal.UNKNOWN, "Slack has not said who that is")
        return answer

    def _skip(self, message: Any, error: Exception) -> None:
        """Once for each message, with what is odd in it: types and names of keys, not what people wrote."""
        stamp = message.get("ts") if isinstance(message, Mapping) else None
        shape = sorted(map(str, message))[:20] if isinstance(message, Mapping) else type(message).__name__
        name = f"{self.root}:{safe.for_log(str(stamp), 40)}:{shape}"
        if name in self.memory.odd:
            return
        if len(self.memory.odd) >= _MOST_REMEMBERED:
            self.memory.odd.clear()
        self.memory.odd.add(name)
        log.warning(
            "a message in the thread %s is odd and is skipped (%s: %s); it has ts %s and %s", self.root, type(error).__name__,
            safe.for_log(str(error), 120), safe.for_log(str(stamp), 40), safe.for_log(str(shape), 300),
        )  # fmt: skip


def _user(value: object) -> str:
    """Raises TypeError."""
    if not isinstance(value, str) or not _USER.fullmatch(value):
        raise TypeError("its `user` is no user")
    return value


def _is_by_a_person(message: Mapping[str, Any]) -> bool:
    """Written by somebody themselves: no bot, no app in their name, nothing that Slack tells of them."""
    return not any(message.get(key) for key in ("bot_id", "app_id", "metadata")) and message.get("subtype") in _SUBTYPES
