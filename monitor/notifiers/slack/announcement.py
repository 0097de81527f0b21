"""Registrations as they are announced in Slack: whole text, author, route, window, and a button to take it back.

Nobody is mentioned: an announcement wakes nobody. Texts and names are untrusted.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from monitor import desk, safe
from monitor.announcements import TOGETHER, Announcement
from monitor.model import Account, ApprovedPost, Approving
from monitor.notifiers.interface import NotifierError, Refusal
from monitor.notifiers.slack.api import Api
from monitor.notifiers.slack.message import button
from monitor.notifiers.slack.views import plain, quoted, section

ROOM = 9_000  # characters of texts in one message, as JSON; Slack takes about 13,000 in all
EACH = 300  # characters that a text costs beside its own: its heading, its block
MOST = 40  # texts of one message: it may have 50 blocks
_NAMESPACE = uuid.UUID("6f3c6f0e-5d1a-4f0e-9d2b-0a3f1d6c7b12")


class SlackAnnouncements:
    """See `announcer.Channel`. Where the channel for them cannot be posted to, the incident channel is told."""

    def __init__(
        self, api: Api, channels: tuple[str, ...], install: str, approving: Approving, accounts: Callable[[], tuple[Account, ...]]
    ) -> None:
        self._api, self._channels, self._install = api, channels, install
        self._approving, self._accounts = approving, accounts

    async def say(self, one: Announcement, now: datetime) -> tuple[str, str]:
        """Post it; (channel, timestamp)."""
        refused: NotifierError | None = None
        for channel in self._channels:
            try:
                answer = await self._api.call(
                    self._api.web.chat_postMessage(
                        channel=channel, unfurl_links=False, unfurl_media=False,
                        client_msg_id=str(uuid.uuid5(_NAMESPACE, f"{self._install}:{one.id}")), **self._content(one, now),
                    )
                )  # fmt: skip
            except NotifierError as error:
                if error.refusal is not Refusal.DESTINATION:
                    raise
                refused = error
            else:
                if not answer.get("ts"):
                    raise NotifierError(Refusal.UNKNOWN, "Slack answered ok without saying where the message is")
                return str(answer.get("channel") or channel), str(answer["ts"])
        assert refused is not None  # there is a channel
        raise refused

    async def correct(self, one: Announcement, now: datetime) -> None:
        """Edit it."""
        content = {k: v for k, v in self._content(one, now).items() if k != "mrkdwn"}
        content.setdefault("blocks", [])
        await self._api.call(self._api.web.chat_update(channel=one.channel, ts=one.receipt, **content))

    def _content(self, one: Announcement, now: datetime) -> dict[str, Any]:
        names = {a.key: a.name for a in self._accounts()}
        said = {"text": _line(one, names), "parse": "none", "link_names": False, "mrkdwn": False}
        return said if one.plain else said | {"blocks": blocks(one, names, now, self._approving)}


def is_shown_whole(registrations: Sequence[ApprovedPost]) -> bool:
    """Whether every text of an act stands whole in its announcements: only then may it be confirmed in Slack."""
    if len(registrations) <= TOGETHER:
        return all(_fits([one]) == 1 for one in registrations)
    return _fits(registrations) == len(registrations)


def _fits(registrations: Sequence[ApprovedPost]) -> int:
    """How many texts fit whole into one message, from the first on."""
    room = ROOM
    for count, one in enumerate(registrations[:MOST]):
        text = _text(one)
        room -= _cost(text)
        if not text or room < 0:
            return count
    return min(len(registrations), MOST)


def _text(one: ApprovedPost) -> str:
    return safe.for_slack_whole("\n".join(desk.shown_of(one)), ROOM)


def _cost(text: str) -> int:
    return safe.units(json.dumps(text, ensure_ascii=False)) + EACH


def _line(one: Announcement, names: dict[str, str]) -> str:
    """What a locked phone shows."""
    first = one.registrations[0]
    where = names.get(first.account, first.account)
    what = f"#{first.id}" if one.count == 1 else f"{one.count} posts, from #{first.id} on,"
    instead = f" instead of #{first.replaces}, which is withdrawn," if one.count == 1 and first.replaces else ""
    instead = f" {one.replacing} of them instead of earlier ones, which are withdrawn," if one.count > 1 and one.replacing else instead
    return safe.for_slack_sentence(f"Registered {what}{instead} for {where} by {_who(first)}", 300)


def _who(one: ApprovedPost) -> str:
    """Who did it and where; a name that a file gives is a claim."""
    claimed = f" (approved by {safe.clean(one.approved_by, 60)}, it says)" if one.approved_by not in one.registered_by else ""
    return f"{safe.clean(one.registered_by or one.approved_by, 80)}{claimed}" + (f" from {safe.clean(one.via, 100)}" if one.via else "")


def blocks(one: Announcement, names: dict[str, str], now: datetime, approving: Approving) -> list[dict[str, Any]]:
    """One registration with its text, or the texts of a whole act as far as they fit."""
    fitting = _fits(one.registrations)
    whole = fitting == one.count
    made = [section(f"*{_line(one, names)}*\n{_state(one, now, approving)}")]
    for each in one.registrations[:fitting] if one.count > 1 else one.registrations:
        text = _text(each) if fitting else safe.for_slack_literal("\n".join(desk.shown_of(each)), ROOM // 3)
        made.append(quoted(f"{_heading(each, names, now)}\n{text}" if one.count > 1 else text))
    if not whole:
        left = f"{one.count - fitting} more are" if one.count > 1 else "The rest of it is"
        made.append(
            section(
                f"{left} not shown: `hijack-monitor posts show {one.registrations[min(fitting, len(one.registrations) - 1)].id}` on the host."
            )
        )
    buttons = _buttons(one, now, approving, whole=whole)
    made += [{"type": "actions", "elements": buttons}] if buttons else []
    return [{"block_id": f"{n}.{one.id}.{one.revision}", **block} for n, block in enumerate(made)]


def _heading(one: ApprovedPost, names: dict[str, str], now: datetime) -> str:
    account, instead = names.get(one.account, one.account), f" (instead of #{one.replaces})" if one.replaces else ""
    return safe.for_slack_literal(f"#{one.id}{instead} {account}, {_window(one)}, {desk.standing(one, now)}", 200)


def _window(one: ApprovedPost) -> str:
    return f"{one.not_before:%d %b %H:%M} to {one.not_after:%d %b %H:%M} UTC"


def _open(registrations: Sequence[ApprovedPost], now: datetime) -> list[ApprovedPost]:
    return [one for one in registrations if desk.standing(one, now) in ("open", "planned")]


def _state(one: Announcement, now: datetime, approving: Approving) -> str:
    """What became of it, and what it is worth until then."""
    first = one.registrations[0]
    window = f"{first.kind}, {_window(first)}. " if one.count == 1 else ""
    standing = desk.standing(first, now)
    if one.count == 1 and standing in ("withdrawn", "used"):
        when = first.withdrawn_at if standing == "withdrawn" else first.used_at
        return f"{window}*{standing.capitalize()}* at {when:%d %b %H:%M} UTC."
    still = _open(one.registrations, now)
    if not still:
        return f"{window}Nothing of it is open any more."
    if all(r.confirmed_at for r in still):
        return f"{window}*Confirmed* by {safe.for_slack_sentence(still[0].confirmed_by, 80)} at {still[0].confirmed_at:%d %b %H:%M} UTC."
    if approving.two_person:
        return f"{window}*Waits for a second approver*: until somebody else confirms it, its post pages."
    until = _fresh_until(still, approving)
    return f"{window}Posted before {until:%H:%M} UTC it is a notice, unless somebody else confirms it." if until else window


def _fresh_until(still: Sequence[ApprovedPost], approving: Approving) -> datetime | None:
    """Until when a post of one of these would be a notice for want of a second person; None when it cannot be."""
    young = timedelta(minutes=approving.fresh_minutes)
    ends = [(r.registered_at + young, r) for r in still if r.registered_at and not r.confirmed_at]
    return max((end for end, r in ends if r.not_before < end), default=None) if young else None


def _buttons(one: Announcement, now: datetime, approving: Approving, *, whole: bool) -> list[dict[str, Any]]:
    still, number = _open(one.registrations, now), one.registrations[0].id
    if not still:
        return []
    alone = approving.two_person and any(not r.confirmed_at for r in still)
    open_word = alone or _fresh_until(still, approving) is not None
    act = [button("confirm", "Confirm" if one.count == 1 else "Confirm all", json.dumps({"n": number}), "primary")]
    if one.count == 1:
        return [*(act if open_word and whole else ()), button("withdraw", "Withdraw", json.dumps({"n": number}))]
    asked = {
        "title": plain("Withdraw all?", 90), "text": plain(f"Takes back what is still open of these {one.count}.", 280),
        "confirm": plain("Withdraw", 25), "deny": plain("Cancel", 25), "style": "danger",
    }  # fmt: skip
    taken_back = button("withdraw_all", "Withdraw all", json.dumps({"a": one.id})) | {"confirm": asked}
    return [*(act if open_word and whole else ()), taken_back]
