"""The Slack message: two lines that suffice at 03:00, then what happened and what to do.

Limits are Slack's (50 blocks, 3,000 characters a section, 150 a header, about 13,000 in all); ours
are far inside them. Untrusted text stands only in rich_text leaves or went through `safe`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from monitor import safe
from monitor.health import OURSELVES
from monitor.incidents import DRILL, SILENCE_ASKED, durations
from monitor.model import Exact, Incident, Near, NoMatch, PageKind, Post, ProfileChange, Redacted, Severity, State, Unreadable
from monitor.notifiers._words import sign
from monitor.notifiers.interface import Letter
from monitor.post_rows import Kept

Block = dict[str, Any]
RUNBOOK = (
    "*First 5 minutes*  1. Acknowledge  2. Ask comms: “did we post this?”  "
    "3. If not: revoke sessions and app tokens *before* deleting  4. Delete, then lock posting  "
    "5. Resolve here with the cause. Without buttons: reply `ack` (or react with 👀), at the end `resolve: hijack`, `insider`, `tool bug` or `false alarm`"
)
NOTICE_RUNBOOK = (
    "*Was it us?*  Then an approver approves exactly this post.  "
    "*If not*, treat it as a hijack: revoke sessions and app tokens before deleting. Resolve with the cause, or reply `resolve: hijack`, `insider`, `tool bug` or `false alarm`"
)
BLIND_RUNBOOK = (
    "*First 5 minutes*  1. Acknowledge, or reply `ack` here  2. Look at the account yourself: nothing "
    "else does now  3. `hijack-monitor status` on the host says more  4. Mend token, credits or network; "
    "this closes itself when the account has been read again"
)
GAP_RUNBOOK = (
    "*What to do*  1. Acknowledge, or reply `ack` here  2. Look yourself at what the account posted  3. Resolve here with what you found"
)
DRILL_RUNBOOK = (
    "*This is a drill*: acknowledge it and it closes itself. In a real one you would now ask comms “did we post this?”, and if not revoke "
    "sessions and app tokens *before* deleting. Without buttons: reply `ack` or react with 👀"
)
_CLOSES = "`hijack-monitor status` on the host says more; this closes itself when it is mended"
READ_RUNBOOK = f"*First 5 minutes*  1. Acknowledge, or reply `ack` here  2. Look yourself at what cannot be read  3. {_CLOSES}"
OWN_RUNBOOK = f"*What to do*  1. Acknowledge, or reply `ack` here  2. {_CLOSES}"
OWN_NOTICE_RUNBOOK = f"*What to do*  {_CLOSES}"
DRIFT_RUNBOOK = "*What to do*  1. `hijack-monitor status` says how often it came  2. Send the sample to the maintainers  3. Resolve here: it is told only once"
PARTS = 2_600  # units of a runbook file in one section
WHOLE = 7_900  # and in one message: it was refused at 11,341 characters in blocks
MOST_MESSAGES = 5


@dataclass(frozen=True, slots=True)
class Look:
    """What the operator adds to every message: the address of a runbook, and one to be told in the thread."""

    runbook_url: str = ""
    runbook: str = ""
    names: tuple[tuple[str, str], ...] = ()  # what groups are called, by their ids
    pressed: bool = True  # whether buttons do something: without sockets only links are shown
    mark: Callable[[str], str] = str  # of a page's key: proves that a click came from our message


def arguments(letter: Letter, look: Look = Look()) -> dict[str, Any]:
    """Everything but channel and thread that the message needs; `plain` pages have no blocks."""
    text = push_text(letter)
    common = {"text": text, "parse": "none", "link_names": False, "mrkdwn": False}
    return common if letter.page.plain else common | {"blocks": blocks(letter, look)}


def push_text(letter: Letter) -> str:
    """Line one and the beginning of the post: what a locked phone shows."""
    posts = _posts(letter)
    telling = posts[:1] if letter.page.kind in (PageKind.ROOT, PageKind.SYNC) else posts[-1:]
    quote = f". {safe.for_slack_sentence(_text(telling[0]), 120)}" if telling else ""
    if letter.page.kind in (PageKind.EVIDENCE, PageKind.RUNBOOK):
        return f"INC-{letter.incident.id}: {'evidence' if letter.page.kind is PageKind.EVIDENCE else 'what to do'}"
    if letter.page.kind is PageKind.REDACT:
        return f"INC-{letter.incident.id}: {safe.for_slack_sentence(letter.page.reason, 300)}"
    if letter.page.kind is PageKind.NOTE:
        return safe.cut_markup(f"INC-{letter.incident.id}: {_said(letter)}{quote}", 3_000)
    lead = f" {safe.for_slack_sentence(letter.page.reason, 300)}" if letter.page.kind is PageKind.REPEAT else ""
    who = (
        _mentions(letter) if letter.page.plain and letter.incident.state is not State.RESOLVED else ""
    )  # without blocks the text itself must wake
    more = f". {safe.for_slack_sentence(letter.incident.reason, 600)}" if letter.page.plain else ""
    return safe.cut_markup(f"{who}{safe.for_slack_sentence(headline(letter.incident), 150)}{lead}{quote}{more}", 3_000)


def headline(incident: Incident) -> str:
    """Line one: state, what, which account, which incident. Colour is never the only sign."""
    return f"{sign(incident)} {incident.headline}: {incident.name} · INC-{incident.id}"


def blocks(letter: Letter, look: Look) -> list[Block]:
    """The blocks of a root, a repeat, or an answer in the thread."""
    match letter.page.kind:
        case PageKind.ROOT | PageKind.SYNC:
            return _root(letter, look)
        case PageKind.REPEAT:
            return _repeat(letter, look)
        case PageKind.NOTE:
            return _note(letter)
        case PageKind.EVIDENCE:
            return _evidence(letter)
        case PageKind.RUNBOOK:
            return _told_runbook(letter, look)
        case PageKind.REDACT:
            return [_section(f"l.{letter.incident.id}.{letter.page.id}", push_text(letter))]


def _root(letter: Letter, look: Look) -> list[Block]:
    incident, rev = letter.incident, f"{letter.incident.id}.{letter.page.id}"
    out: list[Block] = [
        {"type": "header", "block_id": f"h.{rev}", "text": _plain(headline(incident), 150)},
        _section(f"l.{rev}", _second_line(letter, look)),
        _quotes(f"q.{rev}", _shown(letter)),
    ]
    if _posts(letter):
        out.append(_facts(f"f.{rev}", letter))
    pressed = [b for b in buttons(letter, look) if look.pressed or "url" in b]
    if pressed:
        out.append({"type": "actions", "block_id": f"a.{rev}", "elements": pressed})
    if incident.state is not State.RESOLVED and (told := _runbook(incident)):
        out.append(_section(f"r.{rev}", told))
    return [*out, _context(f"c.{rev}", f"{_footer(letter)}{_anchor(letter)}")]


def _runbook(incident: Incident) -> str:
    if incident.subject.startswith("silence:"):
        return ""
    if incident.subject.startswith("gap:"):
        return GAP_RUNBOOK
    if incident.subject.startswith("blind:"):
        return _blind_runbook(incident)
    if incident.subject.startswith("drift:"):
        return DRIFT_RUNBOOK
    if incident.subject == DRILL:
        return DRILL_RUNBOOK
    return NOTICE_RUNBOOK if incident.severity is Severity.NOTIFY else RUNBOOK


def _blind_runbook(incident: Incident) -> str:
    if incident.severity is Severity.NOTIFY:
        return OWN_NOTICE_RUNBOOK
    if incident.name == OURSELVES:
        return OWN_RUNBOOK
    return READ_RUNBOOK if incident.subject.startswith("blind:read:") else BLIND_RUNBOOK


def _evidence(letter: Letter) -> list[Block]:
    """What was seen, as it was kept: for whoever must explain it tomorrow."""
    rev = f"{letter.incident.id}.{letter.page.id}"
    kept = next(iter(_posts(letter)), None)
    if kept is None:
        return [_section(f"l.{rev}", "Nothing was posted; what was seen stands above")]
    item = kept.post
    lines = [
        f"id {item.id}  created {item.created_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC  seen {kept.seen_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
        f"evidence sha256 {kept.evidence or 'none'}  judged by rules {kept.rulebook[:16]}",
        "",
        _text(kept),
    ]
    leaf = {"type": "text", "text": safe.for_slack_literal("\n".join(lines), 2_500)}
    quoted = {"type": "rich_text", "block_id": f"q.{rev}", "elements": [{"type": "rich_text_preformatted", "elements": [leaf]}]}
    said = f"Evidence, kept as received. `hijack-monitor incidents export {letter.incident.id}` writes it for an auditor"
    return [_section(f"l.{rev}", said), quoted]


def _told_runbook(letter: Letter, look: Look) -> list[Block]:
    """The operator's own file. It is text: no control sequence of it reaches Slack."""
    rev = f"{letter.incident.id}.{letter.page.id}"
    told = runbook_messages(look.runbook)
    number = int(part[1]) if (part := re.fullmatch(r"part (\d{1,2})", letter.page.reason)) else 1
    return [_section(f"r{n}.{rev}", text) for n, text in enumerate(told[min(number, len(told)) - 1])]


