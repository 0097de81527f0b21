"""Legit after all: exactly these posts, by one person or two. A vote is a row; the approval is counted from rows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitor import desk
from monitor.desk import DeskError
from monitor.model import Human, Post, Severity
from monitor.outbox import Outbox
from monitor.planning import Plan
from monitor.record import stamp
from monitor.store import Kept, Store
from monitor.verdict.addresses import addresses, wallet_names
from monitor.verdict.links import hosts


@dataclass(frozen=True, slots=True)
class Approval:
    """Whose word it is, in `who`; `voter` tells people apart; `two_person` is the company's own wish."""

    who: str
    voter: str
    reason: str
    via: str
    at: datetime
    two_person: bool = False


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


def approve(store: Store, outbox: Outbox, number: int, posts: tuple[str, ...], approval: Approval) -> Approved:
    """Register exactly these posts (all when none is named) as used by themselves; resolve when all of the incident's are.

    A post with a link or an address takes two people where the company wants that; one that a critical rule accuses
    always does. Raises DeskError.
    """
    with store.transaction():
        incident = store.incident(number)
        if incident is None:
            raise DeskError(f"there is no INC-{number}")
        everything = [k for k in store.posts("incident = ?", (number,)) if isinstance(k.post, Post)]
        chosen = [k for k in everything if not posts or k.post.id in posts]
        unknown = set(posts) - {k.post.id for k in everything}
        if unknown or not chosen:
            raise DeskError(f"INC-{number} has no post {', '.join(sorted(unknown))}" if unknown else f"INC-{number} has no post to approve")
        made, waiting = [], []
        for kept in chosen:
            why = _why_two(store, kept, approval)
            if _votes(store, number, kept, approval) < (2 if why else 1):
                waiting.append((kept.post.id, why))
            elif not _is_approved(store, kept):
                made.append(_registered(store, kept, approval))
        detail = {"registrations": made, "waiting": [post for post, _ in waiting], "reason": approval.reason, "via": approval.via}
        store.audit(approval.at, approval.who, "approve", f"INC-{number}", **detail)
        over = all(_is_approved(store, k) for k in everything)
        _tell(outbox, number, approval, waiting, over=over)
        if not made and not waiting:
            raise DeskError(f"INC-{number}: already approved")
        return Approved(tuple(made), tuple(waiting), over)


def _why_two(store: Store, kept: Kept, approval: Approval) -> str:
    """Why one person's word is not enough, or an empty string."""
    critical = _critical_rules(store, kept.rulebook)
    accused = [f.rule for f in kept.verdict.accusations if f.rule in critical and f.severity is Severity.PAGE]
    if accused:
        return f"the critical rule {accused[0]} accuses it"
    assert isinstance(kept.post, Post)
    leads = kept.verdict.hosts or hosts(kept.post.text, kept.post.links)
    pays = addresses(kept.post.text) or wallet_names(kept.post.text)
    return "it holds a link or an address" if approval.two_person and (leads or pays) else ""


def _critical_rules(store: Store, digest: str) -> set[str]:
    """Ids of the rules that accuse registered posts too, as they were when the post was judged."""
    row = store.sql.execute("SELECT context FROM rulebooks WHERE digest = ?", [digest]).fetchone()
    files: dict[str, dict[str, object]] = json.loads(row[0])["rules"] if row else {}
    return {str(data["id"]) for data in files.values() if data.get("even_if_approved")}


def _votes(store: Store, number: int, kept: Kept, approval: Approval) -> int:
    """How many people have approved this version of this post, this one included."""
    assert isinstance(kept.post, Post)
    key = [number, kept.post.account, kept.post.id, kept.post.version]
    store.sql.execute(
        "INSERT OR IGNORE INTO votes VALUES(?, ?, ?, ?, ?, ?, ?)", [*key, approval.voter, stamp(approval.at), approval.reason]
    )
    query = "SELECT count(*) FROM votes WHERE incident = ? AND account = ? AND post = ? AND version = ?"
    return int(store.sql.execute(query, key).fetchone()[0])


def _external(kept: Kept) -> str:
    assert isinstance(kept.post, Post)
    return f"approved:{kept.post.account}:{kept.post.id}:{kept.post.version}"


def _is_approved(store: Store, kept: Kept) -> bool:
    return store.registrations.knows(_external(kept))


def _registered(store: Store, kept: Kept, approval: Approval) -> int:
    post = kept.post
    assert isinstance(post, Post)
    end = approval.at + timedelta(minutes=1)
    plan = Plan(post.account, post.kind, post.text, post.created_at, end, (), len(post.media), "", approval.who, _external(kept))
    number = desk.register(store, plan, approval.who, approval.at)
    if number is None:
        raise DeskError(f"post {post.id} is already approved")
    store.registrations.consume(number, post.root_id or post.id, post.created_at)
    return number


def _tell(outbox: Outbox, number: int, approval: Approval, waiting: list[tuple[str, str]], *, over: bool) -> None:
    """Resolve the incident when all of it is approved; else say in the thread what a second approver has to do."""
    if over:
        human = Human("resolve", approval.who, approval.via, approval.at, approval.reason, approval.voter, "approved")
        refused = outbox.act(number, human)
        if refused:
            raise DeskError(refused)
    elif waiting:
        posts = ", ".join(f"{post} ({why})" for post, why in waiting[:5])
        outbox.mention(number, f"{approval.who} approves ({approval.reason}); a second approver is needed for post {posts}", approval.at)
