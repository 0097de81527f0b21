"""Who may do what: members of groups of our own workspace. Guests and people of connected workspaces never."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from monitor import safe
from monitor.notifiers.interface import NotifierError, Refusal
from monitor.notifiers.slack import membership
from monitor.notifiers.slack.api import Api, objects
from monitor.notifiers.slack.membership import Person

FRESH = timedelta(minutes=5)
_NOBODY_THERE = ("user_not_found", "user_not_visible", "users_not_found")  # answers of Slack's about a user
OUTSIDE = "only full members of our own workspace can do that; guests and people of connected workspaces cannot"
APPROVING = (
    "approve",
    "plan",
    "withdraw",
    "silence alone",
    "legal hold",
)  # what excuses posts, mutes an account, keeps an incident for ever
LIGHT = ("look", "acknowledge", "hold", "escalate", "reopen", "test", "unsilence")  # says that somebody has it, or wakes more people
# Light acts may rest on what Slack said up to five minutes ago, or last; all others ask it at the time: whoever was removed may no more.


@dataclass
class People:
    """Users and groups, remembered for five minutes. What is remembered may acknowledge, never approve, resolve or silence.

    `responders` and `approvers` name groups (`S…`) and users (`U…`); approvers may all that responders may.
    """

    api: Api
    clock: Callable[[], datetime]
    responders: tuple[str, ...] = ()
    approvers: tuple[str, ...] = ()
    team: str = ""
    us: str = ""
    bot: str = ""
    workspace: str = ""  # its name
    names: tuple[tuple[str, str], ...] = ()  # of groups, by their ids
    _users: dict[str, tuple[datetime, Person]] = field(default_factory=dict)
    _groups: dict[str, tuple[datetime, frozenset[str]]] = field(default_factory=dict)

    async def introduce(self) -> dict[str, object]:
        """`auth.test`: whose token this is."""
        answer = await self.api.call(self.api.web.auth_test())
        self.team, self.us, self.bot, self.workspace = (str(answer.get(key) or "") for key in ("team_id", "user_id", "bot_id", "team"))
        return dict(answer)

    async def introduced(self) -> None:
        """Know who we are. Raises NotifierError."""
        if not self.us:
            await self.introduce()

    def wrote(self, message: Mapping[str, Any]) -> bool:
        """Whether Slack names us as the author: needed, and not enough, see `seal`."""
        return bool(self.us and message.get("user") == self.us) or bool(self.bot and message.get("bot_id") == self.bot)

    async def learn_names(self) -> None:
        """What groups are called: an id says nothing at 03:00. Raises NotifierError."""
        answer = await self.api.call(self.api.web.usergroups_list(include_disabled=True))
        groups = [g for g in objects(answer, "usergroups") if g.get("handle")]
        self.names = tuple((str(g.get("id")), f"@{safe.clean(str(g['handle']), 40)}") for g in groups)

    def name_of(self, user: str) -> str:
        """What somebody is called, if Slack has said it; with their id."""
        return self._users[user][1].name if user in self._users else ""

    async def person(self, user: str, *, now: bool = False) -> Person:
        """What Slack says of somebody, of us too. Raises NotifierError."""
        known = self._users.get(user)
        if known and not now and self.clock() - known[0] < FRESH:
            return known[1]
        try:
            found = membership.read(user, (await self.api.call(self.api.web.users_info(user=user))).get("user"))
        except NotifierError as error:
            if error.code not in _NOBODY_THERE:
                raise
            found = membership.UNKNOWN
        self._users[user] = self.clock(), found
        return found

    async def member(self, user: str, *, now: bool = False) -> str:
        """Name and id of a full human member of our own workspace, or an empty string. Raises NotifierError."""
        person, why = await self._seen(user, now=now)
        return "" if why else person.name

    async def _seen(self, user: str, team: str = "", *, now: bool = False) -> tuple[Person, str]:
        """(who it is, why they are not one of us). Raises NotifierError."""
        if not self.team:
            await self.introduce()
        if not user or user == self.us:
            return membership.UNKNOWN, membership.UNKNOWN.why
        person = await self.person(user, now=now)
        return person, person.refused(self.team, safe.clean(self.workspace, 60), team)

    async def may(self, user: str, verb: str, team: str = "") -> tuple[str, str]:
        """(their name, why not). One of them is empty. `team` is the workspace that the click names."""
        try:
            return await self.judged(user, verb, team)
        except _NotNowError as error:
            return "", str(error)
        except NotifierError:
            return "", f"Slack does not say now who you are; on the host `hijack-monitor {_COMMANDS.get(verb, 'incidents list')}` works"

    async def judged(self, user: str, verb: str, team: str = "") -> tuple[str, str]:
        """As `may`. Raises NotifierError where Slack cannot say it now: that is no refusal, ask again."""
        person, why = await self._known(user, verb, team)
        command = f"on the host `hijack-monitor {_COMMANDS.get(verb, 'incidents list')}` works"
        if why:
            return "", f"{OUTSIDE}. {why}. Ask a member, or {command}"
        who = person.name
        if verb == "look" or (verb in LIGHT and not self.responders):
            return who, ""
        groups = self.approvers if verb in APPROVING else tuple(dict.fromkeys((*self.responders, *self.approvers)))
        if not groups:
            return "", _NO_APPROVERS if verb in APPROVING else _NOBODY.format(_COMMANDS.get(verb, "incidents"))
        if await self._inside(person, groups, now=verb not in LIGHT):
            return who, ""
        key = "" if self.responders or verb in APPROVING else "; set `responders` in [slack] to let others do it"
        return "", f"only members of {_listed(groups)} can do that{key}; {command}"

    async def _known(self, user: str, verb: str, team: str) -> tuple[Person, str]:
        """Who it is; for a light act an older answer will do when Slack gives none."""
        try:
            return await self._seen(user, team, now=verb not in LIGHT)
        except NotifierError:
            if verb not in LIGHT or user not in self._users:
                raise
            person = self._users[user][1]
            return person, person.refused(self.team, safe.clean(self.workspace, 60), team)

    async def _inside(self, person: Person, groups: tuple[str, ...], *, now: bool) -> bool:
        """Whether they are listed, or members of a listed group. Raises NotifierError when that cannot be known."""
        if person.ids & set(groups):
            return True
        states = await asyncio.gather(*(self._group(g, now=now) for g in groups if g.startswith("S")))
        if any(person.ids & members for members, _ in states):
            return True
        if not all(fresh for _, fresh in states):
            raise _NotNowError(
                Refusal.UNKNOWN, f"Slack cannot say now who is in {_listed(groups)}, and an approval needs to know; try again soon"
            )
        return False

    async def _group(self, group: str, *, now: bool) -> tuple[frozenset[str], bool]:
        """(its members as far as we know, whether that is fresh). Asked `now`, older answers are none."""
        known = self._groups.get(group)
        if known and not now and self.clock() - known[0] < FRESH:
            return known[1], True
        try:
            answer = await self.api.call(self.api.web.usergroups_users_list(usergroup=group))
        except NotifierError:
            return (known[1] if known and not now else frozenset()), False
        listed = answer.get("users")
        members = frozenset(str(u) for u in listed) if isinstance(listed, list) else frozenset()
        self._groups[group] = self.clock(), members
        return members, True

    def in_words(self, why: str) -> str:
        """A refusal for everybody to read: groups by name, and nobody is mentioned."""
        names = dict(self.names)
        return re.sub(r"<(?:!subteam\^|@)(\w+)>", lambda m: names.get(m[1], m[1]), why)

    async def by_email(self, address: str) -> str:
        """The user of our workspace with this address, or an empty string. Raises NotifierError."""
        try:
            answer = await self.api.call(self.api.web.users_lookupByEmail(email=address))
        except NotifierError as error:
            if error.code in _NOBODY_THERE:
                return ""
            raise
        user = answer.get("user")
        found = str(user.get("id") or "") if isinstance(user, Mapping) else ""
        return found if await self.member(found) else ""


class _NotNowError(NotifierError):
    """Slack cannot say it now; the message is for whoever asked."""


def _listed(groups: tuple[str, ...]) -> str:
    return ", ".join(f"<!subteam^{g}>" if g.startswith("S") else f"<@{g}>" for g in groups)


_COMMANDS = {
    "acknowledge": "incidents ack", "resolve": "incidents resolve", "approve": "incidents approve", "silence": "silence begin",
    "silence alone": "silence begin", "unsilence": "silence end", "plan": "posts add", "withdraw": "posts withdraw",
    "legal hold": "incidents hold",
}  # fmt: skip
_NO_APPROVERS = (
    "nobody may approve from Slack: `approvers` in [slack] names no group and no user; on the host `hijack-monitor incidents approve` works"
)
_NOBODY = "nobody may do that from Slack: set `responders` in [slack]; on the host `hijack-monitor {}` works"
