"""What people may do: register, withdraw, acknowledge, resolve, approve. Every act is audited."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from monitor import chain, plan_changes, voters
from monitor.model import (
    Account,
    ApprovedPost,
    Approving,
    Company,
    Human,
    Kind,
    Severity,
    Verdict,
)
from monitor.outbox import Outbox
from monitor.planning import RESERVED, Plan
from monitor.post_rows import Kept
from monitor.recomputing import LostError, Recomputing
from monitor.record import stamp
from monitor.store import Store
from monitor.verdict import examine
from monitor.verdict.critical import critical_tokens
from monitor.verdict.open_ended import MOST_ANSWERS
from monitor.verdict.rules import Rules
from monitor.verdict.shown_parts import IN_EVERY_PART
from monitor.verdict.shown_pictures import not_compared
from monitor.verdict.text import canonical

_SHORT_WORDS = 4
_MOST_TWINS = 5
IMPORT = "import:"  # begins the names of acts that register a row at a time
_LONG_WINDOW = timedelta(days=14)
_UNNAMED = {
    Kind.QUOTE: {"quotes": "it does not say which post it quotes"},
    Kind.REPLY: {"answers": "it does not say which post it answers"},
    Kind.REPOST: {"reposts": "it does not say which post it reposts"},
}


class DeskError(Exception):
    """What was asked cannot be done; the message says why and what can."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a registration comes from: `voter` tells people apart, `via` says where, `batch` names the act, `source` the plan."""

    voter: str = ""
    via: str = ""
    batch: str = ""
    after_the_fact: bool = False
    source: str = ""


def new_act(kind: str = "") -> str:
    """A name for what one command, form or import registers."""
    return kind + uuid.uuid4().hex[:16]


def lint(plan: Plan, company: Company, rules: Rules, *, although: bool = True) -> list[str]:
    """What to know before this is registered: what the rules say, and what it would excuse."""
    notes = []
    subject = examine("\n".join([plan.text, *plan.alt, *plan.links]), plan.links, company, rules, plan.field)
    strict = {r.id for r in rules.rules if r.even_if_approved}
    for finding in rules.accuse(subject, "profile" if plan.field else "post"):
        still = finding.rule in strict and finding.severity is Severity.PAGE and although
        outcome = "it will PAGE although registered" if still else "registering it silences this"
        notes.append(f"rule {finding.rule}: {finding.title} ({', '.join(finding.evidence[:2])}); {outcome}")
    text = canonical(plan.text, plan.links)
    if opened := _opens(plan):
        return [*notes, opened]
    named = dict(plan.shown)
    notes += [
        f"{say}: it will be a NOTICE (name the post with --{name})"
        for name, say in _UNNAMED.get(plan.kind, {}).items()
        if name not in named
    ]
    if uncompared := not_compared(max(plan.media, len(plan.pictures)), len(plan.pictures)):
        notes.append(uncompared)
    if not plan.field and text and len(text.split()) < _SHORT_WORDS and not critical_tokens(text):
        notes.append("so short and general that it excuses whatever else could be meant by it")
    if plan.not_after - plan.not_before > _LONG_WINDOW:
        notes.append(f"open for {(plan.not_after - plan.not_before).days} days: a shorter window excuses less")
    return notes


def _opens(plan: Plan) -> str:
    """What a registration without words lets pass, or an empty string."""
    if plan.conversation:
        most = plan.most or MOST_ANSWERS
        return (
            f"every answer below post {plan.conversation} is recorded in its window, whatever it says; a picture, a phone number, a handle that"
            f" is not yours or more than {most} answers are a notice; a foreign link or a rule still pages"
        )
    if plan.author and plan.kind is Kind.QUOTE:
        return (
            f"every quote of @{plan.author} without words goes by in its window; words beside it are a notice unless they are registered too;"
            " foreign links, pictures, phone numbers and wallets page"
        )
    what = f"every {plan.kind} of @{plan.author}" if plan.author else "that repost" if plan.kind is Kind.REPOST and not plan.text else ""
    return f"{what} goes by in its window, whatever it says, unless a rule accuses it" if what else ""