@lru_cache(maxsize=4)
def runbook_messages(runbook: str) -> tuple[tuple[str, ...], ...]:
    """The operator's file as texts of sections, message by message, each under Slack's limits once it is escaped."""
    text = safe.for_slack_lines(runbook, 100_000) or "the runbook file is empty"
    messages: list[list[str]] = [[]]
    for piece in safe.pieces(text, PARTS):
        if safe.units("".join([*messages[-1], piece])) > WHOLE:
            messages.append([])
        messages[-1].append(piece)
    if len(messages) > MOST_MESSAGES:
        messages[MOST_MESSAGES - 1][-1] = "_The rest of the runbook is in its file on the host._"
    return tuple(tuple(message) for message in messages[:MOST_MESSAGES])


def buttons(letter: Letter, look: Look) -> list[Block]:
    """What can be done now, the most likely first; six at most."""
    incident = letter.incident
    value = json.dumps({"i": incident.id, "r": letter.page.id, "m": look.mark(letter.page.key)})
    if incident.subject.startswith("silence:"):
        asked = incident.headline == SILENCE_ASKED
        confirm = [button("confirm_silence", "Confirm silence", value)] if asked else []
        end = button("end_silence", "Refuse" if asked else "End silence", value, "primary")
        return [] if incident.state is State.RESOLVED else [*confirm, end]
    if incident.state is State.RESOLVED:
        return [] if incident.outcome == "over" else [button("reopen", "Reopen", value)]
    page = incident.severity is Severity.PAGE
    ours = incident.subject.startswith(("blind:", "gap:", "drift:")) or incident.subject == DRILL
    taken = incident.state is State.ACKNOWLEDGED
    out = [button("resolve_open", "Resolve…", value, "primary")] if taken else []
    out += [button("hold", "Still on it", value)] if taken and page else []
    out += [button("acknowledge", "Acknowledge", value, "primary")] if page and not taken else []
    out += [] if ours else [button("approve_open", "Legit: approve…", value)]
    out += [_escalate(letter, value, look)] if page else []
    out += [] if taken else [button("resolve_open", "Resolve…", value)]
    if (posts := _posts(letter)) and (link := _address(posts[0])):
        out.append(button("open_post", "Open post", "", url=link))
    if look.runbook_url and len(out) < 6:
        out.append(button("open_runbook", "Runbook", "", url=look.runbook_url))
    return out


