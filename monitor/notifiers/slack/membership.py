"""Whose person somebody is, by what Slack says of them. Pure.

On Enterprise Grid a person has one home and belongs to several workspaces, so that `team_id` alone names whichever Slack
likes. Slack itself writes every field that is read here; nobody can set them in their own profile. `team.id` of a click names
the workspace of the app, whoever clicked, and is therefore not among them (docs.slack.dev: types/user, interaction payloads).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from monitor import safe
from monitor.notifiers.interface import NotifierError, Refusal

_BOTS = ("is_bot", "is_workflow_bot", "is_connector_bot")
_GONE = ("deleted", "is_forgotten")
_STRANGERS = ("is_stranger", "is_external")
_GUESTS = ("is_restricted", "is_ultra_restricted", "is_invited_user")


@dataclass(frozen=True, slots=True)
class Person:
    """`why` says what keeps them from being one of us wherever they are seen; empty when nothing does.

    `ids` are all of theirs, the one of the whole organization included. `teams` are the workspaces that Slack names.
    """

    name: str = ""
    why: str = ""
    ids: frozenset[str] = frozenset()
    teams: frozenset[str] = frozenset()
    organization: str = ""
    gone: bool = False  # deactivated, or a bot: no mention reaches them

    def refused(self, team: str, team_name: str, claimed: str = "") -> str:
        """Why they are not a member of the workspace `team`, or an empty string. `claimed` is the one that a click gives them."""
        if self.why:
            return self.why
        if claimed and claimed not in (team, self.organization) and claimed not in self.teams:
            return "the click comes from another workspace than Slack knows you in"
        if team and (team in self.teams or claimed == team):
            return ""
        return f"Slack does not list you as a member of the workspace {team_name or team}: an admin of it can add you"


UNKNOWN = Person(why="Slack does not know you in our workspace", gone=True)


def read(user: str, data: object) -> Person:
    """What `users.info` says of a user; whatever in it is not of its type says nothing. Raises NotifierError when it says nothing at all."""
    if not isinstance(data, Mapping) or not data:
        raise NotifierError(Refusal.UNKNOWN, "Slack answered ok without saying who that is")
    profile, grid = (value if isinstance(value, Mapping) else {} for value in (data.get("profile"), data.get("enterprise_user")))
    shown = next((v for v in (profile.get("display_name"), data.get("name")) if v and isinstance(v, str)), "")
    listed = grid.get("teams") if isinstance(grid.get("teams"), list | tuple) else ()
    gone = any(data.get(flag) for flag in (*_BOTS, *_GONE)) or user == "USLACKBOT"
    return Person(
        f"{safe.clean(shown, 60) or user} ({user})",
        _flagged(user, data),
        frozenset(i for i in (user, data.get("id"), grid.get("id")) if i and isinstance(i, str)),
        frozenset(t for t in (data.get("team_id"), profile.get("team"), *(listed or ())) if t and isinstance(t, str)),
        str(grid.get("enterprise_id") or ""),
        gone,
    )


def _flagged(user: str, data: Mapping[str, Any]) -> str:
    said = {
        "Slack says that you are a bot": _BOTS,
        "Slack says that your account is deactivated": _GONE,
        "Slack says that you belong to another organization": _STRANGERS,
        "Slack says that you are a guest": _GUESTS,
    }
    if user == "USLACKBOT":
        return "Slackbot says what others made it say"
    return next((why for why, flags in said.items() if any(data.get(flag) for flag in flags)), "")
