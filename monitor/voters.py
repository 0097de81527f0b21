"""Who acted, as one human: whether by Slack or on the host. An approval by two is two people, not two names.

A voter is `slack:U0EXAMPLE` or `login:NAME`. Anything else (what earlier versions wrote down) is nobody.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable, Mapping
from pathlib import Path

_UNSET = 2**32 - 1  # of the kernel's login id: (uid_t) -1, no login at all (a container, a service)
SLACK, LOGIN = "slack:", "login:"


def of_slack(user: str) -> str:
    """The voter with this Slack id."""
    return f"{SLACK}{user}" if user else ""


def of_host() -> str:
    """The voter who runs this command."""
    return f"{LOGIN}{login()}"


def login() -> str:
    """Who logged in to this host.

    The kernel's login id says so where it is set: it survives `sudo` and `su`, and only root can change it. Else
    `SUDO_USER`, else the user. Environment variables can be typed by hand, but who may run this as the service's
    user can write its database, too.
    """
    try:
        number = int(Path("/proc/self/loginuid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        number = _UNSET
    sudo = os.environ.get("SUDO_USER", "")
    return _name(number) if number != _UNSET else sudo or _name(os.getuid())


def _name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"


def people(voters: Iterable[str], logins: Mapping[str, str]) -> int:
    """How many different people these surely are. `logins` says which login is whom in Slack.

    Logins count among themselves, Slack's members among themselves; both together only where the login is known in Slack.
    """
    known = {voter: _human(voter, logins) for voter in voters if voter.startswith((SLACK, LOGIN))}
    there = {human for human in known.values() if human.startswith(SLACK)}
    here = {human for voter, human in known.items() if voter.startswith(LOGIN)}
    return max(len(there), len(here))


def _human(voter: str, logins: Mapping[str, str]) -> str:
    user = logins.get(voter.removeprefix(LOGIN), "") if voter.startswith(LOGIN) else ""
    return of_slack(user) or voter


def unknown(voters: Iterable[str], logins: Mapping[str, str]) -> str:
    """What to set where votes from the host and from Slack cannot be added up, or an empty string."""
    given = list(voters)
    strangers = sorted({v.removeprefix(LOGIN) for v in given if v.startswith(LOGIN) and v.removeprefix(LOGIN) not in logins})
    if not strangers or not any(v.startswith(SLACK) for v in given):
        return ""
    return f'who {strangers[0]} of the host is in Slack is not known: set logins = {{{strangers[0]} = "U…"}} in [approvals]'
