"""Modals and the Home tab as Block Kit. Untrusted text stands in plain_text or went through `safe`.

Limits are Slack's: 100 blocks a view, 24 characters a title, 75 an option, 3,000 of private_metadata.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from monitor import approvals, safe
from monitor.model import CAUSES, Account, ApprovedPost, Incident, Kind, Post
from monitor.notifiers.slack.message import button, headline
from monitor.planning import Plan
from monitor.post_rows import Kept

View = dict[str, Any]
MOST_POSTS = 10  # checkboxes
MOST_PLANNED = 40  # of a list with a button each
MOST_SHOWN = 60  # posts of one form: their names have to fit into its metadata
LONGEST, FORM, LEAF = 6_000, 30_000, 2_500  # characters: of one text, of all texts of a form, of one piece of rich text


def plain(text: str, limit: int) -> dict[str, Any]:
    """A plain_text object: nothing in it is markup or emoji."""
    return {"type": "plain_text", "emoji": False, "text": safe.clean(safe.defang(safe.clean(text, limit)), limit) or "…"}


def section(text: str) -> dict[str, Any]:
    """A section of mrkdwn; the caller has made it safe."""
    return {"type": "section", "text": {"type": "mrkdwn", "verbatim": True, "text": safe.cut_markup(text, 2_800)}}


def modal(title: str, blocks: list[dict[str, Any]], callback: str = "", submit: str = "", **metadata: object) -> View:
    """One modal; with `submit` it can be sent."""
    view: View = {"type": "modal", "title": plain(title, 24), "close": plain("Close", 24), "blocks": blocks[:100]}
    if callback:
        view |= {"callback_id": callback, "private_metadata": json.dumps(metadata)}
    return view | ({"submit": plain(submit, 24)} if submit else {})


def waiting(title: str) -> View:
    """Opened within the three seconds a click is good for; what is asked for follows."""
    return modal(title, [section("One moment…")])


def refusal(title: str, why: str) -> View:
    """Why not, and who can. `why` is ours."""
    return modal(title, [section(why)])


def _input(block: str, label: str, element: dict[str, Any], hint: str = "", *, optional: bool = False) -> dict[str, Any]:
    made = {
        "type": "input",
        "block_id": block,
        "label": plain(label, 150),
        "optional": optional,
        "element": {"action_id": block, **element},
    }
    return made | ({"hint": plain(hint, 150)} if hint else {})


def _options(pairs: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    return [{"text": plain(text, 75), "value": value[:75]} for value, text in pairs]


def approve(incident: Incident, posts: list[Kept], channel: str) -> View:
    """Which posts, and why. Exactly these, never similar ones, and only what is shown whole here."""
    shown, left = _whole(posts)
    if not shown:
        return refusal("Legit: approve", _on_the_host(incident, left))
    names = [approvals.name_of(k) for k, _ in shown]
    options = [(name, f"{k.post.created_at:%H:%M:%S} {_said(k)}") for name, (k, _) in zip(names, shown, strict=True)]
    if len(options) > MOST_POSTS:
        every = f"all {len(options)} posts " + ("shown below" if left else "of this incident, shown below")
        options = [*options[: MOST_POSTS - 1], ("all", every)]
    blocks = [
        section(f"*{safe.for_slack_sentence(headline(incident), 150)}*\nApproves exactly these posts, not similar ones."),
        _input("posts", "Which posts did we mean to publish?", {"type": "checkboxes", "options": _options(options)}),
        _input("reason", "Why are they legitimate?", {"type": "plain_text_input", "max_length": 300}, "Recorded with your name."),
        *([section(_on_the_host(incident, left))] if left else []),
        *(quoted(f"{k.post.created_at:%H:%M:%S} UTC\n{text}") for k, text in shown),
    ]
    return modal("Legit: approve", blocks, "approve", "Approve", i=incident.id, c=channel, p=names)


def _whole(posts: list[Kept]) -> tuple[list[tuple[Kept, str]], int]:
    """The posts whose whole texts fit in a form, and how many do not."""
    shown: list[tuple[Kept, str]] = []
    room = FORM
    for kept in posts:
        text = safe.for_slack_whole(approvals.whole(kept), min(LONGEST, room))
        if text and len(shown) < MOST_SHOWN:
            shown.append((kept, text))
            room -= safe.units(text)
    return shown, len(posts) - len(shown)


def _on_the_host(incident: Incident, left: int) -> str:
    what = "1 post" if left == 1 else f"{left} posts"
    return f"{what} cannot be shown whole here: `hijack-monitor incidents approve {incident.id} --reason …` on the host prints every text and asks."


def quoted(text: str) -> dict[str, Any]:
    """Text that went through `safe`, whole: in leaves that Slack takes."""
    leaves = [{"type": "text", "text": piece} for piece in safe.pieces(text, LEAF)]
    return {"type": "rich_text", "elements": [{"type": "rich_text_quote", "elements": leaves}]}


def resolve(incident: Incident, channel: str) -> View:
    """What it was, and what was done about it."""
    yes_no = _options([("yes", "yes"), ("no", "no"), ("not needed", "not needed")])
    blocks = [
        section(f"*{safe.for_slack_sentence(headline(incident), 150)}*"),
        _input("cause", "What was it?", {"type": "static_select", "options": _options([(c, c) for c in CAUSES])}),
        _input("deleted", "Are the posts deleted?", {"type": "radio_buttons", "options": yes_no}),
        _input("revoked", "Are sessions and app tokens revoked?", {"type": "radio_buttons", "options": yes_no}),
        _input("note", "Note", {"type": "plain_text_input", "multiline": True, "max_length": 500}, optional=True),
    ]
    return modal("Resolve", blocks, "resolve", "Resolve", i=incident.id, c=channel)


def plan(accounts: Sequence[Account], now: datetime) -> View:
    """Register a planned post. The clock of the pickers is the reader's own: no zone is guessed."""
    start = int(now.timestamp()) // 60 * 60
    names = _options([(a.key, a.name) for a in accounts[:100]])
    one = {"initial_option": names[0]} if len(names) == 1 else {}
    blocks = [
        _input("account", "Account", {"type": "static_select", "options": names, **one}),
        _input("text", "Text, exactly as it will be posted", {"type": "plain_text_input", "multiline": True, "max_length": 3_000}),
        _input(
            "links",
            "Links beside the text",
            {"type": "plain_text_input", "multiline": True},
            "One a line; those in the text need not be repeated.",
            optional=True,
        ),
        _input("from", "Not before", {"type": "datetimepicker", "initial_date_time": start}),
        _input("until", "Not after", {"type": "datetimepicker", "initial_date_time": start + 86_400}),
        _input(
            "media",
            "Pictures and videos",
            {"type": "number_input", "is_decimal_allowed": False, "min_value": "0", "max_value": "10", "initial_value": "0"},
        ),
    ]
    return modal("Plan a post", blocks, "plan", "Check")