def button(action: str, text: str, value: str, style: str = "", url: str = "") -> Block:
    """A button of ours; everything in it is ours."""
    made: Block = {"type": "button", "action_id": action, "text": _plain(text, 70)}
    return made | ({"value": value} if value else {}) | ({"style": style} if style else {}) | ({"url": url} if url else {})


def _escalate(letter: Letter, value: str, look: Look) -> Block:
    """Asks once more: it wakes people."""
    who = _who(letter.next_step, look) if letter.next_step else "everybody of the last step again"
    confirm = {
        "title": _plain("Escalate now?", 90), "text": _plain(f"Pages {who} at once.", 280),
        "confirm": _plain("Escalate", 25), "deny": _plain("Cancel", 25), "style": "danger",
    }  # fmt: skip
    return button("escalate", "Escalate now", value, "danger") | {"confirm": confirm}


def _repeat(letter: Letter, look: Look) -> list[Block]:
    rev = f"{letter.incident.id}.{letter.page.id}"
    said = f"{_mentions(letter)}*{safe.for_slack_sentence(headline(letter.incident), 200)}*: "
    return [
        _section(f"l.{rev}", said + safe.for_slack_sentence(letter.page.reason, 400) + _deadline(letter, look)),
        _quotes(f"q.{rev}", _shown(letter)[-1:]),
        *(_repeat_buttons(rev, letter, look) if look.pressed else ()),
        _context(
            f"c.{rev}", f"page {letter.incident.pages} · or reply `ack` in the thread or react with 👀{_warned(letter)}{_anchor(letter)}"
        ),
    ]


