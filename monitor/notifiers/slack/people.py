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
from monitor.notifiers.slack.api import Api

FRESH = timedelta(minutes=5)
_OUTSIDE = ("is_bot", "deleted", "is_restricted", "is_ultra_restricted", "is_stranger")
APPROVING = ("approve", "plan", "withdraw", "silence alone")  # what excuses posts, or mutes a whole account
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
    names: tuple[tuple[str, str], ...] = ()  # of groups, by their ids
    _users: dict[str, tuple[datetime, str]] = field(default_factory=dict)
    _groups: dict[str, tuple[datetime, frozenset[str]]] = field(default_factory=dict)

    async def introduce(self) -> dict[str, object]:
        """`auth.test`: whose token this is."""
        answer = await self.api.call(self.api.web.auth_test())
        self.team, self.us, self.bot = (str(answer.get(key) or "") for key in ("team_id", "user_id", "bot_id"))
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
        answer = await self.api.call(self.api.web.usergroups_list())
        self.names = tuple((str(g["id"]), f"@{safe.clean(str(g.get('handle', '')), 40)}") for g in answer.get("usergroups") or ())

    async def member(self, user: str, *, now: bool = False) -> str:
        """Name and id of a full human member of our own workspace, or an empty string. Raises NotifierError."""
        known = self._users.get(user)
        if known and not now and self.clock() - known[0] < FRESH:
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
            return await self.judged(user, verb, team)
        except _NotNowError as error:
            return "", str(error)
        except NotifierError:
            return "", f"Slack does not say now who you are; on the host `hijack-monitor {_COMMANDS.get(verb, 'incidents list')}` works"

    async def judged(self, user: str, verb: str, team: str = "") -> tuple[str, str]:
        """As `may`. Raises NotifierError where Slack cannot say it now: that is no refusal, ask again."""
        who = "" if team and self.team and team != self.team else await self._known(user, verb)
        if not who:
            return "", "only full members of our own workspace can do that; guests and people of connected workspaces cannot"
        if verb == "look" or (verb in LIGHT and not self.responders):
            return who, ""
        groups = self.approvers if verb in APPROVING else tuple(dict.fromkeys((*self.responders, *self.approvers)))
        if not groups:
            return "", _NO_APPROVERS if verb in APPROVING else _NOBODY.format(_COMMANDS.get(verb, "incidents"))
        if await self._inside(user, groups, now=verb not in LIGHT):
            return who, ""
        key = "" if self.responders or verb in APPROVING else "; set `responders` in [slack] to let others do it"
        return "", f"only members of {_listed(groups)} can do that{key}"

    async def _known(self, user: str, verb: str) -> str:
        """The member; for a light act an older answer will do when Slack gives none."""
        try:
            return await self.member(user, now=verb not in LIGHT)
        except NotifierError:
            if verb not in LIGHT or user not in self._users:
                raise
            return self._users[user][1]

    async def _inside(self, user: str, groups: tuple[str, ...], *, now: bool) -> bool:
        """Whether they are listed, or members of a listed group. Raises NotifierError when that cannot be known."""
        if user in groups:
            return True
        states = await asyncio.gather(*(self._group(g, now=now) for g in groups if g.startswith("S")))
        if any(user in members for members, _ in states):
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
        members = frozenset(str(u) for u in answer.get("users") or ())
        self._groups[group] = self.clock(), members
        return members, True

    def in_words(self, why: str) -> str:
        """A refusal for everybody to read: groups by name, and nobody is mentioned."""
        names = dict(self.names)
        return re.sub(r"<(?:!subteam\^|@)(\w+)>", lambda m: names.get(m[1], m[1]), why)

    async def by_email(self, address: str) -> str:
        """The user of our workspace with this address, or an empty string. Raises NotifierError."""
        answer = await self.api.call(self.api.web.users_lookupByEmail(email=address))
        user = answer.get("user") or {}
        return str(user.get("id", "")) if await self.member(str(user.get("id", ""))) else ""


class _NotNowError(NotifierError):
    """Slack cannot say it now; the message is for whoever asked."""


def _listed(groups: tuple[str, ...]) -> str:
    return ", ".join(f"<!subteam^{g}>" if g.startswith("S") else f"<@{g}>" for g in groups)


_COMMANDS = {
    "acknowledge": "incidents ack", "resolve": "incidents resolve", "approve": "incidents approve", "silence": "silence begin",
    "silence alone": "silence begin", "unsilence": "silence end", "plan": "posts add", "withdraw": "posts withdraw",
}  # fmt: skip
_NO_APPROVERS = (
    "nobody may approve from Slack: `approvers` in [slack] names no group and no user; on the host `hijack-monitor incidents approve` works"
)
_NOBODY = "nobody may do that from Slack: set `responders` in [slack]; on the host `hijack-monitor {}` works"
