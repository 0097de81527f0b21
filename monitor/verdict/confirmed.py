"""Whose word a registration is: one person's takes effect late, or only with a notice, until a second confirms it.

Who registers text right before it is posted may be the hijacker himself, with the session of one of our people.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from monitor import safe
from monitor.model import ApprovedPost, Approving

ALONE = "nobody else has confirmed it"
RANK = -1  # before every other doubt: a second person may be asked now
_RECORDED = "replay:"  # a recording of the past: every registration is younger than its posts


def waits(one: ApprovedPost, approving: Approving) -> tuple[int, str] | None:
    """Why a registration does not take effect yet, with its rank, or None."""
    if not approving.two_person or one.confirmed_at:
        return None
    return RANK, f"registered post #{one.id} has these words, and still waits for a second approver"


def fresh(one: ApprovedPost, appeared: datetime, approving: Approving) -> tuple[str, ...]:
    """The caveat of a registration that was young, or not made yet, when its post appeared."""
    if one.confirmed_at or one.registered_at is None or one.account.startswith(_RECORDED):
        return ()
    age = appeared - one.registered_at
    if age >= timedelta(minutes=approving.fresh_minutes) or not approving.fresh_minutes:
        return ()
    who = safe.clean(one.registered_by or one.approved_by, 80)
    when = f"registered {_words(age)} ago" if age >= timedelta() else f"registered {_words(-age)} after it was posted,"
    return (f"{when} by {who}, and {ALONE}",)


def _words(age: timedelta) -> str:
    seconds = int(age.total_seconds())
    minutes = seconds // 60
    return f"{minutes} minute{'s' if minutes > 1 else ''}" if minutes else f"{seconds} second{'s' if seconds != 1 else ''}"