def _repeat_buttons(rev: str, letter: Letter, look: Look) -> list[Block]:
    if letter.incident.state is State.RESOLVED:
        return []
    value = json.dumps({"i": letter.incident.id, "r": letter.page.id})
    asked = letter.incident.state is State.ACKNOWLEDGED or "still on it?" in letter.page.reason
    first = button("hold", "Still on it", value, "primary") if asked else button("acknowledge", "Acknowledge", value, "primary")
    return [{"type": "actions", "block_id": f"a.{rev}", "elements": [first, _escalate(letter, value, look)]}]


def _warned(letter: Letter) -> str:
    return f" · {safe.for_slack_sentence(letter.note, 200)}" if letter.note else ""


def _anchor(letter: Letter) -> str:
    return f" · anchor {letter.anchor}" if letter.anchor else ""


def _note(letter: Letter) -> list[Block]:
    rev = f"{letter.incident.id}.{letter.page.id}"
    posts = _posts(letter)
    quotes = [_quotes(f"q.{rev}", [(_when(k), _text(k)) for k in posts[-5:]], 300)] if posts else []
    return [_section(f"l.{rev}", _said(letter)), *quotes]


def _said(letter: Letter) -> str:
    """What a note tells: how many posts came, and what people or the monitor did."""
    posts = _posts(letter)
    count = f"+{len(posts)} post{'s' if len(posts) > 1 else ''} ({letter.incident.posts} in all)" if posts else ""
    acts = [part for part in letter.page.reason.split("; ") if part != "another post"]
    return ". ".join(filter(None, [count, safe.for_slack_sentence("; ".join(acts), 600) if acts else ""])) or "more of the same"


# --- parts -----------------------------------------------------------------------------------------


def _second_line(letter: Letter, look: Look) -> str:
    """Who is woken, the verdict, when, and what happens if nobody acts."""
    incident = letter.incident
    if incident.state is State.RESOLVED:
        cause = safe.for_slack_sentence(incident.cause, 300)
        word = "Approved after the fact" if incident.outcome == "approved" else "Resolved"
        took = durations(incident)
        return f"*{word}* by {safe.for_slack_markup(incident.resolved_by, 80)} {_clock(incident.resolved_at)}: {cause}" + (
            f". {took}" if took else ""
        )
    said = safe.for_slack_sentence(incident.reason, 500)
    reason = f"*{said[:1].upper()}{said[1:].rstrip('.')}.*"
    if incident.state is State.ACKNOWLEDGED:
        took = _took(incident.opened_at, incident.acknowledged_at)
        who = safe.for_slack_markup(incident.acknowledged_by, 80)
        again = f" Pages again {_clock(incident.held_until)} unless it is resolved." if incident.held_until else ""
        return f"*Acknowledged* by {who} {_clock(incident.acknowledged_at)} ({took}).{again} {reason}"
    if incident.silence:
        until = f" until {_clock(letter.silenced_until)}" if letter.silenced_until else ""
        if letter.page.mentions:  # the first post under a wide silence
            return (
                f"{_mentions(letter)}*Under a silence*{until}: this first post wakes once, the next ones nobody. {reason} {_posted(letter)}"
            )
        return f"*Silenced*{until}: nobody is woken. {reason} {_posted(letter)}"
    return f"{_mentions(letter)}{reason} {_posted(letter)}{_deadline(letter, look)}"


