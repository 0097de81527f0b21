"""The queue, the rules and who we are, kept current for the pure `judge`."""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import sqlite3
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from monitor import words
from monitor.blocklists import Blocklists
from monitor.context import answered, gather
from monitor.model import (
    NO_CONTEXT,
    ONE_IS_ENOUGH,
    Account,
    Approving,
    Company,
    Context,
    Item,
    Kind,
    NoMatch,
    Post,
    ProfileChange,
    Severity,
    Unreadable,
    Verdict,
)
from monitor.retention import REMEMBERED
from monitor.rulebook import Rulebook
from monitor.shown_again import to_ask_for
from monitor.store import Store
from monitor.verdict import judge, judge_change, judge_unreadable
from monitor.verdict.approved import Queue
from monitor.verdict.shown_links import lengthened

log = logging.getLogger("monitor.judging")


@dataclass(frozen=True)
class Basis:
    """What a verdict refers to: the rules, who we are, what one person's registration is worth, and whose posts they are."""

    company: Company
    rulebook: Rulebook
    approving: Approving = ONE_IS_ENOUGH
    accounts: tuple[Account, ...] = ()

    @functools.cached_property
    def written(self) -> str:
        """All of it as JSON."""
        return json.dumps(
            {
                "rules": {str(s.path.name): s.file.model_dump() for s in self.rulebook.sources},
                "company": asdict(self.company),
                "accounts": [asdict(a) for a in self.accounts],
                "approvals": asdict(self.approving),
                "words": words.version(),
            },
            sort_keys=True,
        )

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of what is written."""
        return hashlib.sha256(self.written.encode()).hexdigest()


class Judge:
    """The queue, the rules and who we are, kept current; verdicts come from the pure `judge`."""

    def __init__(self, store: Store, company: Company, rulebook: Rulebook, approving: Approving = ONE_IS_ENOUGH) -> None:
        self._store, self.basis = store, Basis(company, rulebook, approving)
        self._queue, self._revision = Queue((), approving, words.load()), 0
        self.lists = Blocklists()
        self.digest = ""  # of the basis, once it is written down

    @property
    def company(self) -> Company:
        """Who we are."""
        return self.basis.company

    @property
    def rulebook(self) -> Rulebook:
        """The rules that judge."""
        return self.basis.rulebook

    def know(self, accounts: tuple[Account, ...], now: datetime) -> None:
        """Judge posts of these accounts. Raises sqlite3.Error, and then judges as before."""
        basis = replace(self.basis, accounts=accounts)
        self.write(basis, now)
        self.use(basis)

    def knows(self, accounts: tuple[Account, ...]) -> bool:
        """Whether these are the accounts that verdicts refer to."""
        return bool(self.digest) and self.basis.accounts == accounts

    def write(self, basis: Basis, now: datetime) -> None:
        """What a verdict refers to is kept for ever, so it is written down before the first verdict refers to it. Raises sqlite3.Error."""
        with self._store.transaction():
            self._store.keep_rulebook(basis.digest, basis.written, now)

    def use(self, basis: Basis) -> None:
        """Judge by what is written down."""
        self.basis, self.digest = basis, basis.digest
        self._queue.approving = basis.approving

    def start_over(self) -> None:
        """Forget the queue: what it took over may belong to a transaction that was rolled back."""
        self._queue, self._revision = Queue((), self.basis.approving, words.load()), 0

    @property
    def revision(self) -> int:
        """Up to which change of registrations the queue is current."""
        return self._revision

    def taken_back(self, revision: int, now: datetime) -> None:
        """A part of a transaction was rolled back: what was taken over since `revision` never was."""
        if self._revision != revision:
            self.start_over()
            self.refresh(now)

    def refresh(self, now: datetime) -> None:
        """Take over registrations made, used or withdrawn since, by whichever process, and forget those long
        over: years of them cost nothing, and the queue is what it was whenever a verdict is computed again.
        """
        changed, newest = self._store.registrations.since(self._revision, now)
        for one in changed:
            self._queue.add(one)
        self._revision = newest
        self._queue.forget(now - REMEMBERED)

    def wants_pictures(self, item: Item) -> bool:
        """Whether this post is excused only if its pictures are the registered ones."""
        return isinstance(item, Post) and self._queue.pictures_wanted(lengthened(item, self.company))

    def wants_author(self, item: Item) -> bool:
        """Whether this quote may be excused by whom it quotes, which nobody has asked the platform yet."""
        return isinstance(item, Post) and item.kind is Kind.QUOTE and not item.referenced_author and self._queue.author_wanted(item)

    def shows_unknown(self, item: Item, account: Account) -> str:
        """The id of a post of ours that this shows again and of which nothing is on record; else an empty string."""
        return to_ask_for(self._store, account, item, self.company)

    def accounts(self, platform: str) -> tuple[Account, ...]:
        """Ours that are watched there."""
        return tuple(a for a in self.basis.accounts if a.platform == platform)

    def context(self, item: Item, account: Account) -> Context:
        """What else is known. Never raises: without it a post is judged all the same."""
        try:
            found = gather(self._store, account, item, self.company, self.lists)
            one = self._queue.open_to(item) if isinstance(item, Post) else None
            return replace(found, answered=answered(self._store, one, item)) if one and one.conversation else found
        except sqlite3.Error:
            raise
        except Exception:
            log.exception("context not gathered", extra={"account": account.key, "post": item.id})
            return NO_CONTEXT

    def verdict(self, item: Item, account: Account, context: Context = NO_CONTEXT) -> Verdict:
        """Never raises: what cannot be judged pages."""
        try:
            match item:
                case Post():
                    return judge(item, account, self.company, self._queue, self.rulebook.rules, context)
                case ProfileChange():
                    return judge_change(item, self.company, self._queue, self.rulebook.rules, context)
                case Unreadable():
                    return judge_unreadable(item)
        except Exception as error:
            log.exception("judging failed", extra={"account": account.key, "post": item.id})
            reason = f"it could not be judged ({type(error).__name__})"
            return Verdict(Severity.PAGE, reason, NoMatch(reason))
