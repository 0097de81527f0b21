"""A database as five years leave it: 365,000 posts of six accounts, 180,494 registrations, 2,000 incidents and all that comes with them.

    python -m tests.years PATH [scale]

Written by the daemon's own code in its own order, in large transactions; the same for the same seed. What retention would have removed is
left out: platform answers of more than a year ago outside incidents, and what people did in channels more than 90 days ago. A file that
is there is taken as it is, so that several tests share one.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import json
import random
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from monitor import approvals, chain, desk, drill, rulebook, silences
from monitor.incidents import DRILL, REPLIES, Event
from monitor.judging import Judge
from monitor.model import Account, ApprovedPost, Company, Exact, Human, Kind, Paging, Post, Profile, Severity, Verdict
from monitor.outbox import Outbox
from monitor.planning import Plan
from monitor.post_rows import Kept
from monitor.simulator.x import User, XWorld
from monitor.simulator.x_fields import _POST_NAMES
from monitor.sources._x_cut import own
from monitor.sources._x_payload import id_time, includes, time_id
from monitor.sources._x_truth import true_post
from monitor.store import Store
from monitor.verdict.habits import Habits, learn
from monitor.verdict.text import skeleton
from tests.random_texts import Texts

POSTS, REGISTRATIONS, INCIDENTS, DAYS, FLOOD = 365_000, 180_494, 2_000, 1_826, 1_500
END = datetime(2026, 11, 20, tzinfo=UTC)
EVIDENCE_DAYS, INBOX_DAYS = 365, 90
COMPANY = Company("Acme Exchange", ("acme.example",), (), ("acme", "acmesupport"))
HANDLES = ("acme", "acmesupport", "acme_es", "acme_de", "acmejapan", "acmelabs")
PAGING = Paging(mention=("S0SOCIAL",), routes=("slack",), fallback=("pagerduty", "stderr"), escalate=((5, ("S0SECONDARY",)),))
PEOPLE = ("carla", "alice", "bob", "dave", "erin")
WEEKS, AS_PLANNED = DAYS // 7, 0.92
HIJACK = "Unapproved post"


@dataclass(frozen=True, slots=True)
class Size:
    """How much of five years."""

    scale: float = 1.0
    evidence_days: int = EVIDENCE_DAYS  # 0 keeps all answers
    seed: int = 2026

    def of(self, count: int) -> int:
        """So many of so many."""
        return max(1, round(count * self.scale))


@dataclass(slots=True)
class _Profile:
    """One account: what it looks like on X, and what was seen of it lately."""

    account: Account
    user: User
    recent: list[dict[str, Any]] = field(default_factory=list)
    habits: Habits = field(default_factory=lambda: Habits({}))
    cursor: str = "1"
    friend: ApprovedPost | None = None  # whose posts it reposts


def build(path: Path, size: Size = Size()) -> Path:
    """The database at `path`, made where there is none; an unfinished one does not get that name. Returns the path."""
    if path.exists():
        return path
    made = path.with_name(f"{path.name}.unfinished")
    for left in (made, Path(f"{made}-wal"), Path(f"{made}-shm")):
        left.unlink(missing_ok=True)
    store = Store(made)
    store.keep("install", "5yea7500")
    store.close()
    store = Store(made)
    store.sql.execute("PRAGMA synchronous=OFF")
    store.sql.execute("PRAGMA cache_size=-200000")
    try:
        _Years(store, size).live()
        store.sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        store.close()
    made.rename(path)
    return path


class _Years:
    """Everybody's life, an event after the other."""

    def __init__(self, store: Store, size: Size) -> None:
        self.store, self.size, self.now = store, size, END - timedelta(days=DAYS)
        self.dice = random.Random(size.seed)
        self.texts = Texts(self.dice)
        self.x = XWorld(lambda: self.now)
        self.judge = Judge(store, COMPANY, rulebook.load([]))
        self.outbox = Outbox(store, PAGING)
        self.outbox.runbook = 1
        self._agenda: list[tuple[datetime, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self.answers = _Answers(self)
        self.profiles = [self._profile(handle, str(2244994945 + 7919 * n)) for n, handle in enumerate(HANDLES)]
        self.troubles = _Troubles(self)
        self._told = 0  # up to which change of registrations
        self._said: dict[tuple[object, ...], tuple[Verdict, int]] = {}

    def _profile(self, handle: str, identifier: str) -> _Profile:
        worth = ((Kind.REPLY, Severity.RECORD),)
        bio = self.texts.text(140)
        user = self.x.user(handle, identifier, description=bio, link="https://acme.example/", location="Lisbon")
        return _Profile(Account("x", identifier, handle, unapproved=worth), user)

    def live(self) -> None:
        """All of it."""
        with self.store.transaction():
            for one in self.profiles:
                self.store.account(one.account.key, one.account.handle)
                self.store.keep_profile(Profile(one.account.key, one.account.handle.title(), one.account.handle, self.texts.text(140)))
            for week in range(WEEKS):
                self.at(self.now + timedelta(days=7 * week), partial(self._plan_week, week))
        self._go_on()
        while self._count("incidents") < self.size.of(INCIDENTS):
            self.troubles.happen()
            self._go_on()
        with self.store.transaction():
            self.now = END
            self._import(self.size.of(REGISTRATIONS) - self._count("approved"))
            while self._count("posts") < self.size.of(POSTS):
                self._post_something_small()
            self._announce()
            for one in self.profiles:
                self.store.keep_habits(one.account.key, one.habits)
                self.store.read_ok(one.account.key, END, f"{one.cursor}!@{one.cursor}-{one.cursor}")
            self._seal()

    def _go_on(self) -> None:
        while self._agenda:
            with self.store.transaction():
                for _ in range(20_000):
                    if self._agenda:
                        self.now, _, happens = heapq.heappop(self._agenda)
                        happens()
                self._seal()

    def _seal(self) -> None:
        """As pruning does every hour; of less than five years less stays as it is."""
        while chain.seal(self.store.sql, self.size.of(chain.KEPT)):
            pass

    def at(self, when: datetime, happens: Callable[[], None]) -> None:
        """Something on the agenda."""
        heapq.heappush(self._agenda, (when, next(self._order), happens))

    def soon(self, seconds: float, happens: Callable[[], None]) -> None:
        """So many seconds after now."""
        self.at(self.now + timedelta(seconds=seconds), happens)

    def _mix_rules(self) -> None:
        """What verdicts refer to: the rules of the day. Somebody changes something of them every month."""
        domains = (*COMPANY.domains, *(f"{self.dice.randrange(999)}.acme.example" for _ in range(1 + self.dice.randrange(3))))
        self.judge.basis = replace(self.judge.basis, company=replace(COMPANY, domains=domains))
        self.judge.know(tuple(one.account for one in self.profiles), self.now)

    # --- days -------------------------------------------------------------------------------------

    def _plan_week(self, week: int) -> None:
        """Comms plan on Mondays; what is posted falls mostly into working hours; troubles come at any time."""
        share = (week + 1) / WEEKS * 0.998  # what is approved after the fact is registered too; the rest comes at the end
        if week % 12 == 0:
            self._mix_rules()
        if week % 52 == 0:
            for one in self.profiles:
                one.friend = self._befriend(one)
        count = max(0, int(self.size.of(REGISTRATIONS) * share) - self._count("approved"))
        self._import(count)
        small = int(self.size.of(POSTS) * share) - self._count("posts") - int(count * AS_PLANNED)
        for _ in range(small):
            self.soon(self.dice.randrange(7) * 86_400 + self._daytime(), self._post_something_small)
        incidents = int(self.size.of(INCIDENTS) * (week + 1) / WEEKS) - self._count("incidents")
        for number in range(incidents):
            when = 7 * 86_400 * (number + self.dice.random()) / incidents
            self.soon(when, self.troubles.happen)
        if week == WEEKS // 2:
            self.soon(3 * 86_400, self.troubles.flood)

    def _count(self, table: str) -> int:
        return int(self.store.sql.execute(f"SELECT max(rowid) FROM {table}").fetchone()[0] or 0)

    def _daytime(self) -> float:
        return min(86_399.0, max(3_600.0, self.dice.gauss(14, 4) * 3_600))

    def _import(self, count: int) -> None:
        """A week of posts from one file: most are posted, some withdrawn, some forgotten."""
        who, dice = self.dice.choice(PEOPLE[:2]), self.dice
        origin = desk.Origin(f"login:{who}", "command line", f"import:{dice.getrandbits(64):016x}", source="plan.csv")
        for number in range(count):
            one, later = dice.choice(self.profiles), dice.randrange(7) * 86_400 + self._daytime()
            when = (self.now + timedelta(seconds=later)).replace(second=0, microsecond=0)  # people plan by the minute
            text, links, pictures = self._words_of_a_plan()
            hashes = tuple(f"{dice.getrandbits(256):064x}" for _ in range(pictures))
            plan = Plan(
                one.account.key, Kind.POST, text, when - timedelta(minutes=5), when + timedelta(hours=1), links, pictures,
                external_id=f"{self.now:%G-W%V}-{number + 1}", pictures=hashes,
            )  # fmt: skip
            registered = desk.register(self.store, plan, who, self.now, origin)
            assert registered
            fate = dice.random()
            if fate < AS_PLANNED:
                self.soon(later, partial(self._post_as_planned, one, plan, registered))
            elif fate < AS_PLANNED + 0.03:
                self.soon(1_000, partial(self._withdraw, registered, who))
        self._announce()

    def _announce(self) -> None:
        """What was registered is told, and what became of it."""
        table = self.store.announcements
        for act in table.unannounced():
            table.write(act, self.now)
        self._told = table.changed_since(self._told, self.now)
        while one := table.due(self.now):
            table.told(one, "C0PLANNED", one.receipt or f"{self.now.timestamp():.6f}")

    def _withdraw(self, number: int, who: str) -> None:
        desk.withdraw(self.store, number, who, self.now)

    def _befriend(self, one: _Profile) -> ApprovedPost:
        """Whose posts go by when the account reposts them, for a year."""
        plan = Plan(one.account.key, Kind.REPOST, "", self.now, self.now + timedelta(days=364), author=self._stranger())
        number = desk.register(self.store, plan, PEOPLE[0], self.now, desk.Origin(f"login:{PEOPLE[0]}", "command line"))
        assert number
        return desk.registration(self.store, number)

    def _stranger(self) -> str:
        return f"{self.texts.text(9).split()[0].strip('.,!?:#@').lower()}{int(5_000 ** self.dice.random())}"[:15]

    def _words_of_a_plan(self) -> tuple[str, tuple[str, ...], int]:
        dice, kind = self.dice, self.dice.random()
        length = dice.randint(4_000, 25_000) if kind < 0.001 else dice.randint(281, 900) if kind < 0.02 else dice.randint(40, 280)
        text = self.texts.text(length, self.texts.language())
        pictures = int(dice.random() < 0.4) + int(dice.random() < 0.03)
        if dice.random() > 0.55:
            return text, (), pictures
        link = f"https://acme.example/{dice.choice(('blog', 'news', 'learn', 'p'))}/{dice.getrandbits(36):09x}"
        return f"{text[: max(16, length - 32)]} {link}", (link,), pictures

    def _post_as_planned(self, one: _Profile, plan: Plan, number: int) -> None:
        registered = desk.registration(self.store, number)
        self.take(one, self.x.post(one.account.handle, plan.text, pictures=plan.media), registered, hashes=plan.pictures)

    def _post_something_small(self) -> None:
        """A reply to somebody, or a repost of a friend: kept, nobody told."""
        one, name = self.dice.choice(self.profiles), self._stranger()
        text, handle = self.texts.text(self.dice.randint(20, 240), self.texts.language()), one.account.handle
        if self.dice.random() < 0.8:
            self.take(one, self.x.reply(handle, f"@{name} {text}", to=f"9{self.dice.getrandbits(30)}"))
            return
        assert one.friend
        refs = [{"type": "retweeted", "id": str(time_id(self.now - timedelta(hours=3)) + self.dice.getrandbits(20))}]
        cut = f"RT @{one.friend.author}: {text}" if len(text) <= 120 else f"RT @{one.friend.author}: {text[:118]}…"
        self.take(one, self.x.post(handle, cut, referenced_tweets=refs), one.friend)

    # --- a post -----------------------------------------------------------------------------------

    def take(
        self, one: _Profile, identifier: str, registered: ApprovedPost | None = None, hashes: tuple[str, ...] = (), *, subject: str = "", headline: str = ""
    ) -> int | None:  # fmt: skip
        """It is read, judged and written down, as the daemon does it; its incident, where one was asked for or its verdict tells."""
        data = self.answers.as_x_has_it(one.user.posts.pop(identifier))
        page, body = self.answers.showing(one, data)
        seen = self.now + timedelta(seconds=self.dice.random() * 5)
        item = true_post(page["data"][0], one.account.key, one.account.id, includes(page), seen)
        if isinstance(item, Post) and hashes:
            item = replace(item, media=tuple(replace(m, hash=h) for m, h in zip(item.media, hashes, strict=True)))
        assert isinstance(item, Post)
        verdict = self._verdict(one.account, item, registered)
        if isinstance(verdict.match, Exact) and verdict.match.words:
            self.store.registrations.consume(verdict.match.approved, item.root_id, item.created_at)
        incident = None
        if subject or verdict.severity >= Severity.NOTIFY:
            incident = self.troubles.tell(one, item, verdict, subject or one.account.key, headline)
        keeps = incident or not self.size.evidence_days or END - self.now < timedelta(days=self.size.evidence_days)
        digest = self.store.keep_evidence(body, seen) if keeps else hashlib.sha256(body).hexdigest()
        self.store.keep_post(Kept(item, verdict, seen, incident, False, None, self.judge.digest, digest))
        if self.dice.random() < 0.005:
            one.habits = learn(one.habits, item)
        one.cursor = identifier
        return incident

    def _verdict(self, account: Account, item: Post, registered: ApprovedPost | None) -> Verdict:
        """The judge's. Of what is registered or small, mostly what it said of one like it: it takes as long as all the rest."""
        number, alike = (registered.id, registered.author) if registered else (0, "")
        kind = (item.kind, len(item.media), number > 0, alike)
        if kind in self._said and self.dice.random() < 0.95 and (registered or (item.kind is Kind.REPLY and not item.media)):
            verdict, before = self._said[kind]
            if not registered:
                return verdict
            match = replace(verdict.match, approved=number)  # type: ignore[arg-type]
            return replace(verdict, reason=verdict.reason.replace(f"#{before}", f"#{number}"), match=match)
        self.judge.refresh(self.now)
        verdict = self.judge.verdict(item, account)
        if verdict.severity <= Severity.RECORD and not verdict.findings and not getattr(verdict.match, "nearest", None):
            self._said[kind] = verdict, number
        return verdict


class _Answers:
    """X's answers: what the simulator has, with everything besides that X gives and we ask for."""

    def __init__(self, years: _Years) -> None:
        self._years, self._dice = years, years.dice

    def as_x_has_it(self, data: dict[str, Any]) -> dict[str, Any]:
        """A post of the simulator with what X adds to each."""
        text, entities = data["text"], data.setdefault("entities", {})
        editable = f"{datetime.fromisoformat(data['created_at']) + timedelta(hours=1):%Y-%m-%dT%H:%M:%S}.000Z"
        data["edit_controls"] = {"edits_remaining": 5, "is_edit_eligible": "referenced_tweets" not in data, "editable_until": editable}
        data.setdefault("display_text_range", [0, len(text)])
        for name, sign, key in (("mentions", "@", "username"), ("hashtags", "#", "tag")):
            found = list(re.finditer(rf"(?<!\w){sign}(\w{{1,15}})", text))
            if found:
                entities[name] = [{"start": m.start(), "end": m.end(), key: m[1]} for m in found]
                for one in entities[name] if sign == "@" else ():
                    one["id"] = str(self._dice.getrandbits(31))
        capital = re.search(r"(?<=[a-z] )[A-Z][a-z]{3,}", text)
        if capital:
            place = {"start": capital.start(), "end": capital.end() - 1, "probability": round(self._dice.random(), 4)}
            entities["annotations"] = [
                place | {"type": self._dice.choice(("Other", "Organization", "Person")), "normalized_text": capital[0]}
            ]
        return data

    def showing(self, one: _Profile, data: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """The answer in which it was seen first: most of the newest posts only, some of the last hour; the post that counts is the first."""
        kind = self._dice.random()
        since = self._years.now - timedelta(minutes=60 if kind < 0.2 else 2)
        one.recent = [p for p in one.recent if id_time(p["id"]) > self._years.now - timedelta(hours=1)][:98]
        posts = [data, *(p for p in one.recent if id_time(p["id"]) > since)]
        one.recent.insert(0, data)
        ids, meta = self._years.x.paging.cut([int(p["id"]) for p in posts], "", 100)
        assert len(ids) == len(posts)
        page: dict[str, Any] = {"data": posts} | self._years.x._includes(posts)
        if kind > 0.5:  # a timeline; else by its id
            page["meta"] = meta
        if kind > 0.85:
            page = self._in_the_new_words(page, one)
        return page, own(page, json.dumps(page, ensure_ascii=False, separators=(",", ":")).encode(), (one.account.id,))

    def _in_the_new_words(self, page: dict[str, Any], one: _Profile) -> dict[str, Any]:
        """As the newer description has it, where references can only be had as expansions: with users and posts of others."""
        users = [{"id": one.account.id, "name": one.account.handle.title(), "username": one.account.handle}]
        others = []
        for data in page["data"]:
            for reference in data.get("referenced_tweets", ()):
                name = re.search(r"@(\w+)", data["text"])
                users.append(
                    {"id": data.get("in_reply_to_user_id", "77"), "name": self._years.texts.text(12), "username": name[1] if name else "x"}
                )
                others.append(self._other(reference["id"], users[-1]["id"]))
        more = page.get("includes", {}) | {"users": users} | ({"posts": [self._renamed(p) for p in others]} if others else {})
        return page | {"data": [self._renamed(p) for p in page["data"]], "includes": more}

    def _other(self, identifier: str, author: str) -> dict[str, Any]:
        text = self._years.texts.text(self._dice.randint(30, 260), self._years.texts.language())
        common = {"created_at": f"{id_time(identifier):%Y-%m-%dT%H:%M:%S}.000Z", "lang": "en", "reply_settings": "everyone"}
        post = {"id": identifier, "text": text, "author_id": author, "edit_history_tweet_ids": [identifier], "conversation_id": identifier}
        return self.as_x_has_it(post | common | {"possibly_sensitive": False})

    def _renamed(self, post: dict[str, Any]) -> dict[str, Any]:
        return {_POST_NAMES.get(name, name): value for name, value in post.items()}


class _Troubles:
    """Incidents, and what people do about them."""

    def __init__(self, years: _Years) -> None:
        self._y, self._dice, self._store, self._outbox = years, years.dice, years.store, years.outbox
        self._opened = 0

    def happen(self) -> None:
        """One of those that come."""
        kinds = (self._unapproved, self._picture, self._blind, self._drift, self._drill, self._silence, self._hijack)
        self._dice.choices(kinds, (34, 14, 22, 8, 13, 5, 4))[0]()

    def tell(self, one: _Profile, item: Post, verdict: Verdict, subject: str, headline: str) -> int:
        """A post opens an incident or joins it."""
        accused = next((f.title for f in verdict.accusations if f.severity is Severity.PAGE), "")
        name = one.account.name
        event = Event(
            subject, name, max(verdict.severity, Severity.NOTIFY), headline or f"Unapproved {item.kind}", verdict.reason, self._y.now,
            verdict.hosts, skeleton(item.text)[:500], item.text, accusation=accused,
        )  # fmt: skip
        current = self._store.open_incident(subject)
        if current and current.posts > 40:  # what is read of a flood again and again is left out
            self._store.save_incident(replace(current, posts=current.posts + 1, last_at=self._y.now))
            return current.id
        number = self._outbox.happened(event, self._y.now)
        self._after(number) if current is None else self._deliver(number)
        return number

    def _after(self, number: int) -> None:
        """It is delivered, somebody takes it within minutes and ends it within hours."""
        self._deliver(number)
        incident = self._store.incident(number)
        assert incident
        if incident.severity is Severity.PAGE and self._dice.random() < 0.3:
            self._y.soon(305, partial(self._repeat, number))
        self._y.soon(320 + self._dice.random() * 900, partial(self._act, number, "acknowledge"))
        self._y.soon(2_500 + self._dice.random() * 9_000, partial(self._end, number))

    def _repeat(self, number: int) -> None:
        self._outbox.due(self._y.now)
        self._deliver(number)

    def _deliver(self, number: int) -> None:
        for page in self._store.pages.of(number):
            if page.state == "ready":
                when = self._y.now + timedelta(seconds=self._dice.random())
                receipt = f"C0INCIDENTS:{when.timestamp():.6f}" if page.route == "slack" else f"{self._dice.getrandbits(128):032x}"
                self._store.pages.move(page.id, ("ready",), "sent", receipt=receipt, sent_at=when, fallback_at=None)

    def _act(self, number: int, verb: str, cause: str = "") -> None:
        incident, who = self._store.incident(number), self._dice.choice(PEOPLE)
        if incident is None or incident.state.value == "resolved":
            return
        if END - self._y.now < timedelta(days=INBOX_DAYS):
            body = {"type": "block_actions", "user": {"id": f"U01{who.upper()}", "team_id": "T0ACME"}, "actions": [{"action_id": verb}]}
            body |= {
                "message": {"ts": f"{self._y.now.timestamp():.6f}", "text": incident.reason},
                "trigger_id": f"{self._dice.getrandbits(99)}",
            }
            envelope = f"{self._dice.getrandbits(128):032x}"
            self._store.receive(envelope, envelope, "click", json.dumps(body), self._y.now)
            self._store.done(envelope, self._y.now, "done")
        human = Human(verb, who, "Slack", self._y.now, user=f"U01{who.upper()}", cause=cause)
        if not self._outbox.act(number, human):
            self._deliver(number)

    def _end(self, number: int) -> None:
        incident = self._store.incident(number)
        if incident is None or incident.state.value == "resolved":
            return
        subject = incident.subject
        if subject.startswith("silence:"):
            silences.end(self._store, self._outbox, int(subject.partition(":")[2]), "monitor", self._y.now)
        elif subject.startswith(("blind:", "drift:")):
            self._outbox.recovered(incident, self._y.now, "it was read twice; nothing was posted meanwhile")
        elif subject.startswith("x:") and incident.headline != HIJACK and self._dice.random() < 0.6:
            who = self._dice.choice(PEOPLE[:3])
            names = tuple(approvals.name_of(k) for k in approvals.unapproved(self._store, number)[:20])
            word = approvals.Approval(who, f"slack:U01{who.upper()}", self._y.texts.text(50), "Slack", self._y.now)
            if names:
                approvals.approve(self._store, self._outbox, number, names, word)
        self._act(number, "resolve", "hijack" if incident.headline == HIJACK else "false alarm")
        self._deliver(number)
        if incident.headline == HIJACK:
            for kept in self._store.posts("incident = ?", (number,), -1):
                self._store.deleted(kept.post.account, kept.post.id, self._y.now)
                self._store.audit(self._y.now, "monitor", "post gone", f"{kept.post.account}/{kept.post.id}")

    # --- what there is ------------------------------------------------------------------------------

    def _free(self) -> _Profile:
        """An account without an open incident."""
        open_ones = self._store.subjects()
        return next(one for one in self._dice.sample(self._y.profiles, len(self._y.profiles)) if one.account.key not in open_ones)

    def _unapproved(self) -> None:
        one = self._free()
        for _ in range(1 + int(self._dice.random() < 0.2)):
            text = self._y.texts.text(self._dice.randint(40, 280), self._y.texts.language())
            self._y.take(one, self._y.x.post(one.account.handle, text))

    def _picture(self) -> None:
        one = self._free()
        text = f"@{self._y._stranger()} {self._y.texts.text(80)}"
        post = self._y.x.reply(one.account.handle, text, to=f"9{self._dice.getrandbits(30)}", pictures=1)
        self._y.take(one, post, subject=f"{REPLIES}{one.account.key}", headline="Reply with a picture or video")

    def _hijack(self) -> None:
        self._hijacked(3 + int(40 * self._dice.random() ** 2))

    def flood(self) -> None:
        """The worst night of the five years."""
        self._hijacked(self._y.size.of(FLOOD))

    def _hijacked(self, posts: int) -> None:
        one, host = self._free(), f"acme-{self._dice.getrandbits(30):x}.example.net"
        for number in range(posts):
            pays = f"send 0.1 BTC to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa and get double back {self._y.texts.text(60)}"
            text = f"{self._y.texts.text(60)} {pays}" if number % 3 else f"{self._y.texts.text(90)} claim at https://{host}/{number}"
            incident = self._y.take(one, self._y.x.post(one.account.handle, text, pictures=number % 2), headline=HIJACK)
            kept = self._store.posts("account = ? AND id = ?", (one.account.key, one.cursor))
            if incident and isinstance(kept[0].post, Post) and kept[0].post.media:
                self._store.keep_words(kept[0].post, self._y.texts.text(120).split("."))
            self._y.now += timedelta(seconds=1)

    def _told(self, event: Event) -> None:
        self._after(self._outbox.happened(event, self._y.now))

    def _blind(self) -> None:
        one = self._dice.choice(self._y.profiles)
        why = f"X limits the rate until {self._y.now:%H:%M:%S} UTC (429); the last good read was {self._dice.randint(60, 900)} s ago"
        self._told(
            Event(f"blind:{one.account.key}", one.account.name, Severity.PAGE, "Not being watched", why, self._y.now, silenceable=False)
        )

    def _drift(self) -> None:
        what = self._dice.choice(("timelines", "profiles", "search", "edits"))
        why = f"X drops the field {self._y.texts.text(12)} from {what}: it is asked for by its other name"
        self._told(Event(f"drift:{what}", "X", Severity.NOTIFY, "X answers unlike its documentation", why, self._y.now))

    def _drill(self) -> None:
        if self._store.open_incident(DRILL):
            return
        who = self._dice.choice(PEOPLE)
        self._store.audit(self._y.now, who, "drill", "drill")
        self._store.account(DRILL, "drill")
        item = Post(DRILL, str(int(self._y.now.timestamp() * 1000)), Kind.POST, drill.TEXT.format(who=who), self._y.now, "")
        self._y.judge.refresh(self._y.now)
        verdict = self._y.judge.verdict(item, drill.ACCOUNT)
        one = _Profile(drill.ACCOUNT, self._y.profiles[0].user)
        number = self.tell(one, item, verdict, DRILL, "DRILL, not a hijack")
        body = self._store.keep_evidence(json.dumps({"id": item.id, "text": item.text}).encode(), self._y.now)
        self._store.keep_post(Kept(item, verdict, self._y.now, number, False, None, self._y.judge.digest, body))

    def _silence(self) -> None:
        one, who = self._free(), self._dice.choice(PEOPLE[:3])
        lasts, about = timedelta(hours=self._dice.randint(1, 8)), self._y.texts.text(9).split()[0]
        number = silences.begin(self._store, self._outbox, one.account, about, lasts, self._y.texts.text(40), who, self._y.now)
        begun = self._store.open_incident(f"silence:{number}")
        assert begun
        self._deliver(begun.id)
        self._y.soon(lasts.total_seconds(), partial(self._end, begun.id))


LIMIT = 400  # MB


def size_line(path: Path) -> str:
    """What a whole five-year database takes, beside what it may."""
    return f"{'five-year database':<62} {path.stat().st_size / 1e6:10,.0f} MB   (limit {LIMIT} MB)"


def main(arguments: list[str]) -> None:
    """Build it and say what it came to."""
    path, began = Path(arguments[0]), time.perf_counter()
    build(path, Size(float(arguments[1]) if len(arguments) > 1 else 1.0))
    print(f"{size_line(path)}   built in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