def checked(notes: list[str], text: str, draft: str) -> View:
    """What the lint says, before anything is saved. `text` is whole and went through `safe`."""
    said = [section(f":warning: {safe.for_slack_sentence(n, 400)}") for n in notes] or [section("Nothing to complain about.")]
    return modal(
        "Register this?",
        [quoted(text), *said[:20], section("Registered, a post equal to this goes by in silence once, within its window.")],
        "plan_save",
        "Register",
        d=draft,
    )


def more(left: int, command: str) -> list[str]:
    """How much is not shown, and the command that shows it; nothing when all of it is."""
    return [f"and {left} more: `hijack-monitor {command}` on the host shows them"] if left > 0 else []


def planned(found: Sequence[tuple[ApprovedPost, str]], count: int) -> View:
    """The planned posts, of which there are so many, each with a button that takes it back."""
    blocks = [block for one, account in found[:MOST_PLANNED] for block in _one_planned(one, account)]
    blocks += map(section, more(count - MOST_PLANNED, "posts list"))
    return modal("Planned posts", blocks or [section("Nothing is planned.")])


def _one_planned(one: ApprovedPost, account: str) -> list[dict[str, Any]]:
    window = f"{one.not_before:%d %b %H:%M} to {one.not_after:%d %b %H:%M} UTC"
    said = f"*#{one.id}* {safe.for_slack_markup(account, 60)}, {window}, by {safe.for_slack_markup(one.approved_by, 40)}\n{safe.for_slack_markup(one.text or one.author or one.conversation or 'a picture without words', 200)}"
    return [section(said) | {"accessory": button("withdraw", "Withdraw", json.dumps({"n": one.id}))}]


