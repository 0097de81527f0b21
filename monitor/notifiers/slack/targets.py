"""Whom a mention reaches. A group that is switched off or empty, somebody who left, a bot, and somebody outside a private channel
are notified of nothing, and Slack says so to nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from monitor.notifiers.interface import NotifierError
from monitor.notifiers.slack import membership
from monitor.notifiers.slack.api import Api, next_cursor, objects
from monitor.notifiers.slack.people import People

log = logging.getLogger("monitor.slack")

EVERY, AGAIN = (
    timedelta(minutes=10),
    timedelta(minutes=1),
)  # while all is well, and while somebody cannot be reached or Slack does not say it
_PAGES = 30  # of a thousand members
_MOST_ASKED = 30  # members of one group, until one of them is reached

Wanted = Mapping[str, Mapping[str, str]]  # channel -> (group, user or "channel" -> where it is configured, in words)


@dataclass(frozen=True, slots=True)
class Found:
    """By channel and target: why it reaches nobody, and what Slack could not say now."""

    nobody: Mapping[tuple[str, str], str]
    unknown: Mapping[tuple[str, str], str]


@dataclass
class Targets:
    """What was found is remembered: a page does not wait for it."""

    api: Api
    people: People
    clock: Callable[[], datetime]
    wanted: Callable[[], Wanted] = dict
    nobody: Mapping[tuple[str, str], str] = field(default_factory=dict)
    well_at: datetime | None = None  # when everybody could last be reached
    _looked_at: datetime | None = None
    _unsaid: bool = False  # whether Slack could not say all of it
    _looked_for: Wanted = field(default_factory=dict)

    async def look(self) -> None:
        """Now and then; what Slack does not say stays as it was."""
        now, wanted = self.clock(), self.wanted()
        every = AGAIN if self.nobody or self._unsaid else EVERY
        if self._looked_at and timedelta() <= now - self._looked_at < every and wanted == self._looked_for:
            return
        self._looked_at, self._looked_for = now, {channel: dict(targets) for channel, targets in wanted.items()}
        found = await self.find(wanted)
        self._unsaid = bool(found.unknown)
        kept = {key: why for key, why in self.nobody.items() if key in found.unknown}
        self.nobody = {**kept, **found.nobody}
        self.well_at = self.well_at if self.nobody or self._unsaid else now

    async def find(self, wanted: Wanted) -> Found:
        """Ask Slack about each. The channel "" is none: nobody has to be in it."""
        nobody: dict[tuple[str, str], str] = {}
        unknown: dict[tuple[str, str], str] = {}
        groups = await self._groups(any(who.startswith("S") for targets in wanted.values() for who in targets))
        for channel, targets in wanted.items():
            try:
                inside = await self._inside(channel)
            except NotifierError as error:
                unknown |= {(channel, who): str(error) for who in targets}
                continue
            for who in targets:
                try:
                    why = await self._why(who, channel, inside, groups)
                except NotifierError as error:
                    unknown[channel, who] = str(error)
                else:
                    nobody |= {(channel, who): why} if why else {}
        return Found(nobody, unknown)

    def unreached(self, channels: Iterable[str]) -> frozenset[str]:
        """Those whom a mention reaches in none of these channels."""
        if not self.nobody:
            return frozenset()
        found = [{who for where, who in self.nobody if where == channel} for channel in channels]
        return frozenset(set.intersection(*found)) if found else frozenset()

    def words(self) -> str:
        """Who cannot be reached and why, for a notice; empty when everybody can."""
        said = [self.sentence(who, why, self._looked_for.get(where, {}).get(who, "")) for (where, who), why in self.nobody.items()]
        said = list(dict.fromkeys(said))
        return "; ".join(said[:5]) + (f"; and {len(said) - 5} more" if len(said) > 5 else "")

    def sentence(self, who: str, why: str, where: str) -> str:
        """About one: with its name where Slack gives one, and the key that names it."""
        name = dict(self.people.names).get(who) or self.people.name_of(who)
        return f"{name or who}{f' ({who})' if name and who not in name else ''}{f' in {where}' if where else ''} {why}"

    async def _why(self, who: str, channel: str, inside: frozenset[str] | None, groups: Mapping[str, Mapping[str, Any]] | None) -> str:
        """Why a mention of this reaches nobody, or an empty string. Raises NotifierError."""
        if who == "channel":
            there = inside if inside is not None else await self.members(channel)
            return await self._none_of(sorted(there - {self.people.us}), None, "the channel has no member who could be woken")
        if not who.startswith("S"):
            return await self._unreached(who, channel, inside)
        if groups is None:
            users = (await self.api.call(self.api.web.usergroups_users_list(usergroup=who))).get("users")
        elif (group := groups.get(who)) is None:
            return "is a user group that does not exist"
        elif group.get("date_delete"):
            return "is a user group that is switched off"
        else:
            users = group.get("users") or (await self.api.call(self.api.web.usergroups_users_list(usergroup=who))).get("users")
        members = [str(user) for user in users] if isinstance(users, list) else []
        if not members:
            return "is a user group without members"
        first = sorted(members, key=lambda user: inside is not None and user not in inside)
        return await self._none_of(first, inside, "is a user group of which nobody can be woken", channel)

    async def _none_of(self, users: list[str], inside: frozenset[str] | None, why: str, channel: str = "") -> str:
        """`why`, with the reason of the first, if none of them is reached; of more than we may ask nothing is claimed."""
        first = ""
        for user in users[:_MOST_ASKED]:
            one = await self._unreached(user, channel, inside)
            if not one:
                return ""
            first = first or f": {user} {one}"
        return "" if len(users) > _MOST_ASKED else why + first

    async def _unreached(self, user: str, channel: str, inside: frozenset[str] | None) -> str:
        """Why somebody is not notified, or an empty string. Raises NotifierError."""
        person = await self.people.person(user)
        if person == membership.UNKNOWN:
            return "is nobody whom Slack knows"
        if person.gone:
            return "is deactivated or a bot"
        outside = inside is not None and not person.ids & inside
        return f"is not a member of the private channel {channel}: invite them there" if outside else ""

    async def _groups(self, asked: bool) -> dict[str, Mapping[str, Any]] | None:  # noqa: FBT001 - whether there is a group at all
        """Every group with its members, those that are switched off too; None when Slack does not list them."""
        if not asked:
            return {}
        try:
            answer = await self.api.call(self.api.web.usergroups_list(include_disabled=True, include_users=True))
        except NotifierError as error:
            log.warning("user groups could not be listed: %s", error)
            return None
        return {str(group.get("id")): group for group in objects(answer, "usergroups")}

    async def _inside(self, channel: str) -> frozenset[str] | None:
        """Who is in a private channel; None for a public one, in which a mention also reaches others. Raises NotifierError."""
        if not channel:
            return None
        info = (await self.api.call(self.api.web.conversations_info(channel=channel))).get("channel")
        closed = isinstance(info, Mapping) and any(info.get(key) for key in ("is_private", "is_group", "is_im", "is_mpim"))
        return await self.members(channel) if closed else None

    async def members(self, channel: str) -> frozenset[str]:
        """Who is in a channel. Raises NotifierError."""
        found: set[str] = set()
        cursor = ""
        for _ in range(_PAGES):
            answer = await self.api.call(self.api.web.conversations_members(channel=channel, limit=1000, cursor=cursor))
            listed = answer.get("members")
            found |= {str(user) for user in listed} if isinstance(listed, list) else set()
            cursor = next_cursor(answer)
            if not cursor:
                break
        return frozenset(found)