def twins(store: Store, plan: Plan, now: datetime) -> list[str]:
    """A note for what has the same words and may still be posted; nothing for what goes by as often as it happens."""
    if plan.conversation or plan.author:
        return []
    plan = replace(plan, account=_by_id(store, plan.account))
    alike = (one for one in store.registrations.to_come(now) if (one.account, one.kind) == (plan.account, plan.kind))
    notes = plan_changes.Twins(alike).of(plan)
    more = len(notes) - _MOST_TWINS
    return notes[:_MOST_TWINS] + ([f"{more} more registered posts have the same words"] if more > 0 else [])


def check(plan: Plan, now: datetime) -> None:
    """Raises DeskError when it cannot be registered, whatever is registered already."""
    if plan.not_after <= plan.not_before:
        raise DeskError("the window ends before it begins")
    if len(plan.alt) > max(plan.media, len(plan.pictures)):
        raise DeskError(f"{len(plan.alt)} alt texts for {max(plan.media, len(plan.pictures))} pictures or videos")
    if plan.not_after < now:
        raise DeskError(f"the window ended at {plan.not_after:%Y-%m-%d %H:%M} UTC; a registration is for what comes")


def register(
    store: Store, plan: Plan, who: str, now: datetime, origin: Origin | None = None, replacing: ApprovedPost | None = None
) -> int | None:
    """One approval, audited; None when this external id is already registered.

    With `replacing`, that one is withdrawn for it, with all of its thread; the new one is as young, and as unconfirmed, as any other.
    Raises DeskError when a part of the old one is used.
    """
    check(plan, now)
    origin = origin or Origin()
    origin = origin if origin.batch else replace(origin, batch=new_act())
    with store.transaction():
        plan = replace(plan, account=_by_id(store, plan.account))
        if plan.external_id.startswith(RESERVED) and store.registrations.knows(plan.external_id):
            return None  # a draft, or a post after the fact: once, even if it was taken back
        old = unused_thread(store, replacing) if replacing else []
        for one in old:  # before the insert: what is in force under an external id is unique
            store.registrations.withdraw(one.id, who, now)
        replaced = [one.id for one in old] + [0] * (len(plan.more) + 1)
        first = _register(store, plan, who, now, (0, 1), origin, replaced[0])
        if first is None:
            return None
        before: int = first
        for part, text in enumerate(plan.more, 2):
            shown = tuple((name, value) for name, value in plan.shown if name in IN_EVERY_PART)
            kind = Kind.POST if plan.kind in (Kind.REPLY, Kind.QUOTE) else plan.kind  # below oneself
            bare = replace(plan, text=text, kind=kind, links=(), media=0, pictures=(), alt=(), external_id="", shown=shown)
            before = _register(store, bare, who, now, (before, part), origin, replaced[part - 1]) or 0
        for one in old:
            store.audit(now, who, "withdraw", f"#{one.id}", replaced_by=f"#{first}")
        return first


def _by_id(store: Store, key: str) -> str:
    """The key of an account that was looked up after its plan was read."""
    platform, realm, handle = key.split(":", 2)
    pinned = store.pinned(platform, handle.removeprefix("@")) if handle.startswith("@") else None
    return f"{platform}:{realm}:{pinned}" if pinned else key


def unused_thread(store: Store, first: ApprovedPost) -> list[ApprovedPost]:
    """A registration with all parts of its thread, as they are now. Raises DeskError when one of them was used."""
    thread = store.registrations.thread(registration(store, first.id))
    for one in thread:
        if one.used_by:
            what = f"registered post #{one.id}" + (f", part {one.part} of its thread," if one.part > 1 else "")
            raise DeskError(f"{what} was already used at {one.used_at:%Y-%m-%d %H:%M} UTC")
    return [one for one in thread if not one.withdrawn_at]