def home(lines: Sequence[str], incidents: Sequence[Incident], drill: str, found: Sequence[tuple[ApprovedPost, str]], count: int) -> View:
    """What is watched, how it goes, what is open, the last drill, what is planned and how much that is."""
    blocks: list[dict[str, Any]] = [{"type": "header", "text": plain("Hijack Monitor", 150)}]
    said = [safe.for_slack_sentence(line, 200) for line in lines[:30]]
    blocks += [section("\n".join(said[at : at + 10])) for at in range(0, len(said), 10)]  # a section holds ten of them whole
    blocks += map(section, more(len(lines) - 30, "status"))
    blocks += [{"type": "divider"}, section("*Open incidents*" if incidents else "*No open incident*")]
    blocks += [
        section(safe.for_slack_sentence(f"{headline(i)}, since {i.opened_at:%d %b %H:%M} UTC. {i.reason}", 400)) for i in incidents[:20]
    ]
    blocks += map(section, more(len(incidents) - 20, "incidents list"))
    blocks += [{"type": "divider"}, section(f"*Last drill*: {safe.for_slack_sentence(drill, 200)}")]
    blocks += [{"type": "divider"}, section(f"*Planned posts*: {count}. `/hijack plan` registers one.")]
    blocks += [block for one, account in found[:20] for block in _one_planned(one, account)]
    blocks += map(section, more(count - 20, "posts list"))
    return {"type": "home", "blocks": blocks[:100]}


def _said(kept: Kept) -> str:
    return (kept.post.text if isinstance(kept.post, Post) else kept.post.id).replace("\n", " ")[:200] or "(no text)"


def values(view: View) -> dict[str, Any]:
    """What was filled in, by block: text, chosen values, moments."""
    out: dict[str, Any] = {}
    for block, actions in ((view.get("state") or {}).get("values") or {}).items():
        element: dict[str, Any] = next(iter(actions.values()), {})
        if "selected_options" in element:
            out[block] = tuple(str(o["value"]) for o in element["selected_options"] or ())
        elif "selected_option" in element:
            out[block] = str((element["selected_option"] or {}).get("value", ""))
        elif "selected_date_time" in element:
            out[block] = int(element["selected_date_time"] or 0)
        else:
            out[block] = str(element.get("value") or "")
    return out


def planned_post(filled: dict[str, Any], known: set[str], now: datetime) -> Plan:
    """What the modal was filled with. Raises ValueError naming the block and what was expected."""
    if filled.get("account") not in known:
        raise ValueError("account: choose one of the accounts that are watched")
    if not str(filled.get("text", "")).strip():
        raise ValueError("text: the text is empty")
    start, end = (datetime.fromtimestamp(int(filled.get(k) or 0), UTC) for k in ("from", "until"))
    if end <= start:
        raise ValueError("until: the window ends before it begins")
    if end < now:
        raise ValueError("until: the window is over; a registration is for what comes")
    links = tuple(str(filled.get("links", "")).split())
    if any(not link.startswith(("https://", "http://")) for link in links):
        raise ValueError("links: one a line, each beginning with https://")
    media = str(filled.get("media") or "0")
    if not re.fullmatch("[0-9]|10", media):
        raise ValueError("media: how many pictures and videos, 0 to 10")
    return Plan(str(filled["account"]), Kind.POST, str(filled["text"]).rstrip("\n"), start, end, links, int(media))
