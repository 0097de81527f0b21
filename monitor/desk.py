"""What people may do: register, withdraw, acknowledge, resolve, approve. Every act is audited."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from monitor import record, rulebook
from monitor.model import Account, ApprovedPost, Company, Human, Kind, Post, ProfileChange, Severity, Unreadable, Verdict
from monitor.outbox import Outbox
from monitor.planning import Plan
from monitor.record import stamp
from monitor.rulebook import Rulebook
from monitor.store import Kept, Store
from monitor.verdict import examine, judge, judge_change, judge_unreadable
from monitor.verdict.approved import Queue
from monitor.verdict.critical import critical_tokens
from monitor.verdict.rules import Rules
from monitor.verdict.text import canonical

_SHORT_WORDS = 4
_LONG_WINDOW = timedelta(days=14)


class DeskError(Exception):
    """What was asked cannot be done; the message says why and what can."""


def lint(plan: Plan, company: Company, rules: Rules, *, although: bool = True) -> list[str]:
    """What to know before this is registered: what the rules say, and what it would excuse."""
    notes = []
    subject = examine("\n".join([plan.text, *plan.links]), plan.links, company, rules, plan.field)
    strict = {r.id for r in rules.rules if r.even_if_approved}
    for finding in rules.accuse(subject, "profile" if plan.field else "post"):
        still = finding.rule in strict and finding.severity is Severity.PAGE and although
        outcome = "it will PAGE although registered" if still else "registering it silences this"
        notes.append(f"rule {finding.rule}: {finding.title} ({', '.join(finding.evidence[:2])}); {outcome}")
    text = canonical(plan.text, plan.links)
    if plan.conversation or plan.author:
        what = f"every answer below post {plan.conversation}" if plan.conversation else f"every {plan.kind} of @{plan.author}"
        return [*notes, f"{what} goes by in its window, whatever it says, unless a rule or a foreign link accuses it"]
    if not plan.field and len(text.split()) < _SHORT_WORDS and not critical_tokens(text):
        notes.append("so short and general that it excuses whatever else could be meant by it")
    if plan.not_after - plan.not_before > _LONG_WINDOW:
        notes.append(f"open for {(plan.not_after - plan.not_before).days} days: a shorter window excuses less")
    return notes


def register(store: Store, plan: Plan, who: str, now: datetime) -> int | None:
    """One approval, audited; None when this external id is already registered."""
    if plan.not_after <= plan.not_before:
        raise DeskError("the window ends before it begins")
    if plan.pictures and len(plan.pictures) != plan.media:
        raise DeskError(f"{len(plan.pictures)} of {plan.media} pictures were given; give each with --image, or only --media {plan.media}")
    if plan.not_after < now:
        raise DeskError(f"the window ended at {plan.not_after:%Y-%m-%d %H:%M} UTC; a registration is for what comes")
    with store.transaction():
        first = _register(store, plan, who, now, 0, 1)
        before = first
        for part, text in enumerate(plan.more if first else (), 2):
            given = f"{plan.external_id}#{part}" if plan.external_id else ""
            bare = replace(plan, text=text, links=(), media=0, pictures=(), external_id=given)
            before = _register(store, bare, who, now, before or 0, part)
        return first


def _register(store: Store, plan: Plan, who: str, now: datetime, after: int, part: int) -> int | None:
    """One row; part of a thread when the plan has more of them."""
    of = len(plan.more) + 1 if plan.more else 0
    added = store.sql.execute(
        "INSERT OR IGNORE INTO approved(account, kind, field, text, links, media, pictures, not_before, not_after, approved_by,"
        " created_at, external_id, after, part, parts, conversation, author, revision)"
        " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [plan.account, plan.kind.value, plan.field, plan.text, json.dumps(plan.links), max(plan.media, len(plan.pictures)),
         json.dumps(plan.pictures), stamp(plan.not_before), stamp(plan.not_after), plan.by or who, stamp(now),
         plan.external_id or None, after, part if of else 0, of, plan.conversation, plan.author, store.revise()],
    )  # fmt: skip
    if not added.rowcount:
        return None
    number = int(added.lastrowid or 0)
    detail = {"account": plan.account, "kind": plan.kind.value, "approved_by": plan.by or who}
    detail |= {"part": f"{part} of {of}"} if of else {}
    detail |= {k: v for k, v in (("conversation", plan.conversation), ("author", plan.author)) if v}
    store.audit(now, who, "register", f"#{number}", **detail)
    return number


def withdraw(store: Store, number: int, who: str, now: datetime) -> None:
    """Take a registration back. Raises DeskError when it is used, withdrawn or unknown."""
    with store.transaction():
        one = registration(store, number)
        if one.used_by:
            raise DeskError(f"registered post #{number} was already used at {one.used_at:%Y-%m-%d %H:%M} UTC")
        if one.withdrawn_at:
            raise DeskError(f"registered post #{number} was already withdrawn")
        store.sql.execute(
            "UPDATE approved SET withdrawn_by = ?, withdrawn_at = ?, revision = ? WHERE id = ?",
            [who, stamp(now), store.revise(), number],
        )
        store.audit(now, who, "withdraw", f"#{number}")


def registration(store: Store, number: int) -> ApprovedPost:
    """By number. Raises DeskError."""
    row = store.sql.execute("SELECT * FROM approved WHERE id = ?", [number]).fetchone()
    if row is None:
        raise DeskError(f"there is no registered post #{number}; `hijack-monitor posts list` shows them")
    return record.approved(row)


def registrations(store: Store, limit: int = 10_000) -> list[ApprovedPost]:
    """Newest window first."""
    rows = store.sql.execute("SELECT * FROM approved ORDER BY not_before DESC, id DESC LIMIT ?", [limit])
    return [record.approved(r) for r in rows]


def standing(one: ApprovedPost, now: datetime) -> str:
    """Used, withdrawn, over, open or planned."""
    if one.used_by:
        return "used"
    if one.withdrawn_at:
        return "withdrawn"
    return "over" if one.not_after < now else "open" if one.not_before <= now else "planned"


def act(store: Store, outbox: Outbox, number: int, human: Human) -> None:
    """Acknowledge or resolve. Raises DeskError when nothing changed."""
    with store.transaction():
        refused = outbox.act(number, human)
    if refused:
        raise DeskError(refused)


def approve(store: Store, outbox: Outbox, number: int, post: str, who: str, reason: str, now: datetime) -> list[int]:
    """Legit after all: register exactly these posts as used by themselves, resolve when all are.

    Returns the registrations. Raises DeskError.
    """
    with store.transaction():
        incident = store.incident(number)
        if incident is None:
            raise DeskError(f"there is no INC-{number}")
        all_posts = [k for k in store.posts("incident = ?", (number,)) if isinstance(k.post, Post)]
        chosen = [k for k in all_posts if post in ("", k.post.id)]
        if not chosen:
            raise DeskError(f"INC-{number} has no post {post}" if post else f"INC-{number} has no post to approve")
        made = [_approved_as_posted(store, k.post, who, now) for k in chosen if isinstance(k.post, Post)]
        store.audit(now, who, "approve", f"INC-{number}", registrations=made, reason=reason)
        if len(chosen) == len(all_posts):
            refused = outbox.act(number, Human("resolve", who, "approval", now, f"approved after the fact: {reason}"))
            if refused:
                raise DeskError(refused)
        return made


def _approved_as_posted(store: Store, post: Post, who: str, now: datetime) -> int:
    plan = Plan(post.account, post.kind, post.text, post.created_at, now + timedelta(minutes=1), (), len(post.media), "", who,
                f"approved:{post.account}:{post.id}:{post.version}")  # fmt: skip
    number = register(store, plan, who, now)
    if number is None:
        raise DeskError(f"post {post.id} is already approved")
    store.consume(number, post.root_id or post.id, post.created_at)
    return number


def redo_baseline(store: Store, account: Account, who: str, now: datetime) -> None:
    """What the account shows at the next read and we do not know is recorded, not paged."""
    with store.transaction():
        store.sql.execute("UPDATE accounts SET first_seen = NULL, cursor = NULL WHERE key = ?", [account.key])
        store.audit(now, who, "redo baseline", account.key)


def recompute(store: Store, kept: Kept) -> Verdict:
    """The verdict again, from what is stored: the same a year later.

    Raises DeskError when the rules of that day are not in the store.
    """
    row = store.sql.execute("SELECT context FROM rulebooks WHERE digest = ?", [kept.rulebook]).fetchone()
    if row is None:
        raise DeskError("the rules this post was judged by are not in the store")
    book, company, account = _as_it_was(json.loads(row[0]), kept.post.account)
    queue = Queue(store.queue_as_of(kept))
    match kept.post:
        case Post():
            return judge(kept.post, account, company, queue, book.rules, kept.context)
        case ProfileChange():
            return judge_change(kept.post, company, queue, book.rules, kept.context)
        case Unreadable():
            return judge_unreadable(kept.post)


def _as_it_was(context: dict[str, object], key: str) -> tuple[Rulebook, Company, Account]:
    """Rules, company and account policy from the stored context."""
    files: dict[str, dict[str, object]] = context["rules"]  # type: ignore[assignment]
    found = rulebook.parse_all({Path(name): data for name, data in sorted(files.items())})
    book = Rulebook(tuple(found), Rules(tuple(s.rule for s in found if s.rule.status != "draft")))
    who: dict[str, object] = context["company"]  # type: ignore[assignment]
    company = Company(str(who["name"]), *(tuple(who[k]) for k in ("domains", "wallets", "handles")))  # type: ignore[arg-type]
    accounts: list[dict[str, object]] = context["accounts"]  # type: ignore[assignment]
    platform, _, identifier = key.split(":", 2)
    mine = next((a for a in accounts if a["id"] == identifier and a["platform"] == platform), accounts[0])
    worth = tuple((Kind(k), Severity(v)) for k, v in mine["unapproved"])  # type: ignore[attr-defined]
    return book, company, replace(Account(platform, identifier, str(mine["handle"])), unapproved=worth)