def _register(store: Store, plan: Plan, who: str, now: datetime, place: tuple[int, int], origin: Origin, replaces: int) -> int | None:
    """One row. `place`: (the registration that it comes after, its part of a thread)."""
    after, part = place
    of = len(plan.more) + 1 if plan.more else 0
    number = store.registrations.add(
        {
            "account": plan.account, "kind": plan.kind.value, "field": plan.field, "text": plan.text, "links": json.dumps(plan.links),
            "media": max(plan.media, len(plan.pictures)), "pictures": json.dumps(plan.pictures),
            "not_before": stamp(plan.not_before), "not_after": stamp(plan.not_after), "approved_by": plan.by or who,
            "created_at": stamp(now), "external_id": plan.external_id or None, "after": after, "part": part if of else 0, "parts": of,
            "conversation": plan.conversation, "author": plan.author, "alt": json.dumps(plan.alt),
            **_origin(origin, who, now), "shown": json.dumps(plan.shown, ensure_ascii=False), "most": plan.most,
            "source": origin.source, "replaces": replaces,
        }
    )  # fmt: skip
    if number is None:
        return None
    detail = {"account": plan.account, "kind": plan.kind.value, "approved_by": plan.by or who}
    detail |= {"part": f"{part} of {of}"} if of else {}
    given = (("conversation", plan.conversation), ("author", plan.author), ("registrant", origin.voter), ("via", origin.via),
             ("source", origin.source), ("replaces", f"#{replaces}" if replaces else ""), *plan.shown)  # fmt: skip
    detail |= {k: v for k, v in given if v}
    store.audit(now, who, "register", f"#{number}", **detail)
    return number


def _origin(origin: Origin, who: str, now: datetime) -> dict[str, object]:
    """Its columns. What was approved after the fact needs no second word and no announcement: its incident tells of it."""
    login = origin.voter.removeprefix(voters.LOGIN) if origin.voter.startswith(voters.LOGIN) else ""
    told = f"{who} (login {login})" if login and login != who else who
    columns: dict[str, object] = {"registered_by": told, "registrant": origin.voter, "via": origin.via, "batch": origin.batch}
    return columns | ({"confirmed_at": stamp(now), "confirmed_by": who, "announcement": 0, "batch": ""} if origin.after_the_fact else {})


def confirm(store: Store, number: int, who: str, voter: str, logins: Mapping[str, str], now: datetime) -> tuple[int, ...]:
    """A second person's word for a registration and all that came with it in the same act. Raises DeskError."""
    with store.transaction():
        one = registration(store, number)
        if one.used_by:
            raise DeskError(f"registered post #{number} was already used at {one.used_at:%Y-%m-%d %H:%M} UTC")
        if one.withdrawn_at:
            raise DeskError(f"registered post #{number} was withdrawn")
        if one.confirmed_at:
            raise DeskError(f"registered post #{number} was already confirmed by {one.confirmed_by}")
        if voters.people((one.registrant, voter), logins) < 2:
            raise DeskError(f"registered post #{number}: {_one_voice(one, voter, logins)}")
        told = tuple(r.id for r in store.registrations.act_of(one) if not (r.confirmed_at or r.withdrawn_at))
        store.registrations.confirm(told, who, now)
        store.audit(now, who, "confirm", f"#{number}", registrations=told, voter=voter)
        return told


def _one_voice(one: ApprovedPost, voter: str, logins: Mapping[str, str]) -> str:
    """Why the word of this voter adds nothing."""
    if not one.registrant:
        return "who registered it was not recorded; withdraw it and register it again"
    told = voters.unknown((one.registrant, voter), logins)
    return told or f"{one.registered_by} registered it: somebody else has to confirm it"


def withdraw(store: Store, number: int, who: str, now: datetime, why: str = "") -> None:
    """Take a registration back. Raises DeskError when it is used, withdrawn or unknown."""
    with store.transaction():
        one = registration(store, number)
        if one.used_by:
            raise DeskError(f"registered post #{number} was already used at {one.used_at:%Y-%m-%d %H:%M} UTC")
        if one.withdrawn_at:
            raise DeskError(f"registered post #{number} was already withdrawn")
        store.registrations.withdraw(number, who, now)
        store.audit(now, who, "withdraw", f"#{number}", **({"why": why} if why else {}))


