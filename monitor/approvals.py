"""Legit after all: exactly these posts, by one person or two. A vote is a row; the approval is counted from rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from monitor import desk, kept_rules, voters
from monitor.desk import DeskError
from monitor.model import Human, Post, Redacted, Severity
from monitor.outbox import Outbox
from monitor.planning import Plan
from monitor.post_rows import Kept
from monitor.record import stamp
from monitor.store import Store
from monitor.verdict import shown_parts
from monitor.verdict.addresses import addresses, wallet_names
from monitor.verdict.links import hosts


@dataclass(frozen=True, slots=True)
class Approval:
    """Whose word it is, in `who`; `voter` tells people apart (see `voters`), `logins` says who of the host is whom in
    Slack; `two_person` is the company's own wish.
    """

    who: str
    voter: str
    reason: str
    via: str
    at: datetime
    two_person: bool = False
    logins: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Approved:
    """Registrations made, posts that wait for a second approver and why, and whether the incident is over."""

    made: tuple[int, ...]
    waiting: tuple[tuple[str, str], ...]
    over: bool

    def words(self) -> str:
        """For whoever approved."""
        parts = [f"approved as {', '.join(f'#{n}' for n in self.made)}"] if self.made else []
        parts += [f"post {post} waits for a second approver: {why}" for post, why in self.waiting]
        return "; ".join(parts) or "nothing to approve"


def posts_of(store: Store, number: int) -> list[Kept]:
    """The posts of an incident, oldest first. Raises DeskError when there is no such incident."""
    if store.incident(number) is None:
        raise DeskError(f"there is no INC-{number}")
    return [k for k in store.posts("incident = ?", (number,), -1) if isinstance(k.post, Post)]


def unapproved(store: Store, number: int) -> list[Kept]:
    """Those of them that nobody has approved yet."""
    return [k for k in posts_of(store, number) if not _is_approved(store, k)]


def name_of(kept: Kept) -> str:
    """What an approval calls this version of a post: its id, and its version where it was edited."""
    assert isinstance(kept.post, Post)
    return f"{kept.post.id}#{kept.post.version}" if kept.post.version > 1 else kept.post.id


def whole(kept: Kept) -> str:
    """Everything of a post that its approval would excuse, for whoever has to decide. Untrusted."""
    assert isinstance(kept.post, Post)
    hidden = [f"+ {link}" for link in kept.post.links if link not in kept.post.text]
    media = [f"+ {len(kept.post.media)} picture(s) or video(s)"] if kept.post.media else []
    beside = [f"+ alt text: {m.alt_text}" for m in kept.post.media if m.alt_text]
    beside += [f"+ link card: {kept.post.card}"] if kept.post.card and kept.post.card not in kept.post.links else []
    beside += [f"+ {name}: {value}" for name, value in shown_parts.parts(kept.post).items()]
    return "\n".join([kept.post.text, *hidden, *media, *beside])


def approve(store: Store, outbox: Outbox, number: int, names: tuple[str, ...], approval: Approval) -> Approved:
    """Register exactly these posts, by `name_of`, as used by themselves; resolve when all of the incident's are.

    A post that a critical rule accuses takes two people; where the company wants that, every post does. Raises DeskError.
    """
    with store.transaction():
        if store.incident(number) is None:
            raise DeskError(f"there is no INC-{number}")
        everything = store.posts("incident = ?", (number,), -1)
        chosen = [k for k in everything if isinstance(k.post, Post) and name_of(k) in names]
        strange = set(names) - {name_of(k) for k in chosen}
        if strange or not chosen:
            raise DeskError(f"INC-{number} has no post {', '.join(sorted(strange))}" if strange else f"INC-{number}: no post was named")
        made, waiting = [], []
        for kept in chosen:
            if _is_approved(store, kept):
                continue
            if why := _lacks(store, number, kept, approval):
                waiting.append((name_of(kept), why))
            else:
                made.append(_registered(store, kept, approval))
        detail = {"registrations": made, "waiting": [post for post, _ in waiting], "reason": approval.reason, "via": approval.via}
        store.audit(approval.at, approval.who, "approve", f"INC-{number}", voter=approval.voter, **detail)
        over = all(isinstance(k.post, Post | Redacted) and _is_approved(store, k) for k in everything)
        _tell(outbox, number, approval, waiting, over=over)
        if not made and not waiting:
            raise DeskError(f"INC-{number}: already approved")
        return Approved(tuple(made), tuple(waiting), over)


def _lacks(store: Store, number: int, kept: Kept, approval: Approval) -> str:
    """What keeps a post from being approved with this vote, or an empty string."""
    why, given = _why_two(store, kept, approval), _votes(store, number, kept, approval)
    if voters.people(given, approval.logins) >= (2 if why else 1):
        return ""
    stranger = voters.unknown(given, approval.logins)
    return f"{why}; {stranger}" if stranger else why


def _why_two(store: Store, kept: Kept, approval: Approval) -> str:
    """Why one person's word is not enough, or an empty string."""
    critical = _critical_rules(store, kept.rulebook)
    accused = [f.rule for f in kept.verdict.accusations if (critical is None or f.rule in critical) and f.severity is Severity.PAGE]
    if accused:
        return f"the critical rule {accused[0]} accuses it"
    if not approval.two_person:
        return ""
    assert isinstance(kept.post, Post)
    leads = kept.verdict.hosts or hosts(kept.post.text, kept.post.links)
    pays = addresses(kept.post.text) or wallet_names(kept.post.text)
    return "it holds a link or an address" if leads or pays else "two_person_approve is set"


