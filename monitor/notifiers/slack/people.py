"""Who may do what: members of groups of our own workspace. Guests and people of connected workspaces never."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from monitor import safe
from monitor.notifiers.interface import NotifierError
from monitor.notifiers.slack.api import Api

FRESH = timedelta(minutes=5)
_OUTSIDE = ("is_bot", "deleted", "is_restricted", "is_ultra_restricted", "is_stranger")
APPROVING = ("approve", "plan", "withdraw")  # what excuses posts; everything else only says that somebody has it


@dataclass
class People:
    """Users and groups, remembered for five minutes. Old group data may acknowledge, never approve."""

    api: Api
    clock: Callable[[], datetime]
    responders: tuple[str, ...] = ()
    approvers: tuple[str, ...] = ()
    team: str = ""
    us: str = ""
    names: tuple[tuple[str, str], ...] = ()  # of groups, by their ids
    _users: dict[str, tuple[datetime, str]] = field(default_factory=dict)
    _groups: dict[str, tuple[datetime, frozenset[str]]] = field(default_factory=dict)

    async def introduce(self) -> dict[str, object]:
        """`auth.test`: whose token this is."""
        answer = await self.api.call(self.api.web.auth_test())
        self.team, self.us = str(answer.get("team_id", "")), str(answer.get("user_id", ""))
        return dict(answer)

    async def learn_names(self) -> None:
        """What groups are called: an id says nothing at 03:00. Raises NotifierError."""
        answer = await self.api.call(self.api.web.usergroups_list())
        self.names = tuple((str(g["id"]), f"@{safe.clean(str(g.get('handle', '')), 40)}") for g in answer.get("usergroups") or ())

    async def member(self, user: str) -> str:
        """Name and id of a full human member of our own workspace, or an empty string. Raises NotifierError."""
        known = self._users.get(user)
        if known and self.clock() - known[0] < FRESH:
            return known[1]
        if not self.team:
            await self.introduce()
        if not user or user == self.us:
            return ""
        data = (await self.api.call(self.api.web.users_info(user=user))).get("user") or {}
        ours = data.get("team_id") == self.team and not any(data.get(flag) for flag in _OUTSIDE)
        name = safe.clean(str((data.get("profile") or {}).get("display_name") or data.get("name") or ""), 60)
        self._users[user] = self.clock(), f"{name or user} ({user})" if ours else ""
        return self._users[user][1]

    async def may(self, user: str, verb: str, team: str = "") -> tuple[str, str]:
        """(their name, why not). One of them is empty. `team` is the workspace that the click names."""
        try:
            who = "" if team and self.team and team != self.team else await self._known(user, verb)
        except NotifierError:
            return "", f"Slack does not say now who you are; on the host `hijack-monitor incidents {_COMMANDS.get(verb, 'list')}` works"
        if not who:
            return "", "only full members of our own workspace can do that; guests and people of connected workspaces cannot"
        groups = () if verb == "look" else self.approvers if verb in APPROVING else self.responders
        if not groups:
            return ("", _NO_APPROVERS) if verb in APPROVING else (who, "")
        inside, fresh = await self._inside(user, groups)
        if inside and (fresh or verb not in APPROVING):
            return who, ""
        listed = ", ".join(f"<!subteam^{g}>" for g in groups)
        if inside:
            return "", f"Slack cannot say now who is in {listed}, and an approval needs to know; try again soon"
        return "", f"only members of {listed} can do that"

    async def _known(self, user: str, verb: str) -> str:
        """The member; for an acknowledgement an older answer will do when Slack gives none."""
        try:
            return await self.member(user)
        except NotifierError:
            if verb in APPROVING or user not in self._users:
                raise
            return self._users[user][1]

    async def _inside(self, user: str, groups: tuple[str, ...]) -> tuple[bool, bool]:
        """(is a member of one of them, and that is known to be so now)."""
        states = await asyncio.gather(*(self._group(g) for g in groups))
        found = [fresh for members, fresh in states if user in members]
        return bool(found), any(found)

    async def _group(self, group: str) -> tuple[frozenset[str], bool]:
        """(its members as far as we know, whether that is fresh)."""
        known = self._groups.get(group)
        if known and self.clock() - known[0] < FRESH:
            return known[1], True
        try:
            answer = await self.api.call(self.api.web.usergroups_users_list(usergroup=group))
        except NotifierError:
            return (known[1] if known else frozenset()), False
        members = frozenset(str(u) for u in answer.get("users") or ())
        self._groups[group] = self.clock(), members
        return members, True

    async def by_email(self, address: str) -> str:
        """The user of our workspace with this address, or an empty string. Raises NotifierError."""
        answer = await self.api.call(self.api.web.users_lookupByEmail(email=address))
        user = answer.get("user") or {}
        return str(user.get("id", "")) if await self.member(str(user.get("id", ""))) else ""


_COMMANDS = {"acknowledge": "ack", "resolve": "resolve", "approve": "approve"}
_NO_APPROVERS = "nobody may approve from Slack: `approvers` in [slack] names no group; on the host `hijack-monitor incidents approve` works"
