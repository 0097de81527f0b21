"""A page in plain words, for routes that know no blocks: mail, PagerDuty, Alertmanager, webhooks."""

from __future__ import annotations

from datetime import UTC

from monitor import safe
from monitor.incidents import DRILL
from monitor.model import Incident, Post, ProfileChange, Redacted, Severity, State
from monitor.notifiers.interface import Letter
from monitor.post_rows import Kept

_FIRST_MINUTES = (
    "First 5 minutes: 1. Acknowledge: in Slack, or `hijack-monitor incidents ack {number}` on the host. 2. Ask comms: did we post this? "
    "3. If not: revoke sessions and app tokens before deleting. 4. Delete, then lock posting. 5. Resolve with the cause."
)
_OUR_OWN = (
    "What to do: acknowledge in Slack, or `hijack-monitor incidents ack {number}` on the host; `hijack-monitor status` there says more."
)
_SIGNS = {State.OPEN: "🔴", State.ACKNOWLEDGED: "🟠", State.RESOLVED: "✅"}


def line(text: str, limit: int = 300) -> str:
    """Untrusted or not: one line, links defanged."""
    return safe.for_header(text, limit)


def sign(incident: Incident) -> str:
    """State and weight at a glance, the same on every route; colour is never the only sign."""
    if incident.state is State.RESOLVED:
        return "☑️" if incident.outcome == "approved" else "✅"
    if incident.subject == DRILL:
        return "🔵"
    if incident.silence or incident.subject.startswith("silence:"):
        return "🔕"
    return "🟡" if incident.severity is Severity.NOTIFY and incident.state is State.OPEN else _SIGNS[incident.state]


def headline(letter: Letter) -> str:
    """What, which account, which incident: the first line wherever it is read."""
    incident = letter.incident
    return line(f"{sign(incident)} {incident.headline}: {incident.name} · INC-{incident.id}", 200)


def body(letter: Letter) -> str:
    """Everything on-call needs when this is all they have."""
    incident = letter.incident
    lines = [
        headline(letter),
        "",
        line(incident.reason, 600) + ".",
        f"Opened {incident.opened_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC. {line(letter.page.reason, 300)}.",
    ]
    if incident.state is State.OPEN and letter.next_at:
        more = f", and also wakes {line(letter.next_step, 100)}" if letter.next_step else ""
        lines.append(f"Acknowledge by {letter.next_at.astimezone(UTC):%H:%M:%S} UTC or it pages again{more}.")
    if incident.state is State.ACKNOWLEDGED:
        lines.append(f"Acknowledged by {line(incident.acknowledged_by, 80)}.")
    if incident.state is State.RESOLVED:
        lines.append(f"Resolved by {line(incident.resolved_by, 80)}: {line(incident.cause, 300)}.")
    for kept in letter.posts[:5]:
        lines += ["", *(f"> {part}" for part in said(kept, 1_200).splitlines()), link(kept)]
    if incident.state is State.OPEN:
        ours = incident.subject.startswith(("blind:", "gap:", "drift:"))
        lines += ["", (_OUR_OWN if ours else _FIRST_MINUTES).format(number=incident.id)]
    lines += ["", f"Anchor for auditors: {letter.anchor}"] if letter.anchor else []
    return "\n".join(lines) + "\n"


def said(kept: Kept, limit: int) -> str:
    """What was posted, defanged."""
    item = kept.post
    match item:
        case Post():
            return safe.for_mail(item.text, limit)
        case ProfileChange():
            return safe.for_mail(f"{item.field}: “{item.before}” became “{item.after}”", limit)
        case Redacted():
            return safe.for_mail(f"({item})", limit)
    return safe.for_mail(f"(post {item.id} could not be read: {item.reason}) {item.text}".rstrip(), limit)


def link(kept: Kept) -> str:
    """Our own link to the post, from digits only; or nothing."""
    item = kept.post
    shown = isinstance(item, Post) and item.url.startswith("https://x.com/i/web/status/") and item.id.isdigit()
    return f"https://x.com/i/web/status/{item.id}" if shown else ""