def _critical_rules(store: Store, digest: str) -> set[str] | None:
    """Ids of the rules that accuse registered posts too, as they were when the post was judged; None when nobody knows: each may."""
    context = kept_rules.get(store.sql, digest)
    if context is None:
        return None
    files: dict[str, dict[str, object]] = json.loads(context)["rules"]
    return {str(data["id"]) for data in files.values() if data.get("even_if_approved")}


def _votes(store: Store, number: int, kept: Kept, approval: Approval) -> list[str]:
    """Who has approved this version of this post, this one included. Raises DeskError for a vote of nobody."""
    assert isinstance(kept.post, Post)
    if not voters.people((approval.voter,), approval.logins):
        raise DeskError("who approves is not known")
    key = [number, kept.post.account, kept.post.id, kept.post.version]
    store.sql.execute(
        "INSERT OR IGNORE INTO votes VALUES(?, ?, ?, ?, ?, ?, ?)", [*key, approval.voter, stamp(approval.at), approval.reason]
    )
    query = "SELECT who FROM votes WHERE incident = ? AND account = ? AND post = ? AND version = ?"
    return [row[0] for row in store.sql.execute(query, key)]


def _external(kept: Kept) -> str:
    assert isinstance(kept.post, Post | Redacted)
    return f"approved:{kept.post.account}:{kept.post.id}:{kept.post.version}"


def _is_approved(store: Store, kept: Kept) -> bool:
    """Also of a post that was redacted since: that nobody can approve any more."""
    return store.registrations.knows(_external(kept))


def _registered(store: Store, kept: Kept, approval: Approval) -> int:
    post = kept.post
    assert isinstance(post, Post)
    end = max(approval.at, post.created_at) + timedelta(minutes=1)  # the platform's clock may be ahead of ours
    plan = Plan(
        post.account, post.kind, post.text, post.created_at, end, (), len(post.media), "", approval.who, _external(kept),
        shown=tuple(shown_parts.parts(post).items()), alt=tuple(m.alt_text for m in post.media if m.alt_text),
    )  # fmt: skip
    origin = desk.Origin(approval.voter, approval.via, after_the_fact=True)
    number = desk.register(store, plan, approval.who, approval.at, origin)
    if number is None:
        raise DeskError(f"post {post.id} is already approved")
    store.registrations.consume(number, post.root_id or post.id, post.created_at)
    return number


def _tell(outbox: Outbox, number: int, approval: Approval, waiting: list[tuple[str, str]], *, over: bool) -> None:
    """Resolve the incident when all of it is approved; else say in the thread what a second approver has to do."""
    if over:
        user = approval.voter.removeprefix(voters.SLACK)
        human = Human("resolve", approval.who, approval.via, approval.at, approval.reason, user, "approved")
        refused = outbox.act(number, human)
        if refused:
            raise DeskError(refused)
    elif waiting:
        posts = ", ".join(f"{post} ({why})" for post, why in waiting[:5])
        outbox.mention(number, f"{approval.who} approves ({approval.reason}); a second approver is needed for post {posts}", approval.at)