def shown_of(one: ApprovedPost | Plan) -> list[str]:
    """Everything that a registration would excuse, a line a part, for whoever has to decide on it. Untrusted."""
    if isinstance(one, ApprovedPost) and one.redacted_at:
        return [f"(redacted on {one.redacted_at:%Y-%m-%d})"]
    lines = [f"every answer below post {one.conversation}"] if one.conversation else []
    lines += [f"every {one.kind} of @{one.author}"] if one.author else []
    lines += [f"{one.field}: {one.text}" if one.field else one.text] if one.text else []
    lines += [f"+ {link}" for link in one.links]
    lines += [f"+ {one.media} picture(s) or video(s)"] if one.media else []
    lines += [f"+ alt text: {text}" for text in one.alt]
    lines += [f"+ {name}: {value}" for name, value in one.shown]
    return lines + ([f"+ at most {one.most} answers"] if one.most else [])


def takes_effect(plan: Plan, number: int, now: datetime, approving: Approving) -> list[str]:
    """What one person's registration is worth so far, for whoever made it."""
    if approving.two_person:
        return [f"it waits for a second approver: the button of its announcement in Slack, or `hijack-monitor posts confirm {number}`"]
    until = now + timedelta(minutes=approving.fresh_minutes)
    if approving.fresh_minutes and plan.not_before < until:
        return [f"until {until:%H:%M} UTC its post is a notice, unless a second person confirms #{number}"]
    return []


def withdraw_all(store: Store, announcement: int, who: str, now: datetime) -> int:
    """Take back what is still open of what was announced together. Raises DeskError when that is nothing."""
    with store.transaction():
        still = [one for one in store.announcements.members(announcement) if not one.used_by and not one.withdrawn_at]
        if not still:
            raise DeskError("nothing of it is open any more")
        for one in still:
            withdraw(store, one.id, who, now)
        return len(still)


def registration(store: Store, number: int) -> ApprovedPost:
    """By number. Raises DeskError."""
    found = store.registrations.get(number)
    if found is None:
        raise DeskError(f"there is no registered post #{number}; `hijack-monitor posts list` shows them")
    return found


def registrations(store: Store) -> list[ApprovedPost]:
    """All of them, the last registered first."""
    return list(store.registrations.newest())


def standing(one: ApprovedPost, now: datetime, *, two_person: bool = False) -> str:
    """Used, withdrawn, over, waiting (for a second approver), open or planned."""
    if one.used_by:
        return "used"
    if one.withdrawn_at:
        return "withdrawn"
    if two_person and not one.confirmed_at and one.not_after >= now:
        return "waiting"
    return "over" if one.not_after < now else "open" if one.not_before <= now else "planned"


def act(store: Store, outbox: Outbox, number: int, human: Human) -> None:
    """Acknowledge or resolve. Raises DeskError when nothing changed."""
    with store.transaction():
        refused = outbox.act(number, human)
    if refused:
        raise DeskError(refused)


def no_incident(store: Store, number: int) -> str:
    """Why there is none of this number."""
    row = next((act for act in reversed(chain.acts(store.sql, number)) if act["action"] == "incident pruned"), None)
    return f"INC-{number} was pruned on {row['at'][:10]}: {json.loads(row['detail'])['why']}" if row else f"there is no INC-{number}"


def redo_baseline(store: Store, account: Account, who: str, now: datetime) -> None:
    """What the account shows at the next read and we do not know is recorded, not paged."""
    with store.transaction():
        store.sql.execute("UPDATE accounts SET first_seen = NULL, cursor = NULL, known_since = NULL WHERE key = ?", [account.key])
        store.audit(now, who, "redo baseline", account.key)


def recompute(store: Store, kept: Kept) -> Verdict:
    """The verdict of one post again, see `recomputing`. Raises DeskError where it cannot be had."""
    try:
        return Recomputing(store, [kept]).verdict(kept)
    except LostError as error:
        raise DeskError(str(error)) from error


def recomputed(store: Store, kept: Kept) -> str:
    """Whether the verdict comes out the same today, in words."""
    return Recomputing(store, [kept]).in_words([kept])[0]