def _posted(letter: Letter) -> str:
    kept = next(iter(_posts(letter)), None)
    if kept is None:
        return f"Seen {_clock(letter.incident.opened_at)}."
    if not isinstance(kept.post, Post):
        return f"Seen {_clock(kept.seen_at)}."
    return f"Posted {_clock(kept.post.created_at)}, seen {_took(kept.post.created_at, kept.seen_at)} later."


def _deadline(letter: Letter, look: Look) -> str:
    if letter.next_at is None:
        return ""
    more = f" and also wakes {_who(letter.next_step, look)}" if letter.next_step else ""
    return f" *Acknowledge by {_clock(letter.next_at)}* or it pages again{more}."


def _facts(block_id: str, letter: Letter) -> Block:
    """Why, where it leads, what it was nearest to, how much; nothing that says nothing."""
    posts = _posts(letter)
    fields = [("Why", _why(posts)), ("Links to", _hosts(letter.incident)), ("Nearest approved", _nearest(posts[0]))]
    if letter.incident.posts > 1:
        gone = sum(k.deleted_at is not None for k in posts)
        fields.append(("Posts in this incident", f"{letter.incident.posts}" + (f", {gone} gone since" if gone else "")))
    fields.append(("Open", _link(posts[0])))
    shown = [{"type": "mrkdwn", "verbatim": True, "text": safe.cut_markup(f"*{n}*\n{v}", 1_900)} for n, v in fields if v]
    return {"type": "section", "block_id": block_id, "fields": shown}


def _why(posts: list[Kept]) -> str:
    lines = []
    for finding in {f.rule: f for k in posts[:10] for f in k.verdict.accusations}.values():
        evidence = ", ".join(f"“{safe.for_slack_markup(e, 60)}”" for e in finding.evidence[:2])
        lines.append(
            f"{safe.for_slack_sentence(finding.title, 80)}: {evidence}" if evidence else safe.for_slack_sentence(finding.title, 80)
        )
    known = any(isinstance(k.verdict.match, Near | Exact) for k in posts)  # the second line says what is wrong with it
    return "\n".join(lines[:4]) or ("" if known else "not registered, and no rule knows it")


def _hosts(incident: Incident) -> str:
    return ", ".join(safe.for_slack_markup(h, 80) for h in incident.hosts[:5])


def _nearest(kept: Kept) -> str:
    match kept.verdict.match:
        case Exact(approved=number):
            return f"is registered post #{number}"
        case Near(approved=number, differences=differences):
            return f"#{number}, one slip away; a corrected post needs a new registration:\n" + "\n".join(
                safe.for_slack_markup(d, 160) for d in differences[:3]
            )
        case NoMatch(nearest=number, similarity=percent, differences=differences) if number:
            told = "\n".join(safe.for_slack_markup(d, 160) for d in differences[:3])
            return f"#{number} ({percent} % alike)" + (f":\n{told}" if told else "")
    return ""


def _link(kept: Kept) -> str:
    """The only live link: ours, built from digits, or letters and digits where it is a broadcast."""
    address = _address(kept)
    return f"<{address}|the post on X>" if address else ""


def _address(kept: Kept) -> str:
    item = kept.post
    if not isinstance(item, Post) or not (item.id.isascii() and item.id.isalnum()):
        return ""
    for kind in ("web/status", "broadcasts", "spaces"):
        if item.url.startswith(f"https://x.com/i/{kind}/") and (item.id.isdigit() or kind != "web/status"):
            return f"https://x.com/i/{kind}/{item.id}"
    return ""


