"""What else is known when a post is judged: gathered here as values, so that judging stays pure."""

from __future__ import annotations

import logging
from datetime import datetime

from monitor import record
from monitor.blocklists import Blocklists
from monitor.incidents import DRILL, account_of
from monitor.model import Account, ApprovedPost, Company, Context, Item, Kind, Post, ProfileChange, Severity, Signal, Verdict
from monitor.post_rows import EXACT
from monitor.record import stamp
from monitor.shown_again import standing
from monitor.store import Store
from monitor.verdict.addresses import addresses
from monitor.verdict.forms import QUIET
from monitor.verdict.habits import BURST, learn, signals
from monitor.verdict.links import hosts
from monitor.verdict.open_ended import most_answers
from monitor.verdict.text import skeleton

log = logging.getLogger("monitor.context")


def gather(store: Store, account: Account, item: Item, company: Company, lists: Blocklists) -> Context:
    """The signals and list entries of one item, before it is written down."""
    if isinstance(item, ProfileChange):
        return Context((), _listed(item.after, (), lists), standing(store, account, item, company))
    if not isinstance(item, Post):
        return Context()
    shown = standing(store, account, item, company)
    found = signals(item, store.habits(account.key), _recent(store, item), own=shown in QUIET)
    elsewhere = _elsewhere(store, account, item)
    if elsewhere:
        found = (*found, (Signal.SEVERAL_ACCOUNTS, f"the same words as in INC-{elsewhere} of another of our accounts"))
    return Context(found, _listed(item.text, item.links, lists), shown)


def answered(store: Store, one: ApprovedPost, item: Item) -> int:
    """The earlier replies that this registration let pass; counted up to the first one beyond what it allows."""
    row = store.sql.execute(
        "SELECT count(*) FROM (SELECT 1 FROM posts WHERE account = ? AND kind = 'reply' AND created_at BETWEEN ? AND ? AND id != ?"  # noqa: S608 - ours
        f" AND {EXACT} = ? LIMIT ?)",
        [one.account, stamp(one.not_before), stamp(one.not_after), item.id, one.id, most_answers(one) + 1],
    ).fetchone()
    return int(row[0])


def remember(store: Store, account: Account, item: Item, verdict: Verdict, *, baseline: bool) -> None:
    """Learn from a post of which nobody complained. What was accused teaches nothing: a hijacker must not train us."""
    quiet = verdict.severity <= Severity.RECORD or (baseline and not verdict.accusations)
    if not isinstance(item, Post) or not quiet or item.version != 1:
        return
    try:
        habits = learn(store.habits(account.key), item)
    except (ValueError, TypeError, KeyError, AttributeError):  # habits explain; a mistake in them must make no page
        log.exception("nothing learned", extra={"account": account.key, "post": item.id})
        return
    store.keep_habits(account.key, habits)


def _recent(store: Store, post: Post) -> tuple[tuple[datetime, Kind], ...]:
    rows = store.sql.execute(
        "SELECT created_at, kind FROM posts WHERE account = ? AND created_at BETWEEN ? AND ? AND kind NOT IN ('profile', 'unreadable')"
        " ORDER BY created_at DESC LIMIT 100",
        [post.account, stamp(post.created_at - BURST), stamp(post.created_at + BURST)],
    )
    return tuple((when, Kind(row["kind"])) for row in rows if (when := record.moment(row["created_at"])))


def _elsewhere(store: Store, account: Account, post: Post) -> int | None:
    """An open incident of another account that holds the same words. A drill is nobody's company."""
    others = [i for i in store.unresolved() if account.key != DRILL and account_of(i.subject) not in (account.key, DRILL)]
    words = skeleton(post.text)[:500] if others else ""
    return next((i.id for i in others if words and words in i.skeletons), None)


def _listed(text: str, links: tuple[str, ...], lists: Blocklists) -> tuple[str, ...]:
    if not lists:
        return ()
    return lists.named(hosts(text, links), tuple(a.value for a in addresses(text)))