def _footer(letter: Letter) -> str:
    incident = letter.incident
    state = "not acknowledged" if incident.state is State.OPEN else incident.state.value
    previous = f" · follows INC-{incident.previous}" if incident.previous else ""
    waking = incident.severity is Severity.PAGE and incident.pages
    pages = f"page {incident.pages}" if waking else "nobody is woken"
    if incident.subject.startswith(("silence:", "blind:", "gap:", "drift:")):
        return f"{pages}{_warned(letter)}" if incident.severity is Severity.NOTIFY else f"{state} · {pages}{previous}{_warned(letter)}"
    return f"{state} · {pages}{previous} · text as posted, links defanged, hidden characters removed{_warned(letter)}"


def _posts(letter: Letter) -> list[Kept]:
    return list(letter.posts)


def _shown(letter: Letter) -> list[tuple[str, str]]:
    """The first post, which says what this is, and the newest."""
    posts = _posts(letter)
    if not posts:
        return [("", ", ".join(letter.incident.hosts[:10]) or letter.incident.name)]
    chosen = posts[:1] if len(posts) == 1 else [posts[0], posts[-1]]
    return [(_when(k) if len(posts) > 1 else "", _text(k)) for k in chosen]


def _when(kept: Kept) -> str:
    edited = f", version {kept.post.version}" if isinstance(kept.post, Post) and kept.post.version > 1 else ""
    gone = ", gone since" if kept.deleted_at else ""
    return f"{kept.post.created_at.astimezone(UTC):%H:%M:%S} UTC{edited}{gone}"


def _text(kept: Kept) -> str:
    item = kept.post
    match item:
        case Post():
            pictures = f"\n[{len(item.media)} picture(s) or video(s)]" if item.media else ""
            said = "".join(f"\n[alt text: {m.alt_text}]" for m in item.media if m.alt_text)
            return (item.text or "(no text in this post)") + pictures + said
        case ProfileChange():
            return f"{item.field.replace('_', ' ')}: “{item.before or 'empty'}” became “{item.after or 'empty'}”"
        case Unreadable():
            return f"(post {item.id} could not be read: {item.reason}) {item.text}".rstrip()
        case Redacted():
            return f"({item})"


def _quotes(block_id: str, quotes: list[tuple[str, str]], limit: int = 1_200) -> Block:
    """Untrusted text, literally: a rich_text text leaf knows no markup, mentions or links."""
    elements = [
        {
            "type": "rich_text_quote",
            "elements": [{"type": "text", "text": safe.for_slack_literal(f"{when}  {text}" if when else text, limit)}],
        }
        for when, text in quotes
    ]
    return {"type": "rich_text", "block_id": block_id, "elements": elements}


def _mentions(letter: Letter) -> str:
    """The only control sequences in a message: ours, from the configuration."""
    if not letter.page.mentions:
        return ""
    return " ".join(mention(m) for m in letter.page.mentions) + " "


def mention(who: str) -> str:
    """`channel`, a user group (S...) or a user (U..., W...) as Slack writes it."""
    if who == "channel":
        return "<!channel>"
    return f"<!subteam^{who}>" if who.startswith("S") else f"<@{who}>"


def _who(step: str, look: Look) -> str:
    """Whom the next step wakes, named without waking them."""
    names = dict(look.names)
    return ", ".join(
        safe.for_slack_sentence(names.get(w, "everybody in the channel" if w == "channel" else w), 40) for w in step.split(", ")
    )


def _plain(text: str, limit: int) -> Block:
    return {"type": "plain_text", "emoji": False, "text": safe.clean(safe.defang(text), limit)}


def _section(block_id: str, text: str) -> Block:
    return {"type": "section", "block_id": block_id, "text": {"type": "mrkdwn", "verbatim": True, "text": safe.cut_markup(text, 2_800)}}


def _context(block_id: str, text: str) -> Block:
    return {
        "type": "context",
        "block_id": block_id,
        "elements": [{"type": "mrkdwn", "verbatim": True, "text": safe.cut_markup(text, 1_900)}],
    }


def _clock(when: datetime | None) -> str:
    """Each reader's own time, where Slack can; UTC everywhere else."""
    if when is None:
        return ""
    return f"<!date^{int(when.timestamp())}^{{time_secs}}|{when.astimezone(UTC):%H:%M:%S} UTC>"


def _took(start: datetime, end: datetime | None) -> str:
    seconds = max(0, round((end - start).total_seconds())) if end else 0
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"
