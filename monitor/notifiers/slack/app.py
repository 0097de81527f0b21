"""What people do in Slack: buttons, modals, commands, the Home tab. Written down, confirmed, then done.

Clicks are routed by the incident's number in them, never by the message they came from: a click can
arrive before we know where our message is. Order comes from the database, not from arrival.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from monitor import approvals, desk, safe
from monitor.approvals import Approval
from monitor.desk import DeskError
from monitor.model import Account, Company, Human, Incident, Post
from monitor.notifiers.interface import NotifierError
from monitor.notifiers.slack import views
from monitor.notifiers.slack.api import Api
from monitor.notifiers.slack.message import headline
from monitor.notifiers.slack.payload import Payload, dedupe, read_json, team_of, typed, user_of
from monitor.notifiers.slack.people import People
from monitor.outbox import Outbox
from monitor.planning import Plan
from monitor.store import Store
from monitor.verdict.rules import Rules

log = logging.getLogger("monitor.slack")

MOST_SECONDS = 60
_ACTS = {"acknowledge": "acknowledge", "hold": "hold", "escalate": "escalate", "reopen": "reopen"}
_MODALS = {"approve_open": ("approve", "Legit: approve"), "resolve_open": ("resolve", "Resolve")}
_SILENCE = re.compile(
    r"(?:(?P<account>@\S+)\s+)?(?P<number>\d{1,3})\s*(?P<unit>m|min|h)\s+(?:[\"“](?P<words>[^\"”]{1,80})[\"”]\s+)?(?P<reason>.+)", re.DOTALL
)
HELP = (
    "*/hijack status* how the monitor is · *incidents* what is open · *plan* register a post · *planned* what is registered\n"
    '*/hijack silence [@account] 2h ["words"] reason* wake nobody for up to 8 h · *silence end 3* · *test* a drill: pages on-call\n'
    "Without this command: reply `ack`, `still on it` or `resolve` and the cause in an incident's thread, or react with 👀"
)


@dataclass
class Office:
    """What the rest of the monitor lends to whoever acts from Slack."""

    store: Store
    outbox: Outbox
    clock: Callable[[], datetime]
    wake: Callable[[], None]
    company: Company
    rules: Callable[[], Rules]
    accounts: Callable[[], tuple[Account, ...]]
    standing: Callable[[], list[str]]
    last_drill: Callable[[], str]
    drill: Callable[[str], Awaitable[int]]
    two_person: bool = False


class SlackApp:
    """`receive` is called by the sockets, `work` after it and at every start."""

    def __init__(self, api: Api, people: People, channel: str, office: Office) -> None:
        self._api, self._people, self._channel, self._office = api, people, channel, office
        self._store = office.store
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy: set[str] = set()

    async def receive(self, envelope: str, kind: str, payload: Payload) -> Mapping[str, Any] | None:
        """Write down what somebody did; returns what Slack shows at once. Raises sqlite3.Error: then it is not confirmed."""
        answer = self._at_once(envelope, payload)
        with self._store.transaction():
            new = self._store.receive(envelope, dedupe(envelope, kind, payload), kind, json.dumps(payload), self._office.clock())
        if new:
            task = asyncio.create_task(self._done(envelope, kind, dict(payload)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return answer

    def _at_once(self, envelope: str, payload: Payload) -> Mapping[str, Any] | None:
        """What a modal answers to being sent: complaints, the lint, or that it is being done."""
        if payload.get("type") != "view_submission":
            return None
        view = payload.get("view") or {}
        filled = views.values(view)
        match view.get("callback_id"):
            case "approve" if not filled.get("posts"):
                return {"response_action": "errors", "errors": {"posts": "Choose at least one post."}}
            case "approve" if not str(filled.get("reason", "")).strip():
                return {"response_action": "errors", "errors": {"reason": "A reason is needed: it is recorded."}}
            case "plan":
                return self._plan_checked(envelope, filled)
            case "plan_save":
                return {"response_action": "update", "view": views.waiting("Registering")}
        return None

    async def work(self) -> None:
        """Do what was written down and confirmed and not done: before the last stop, or when the database refused."""
        for row in self._store.received():
            if row["envelope"] not in self._busy:
                await self._done(row["envelope"], row["kind"], json.loads(row["body"]))

    async def _done(self, envelope: str, kind: str, payload: dict[str, Any]) -> None:
        """Act on one envelope. A slow answer of Slack's to one person holds up nobody else's click."""
        outcome = "failed"
        self._busy.add(envelope)
        try:
            async with asyncio.timeout(MOST_SECONDS):
                outcome = await self._do(kind, payload | {"envelope": envelope}, envelope)
        except sqlite3.Error:
            log.exception("a click could not be acted on; it is tried again")
            return
        except NotifierError as error:
            outcome = f"failed: {error}"
            log.warning("a click could not be answered: %s", error)
        except Exception as error:
            log.exception("a click was not understood")
            outcome = f"failed: {type(error).__name__}"
        finally:
            self._busy.discard(envelope)
        with self._store.transaction():
            self._store.done(envelope, self._office.clock(), outcome)
        self._office.wake()

    async def _do(self, kind: str, payload: Payload, envelope: str) -> str:
        """One envelope; returns what came of it, for the record."""
        if kind == "thread":
            return "done before"
        if kind == "slash_commands":
            return await self._command(payload)
        if kind == "events_api":
            event = payload.get("event") or {}
            return await self.show_home(str(event.get("user", ""))) if event.get("type") == "app_home_opened" else "not ours"
        if payload.get("type") == "block_actions":
            return await self._clicked(payload)
        return await self._submitted(payload, envelope) if payload.get("type") == "view_submission" else "not ours"

    # --- buttons -----------------------------------------------------------------------------------

    async def _clicked(self, payload: Payload) -> str:
        action = (payload.get("actions") or [{}])[0]
        name, value = str(action.get("action_id", "")), read_json(action.get("value"))
        if seen := (payload.get("container") or {}).get("message_ts"):  # a click proves that the message is there
            self._store.pages.proven(int(value.get("r", 0)), str(seen), self._office.clock())
        match name:
            case _ if name in _ACTS:
                return await self._act(payload, _ACTS[name], int(value.get("i", 0)), str(action.get("action_ts", "")))
            case _ if name in _MODALS:
                return await self._open(payload, name, int(value.get("i", 0)))
            case "end_silence":
                return await self._end_silence(payload, int(value.get("i", 0)))
            case "withdraw":
                return await self._withdraw(payload, int(value.get("n", 0)))
        return "a link"

    async def _act(self, payload: Payload, verb: str, number: int, stamp: str) -> str:
        user = user_of(payload)
        who, why = await self._people.may(user, verb, team_of(payload))
        if not why:
            human = Human(verb, who, "a button in Slack", self._office.clock(), user=user, key=f"click:{user}:{stamp}")
            why = self._acted(payload, number, human)
        return await self._told(payload, why, f"INC-{number}: {verb} by {who}")

    async def _told(self, payload: Payload, why: str, done: str) -> str:
        """Refusals are for the one who clicked; what was done shows in the message."""
        if not why:
            self._office.wake()
            return done
        await self._answer(payload, why)
        return f"refused: {why}"

    async def _answer(self, payload: Payload, text: str) -> None:
        """Something only this person sees."""
        url = str(payload.get("response_url") or "")
        if url:
            await self._api.respond(url, safe.cut_markup(text, 2_900))
            return
        try:
            channel = read_json((payload.get("view") or {}).get("private_metadata")).get("c") or self._channel
            await self._api.call(
                self._api.web.chat_postEphemeral(channel=str(channel), user=user_of(payload), text=safe.cut_markup(text, 2_900))
            )
        except NotifierError as error:
            log.warning("an answer could not be given: %s", error)

    async def _open(self, payload: Payload, name: str, number: int) -> str:
        """A modal: an empty one within the three seconds a click is good for, then its content."""
        verb, title = _MODALS[name]
        opened = await self._api.call(self._api.web.views_open(trigger_id=str(payload.get("trigger_id", "")), view=views.waiting(title)))
        view = str((opened.get("view") or {}).get("id", ""))
        _, why = await self._people.may(user_of(payload), verb, team_of(payload))
        incident = self._store.incident(number)
        if incident is None or incident.resolved_at:
            why = why or (_resolved(incident) if incident else f"there is no INC-{number}")
        made = views.refusal(title, why) if why or incident is None else self._modal(verb, incident, payload)
        await self._api.call(self._api.web.views_update(view_id=view, view=made))
        return f"refused: {why}" if why else f"opened {verb} of INC-{number}"

    def _modal(self, verb: str, incident: Incident, payload: Payload) -> views.View:
        channel = str((payload.get("channel") or {}).get("id") or self._channel)
        if verb == "resolve":
            return views.resolve(incident, channel)
        posts = [k for k in self._store.posts("incident = ?", (incident.id,)) if isinstance(k.post, Post)]
        if not posts:
            return views.refusal("Legit: approve", "This incident holds no post to approve; resolve it, or register the profile value.")
        return views.approve(incident, posts, channel)

    async def _end_silence(self, payload: Payload, number: int) -> str:
        who, why = await self._people.may(user_of(payload), "silence", team_of(payload))
        incident = self._store.incident(number)
        subject = incident.subject if incident else ""
        if not why:
            why = self._tried(
                payload,
                lambda: desk.end_silence(self._store, self._office.outbox, int(subject.partition(":")[2] or 0), who, self._office.clock()),
            )
        return await self._told(payload, why, f"{subject} ended by {who}")

    async def _withdraw(self, payload: Payload, number: int) -> str:
        who, why = await self._people.may(user_of(payload), "withdraw", team_of(payload))
        if not why:
            why = self._tried(payload, lambda: desk.withdraw(self._store, number, who, self._office.clock()))
        view = payload.get("view") or {}
        if view.get("type") == "home":
            await self.show_home(user_of(payload))
        elif view:
            shown = views.refusal("Planned posts", why) if why else views.planned(self._planned())
            await self._api.call(self._api.web.views_update(view_id=str(view.get("id")), view=shown))
        return f"refused: {why}" if why else f"#{number} withdrawn by {who}"

    def _tried(self, payload: Payload, what: Callable[[], object]) -> str:
        """The refusal of the desk, in words, or an empty string. Done and marked in one transaction."""
        try:
            with self._store.transaction():
                what()
                self._store.done(str(payload["envelope"]), self._office.clock(), "done")
        except DeskError as error:
            return safe.for_slack_sentence(str(error))
        return ""

    # --- modals ------------------------------------------------------------------------------------

    async def _submitted(self, payload: Payload, envelope: str) -> str:
        view = payload.get("view") or {}
        filled, meta = views.values(view), read_json(view.get("private_metadata"))
        match view.get("callback_id"):
            case "approve" if filled.get("posts") and str(filled.get("reason", "")).strip():
                return await self._approve(payload, int(meta.get("i", 0)), filled)
            case "resolve":
                return await self._resolve(payload, int(meta.get("i", 0)), filled)
            case "plan_save":
                return await self._save_plan(payload, str(meta.get("d", "")))
        return f"checked {envelope}"

    async def _approve(self, payload: Payload, number: int, filled: dict[str, Any]) -> str:
        user = user_of(payload)
        who, why = await self._people.may(user, "approve", team_of(payload))
        posts = () if "all" in filled["posts"] else filled["posts"]
        word = Approval(who, user, str(filled["reason"]).strip(), "Slack", self._office.clock(), self._office.two_person)
        said = ""
        if not why:
            try:
                said = approvals.approve(self._store, self._office.outbox, number, posts, word).words()
            except DeskError as error:
                why = safe.for_slack_sentence(str(error))
        await self._answer(payload, why or f"INC-{number}: {safe.for_slack_sentence(said)}")
        return f"refused: {why}" if why else said

    async def _resolve(self, payload: Payload, number: int, filled: dict[str, Any]) -> str:
        user = user_of(payload)
        who, why = await self._people.may(user, "resolve", team_of(payload))
        note = "; ".join(filter(None, (
            f"posts deleted: {filled.get('deleted') or 'not said'}", f"sessions revoked: {filled.get('revoked') or 'not said'}",
            safe.clean(str(filled.get("note", "")), 500),
        )))  # fmt: skip
        if not why:
            human = Human("resolve", who, "Slack", self._office.clock(), note, user, str(filled.get("cause", "")))
            why = self._acted(payload, number, human)
        return await self._told(payload, why, f"INC-{number}: resolved by {who}")

    def _acted(self, payload: Payload, number: int, human: Human) -> str:
        """The act and its mark in one transaction: a kill in between must not escalate twice."""
        with self._store.transaction():
            why = self._office.outbox.act(number, human)
            self._store.done(str(payload["envelope"]), human.at, why or human.verb)
        return safe.for_slack_sentence(why) if why else ""

    def _plan_checked(self, envelope: str, filled: dict[str, Any]) -> Mapping[str, Any]:
        """Complaints beside their fields, or what the lint says."""
        try:
            made = self._plan(filled)
        except ValueError as error:
            block, _, said = str(error).partition(": ")
            return {"response_action": "errors", "errors": {block: said}}
        notes = desk.lint(made, self._office.company, self._office.rules())
        return {"response_action": "update", "view": views.checked(notes, made.text, envelope)}

    def _plan(self, filled: dict[str, Any]) -> Plan:
        return views.planned_post(filled, {a.key for a in self._office.accounts()}, self._office.clock())

    async def _save_plan(self, payload: Payload, draft: str) -> str:
        """Register what was shown with its lint: the submission that was written down then."""
        who, why = await self._people.may(user_of(payload), "plan", team_of(payload))
        row = self._store.sql.execute("SELECT body FROM inbox WHERE envelope = ?", [draft]).fetchone()
        said = ""
        if not why and row:
            try:
                made = replace(self._plan(views.values(json.loads(row[0])["view"])), external_id=f"slack:{draft}")
                number = desk.register(self._store, made, who, self._office.clock())
                said = f"Registered as #{number}." if number else "It is registered already."
            except (ValueError, DeskError) as error:
                why = safe.for_slack_sentence(str(error))
        view = str((payload.get("view") or {}).get("id", ""))
        await self._api.call(
            self._api.web.views_update(view_id=view, view=views.refusal("Planned post", why or said or "The draft is gone; begin again."))
        )
        return f"refused: {why}" if why else said

    # --- commands and home -------------------------------------------------------------------------

    async def _command(self, payload: Payload) -> str:
        verb, _, rest = typed(str(payload.get("text", ""))).partition(" ")
        _, stranger = await self._people.may(user_of(payload), "look", team_of(payload))
        if stranger:
            await self._answer(payload, stranger)
            return f"refused: {stranger}"
        match verb.lower():
            case "" | "help":
                said = HELP
            case "status":
                said = "\n".join(safe.for_slack_sentence(line, 300) for line in self._office.standing()[:40])
            case "incidents":
                said = self._incidents()
            case "planned" | "plan":
                return await self._open_planning(payload, verb.lower())
            case "silence":
                said = await self._silence(payload, rest.strip())
            case "test":
                said = await self._test(payload)
            case _:
                said = f"I do not know “{safe.for_slack_markup(verb, 40)}”.\n{HELP}"
        await self._answer(payload, said)
        return safe.clean(said, 300)

    def _incidents(self) -> str:
        found = self._store.unresolved()
        lines = [
            safe.for_slack_sentence(f"{headline(i)}, {i.state.value}, since {i.opened_at:%H:%M} UTC: {i.reason}", 300) for i in found[:20]
        ]
        return "\n".join(lines) or "No open incident."

    async def _open_planning(self, payload: Payload, what: str) -> str:
        title = "Plan a post" if what == "plan" else "Planned posts"
        opened = await self._api.call(self._api.web.views_open(trigger_id=str(payload.get("trigger_id", "")), view=views.waiting(title)))
        _, why = await self._people.may(user_of(payload), "plan", team_of(payload))
        accounts = self._office.accounts()
        if not why and not accounts:
            why = "No account is watched yet."
        made = (
            views.refusal(title, why)
            if why
            else views.plan(accounts, self._office.clock())
            if what == "plan"
            else views.planned(self._planned())
        )
        await self._api.call(self._api.web.views_update(view_id=str((opened.get("view") or {}).get("id", "")), view=made))
        return f"refused: {why}" if why else f"opened {what}"

    def _planned(self) -> list[tuple[Any, str]]:
        """What is registered and not over, used or withdrawn, the next first."""
        now, names = self._office.clock(), {a.key: a.name for a in self._office.accounts()}
        found = [r for r in desk.registrations(self._store, 500) if desk.standing(r, now) in ("open", "planned")]
        return [(r, names.get(r.account, r.account)) for r in sorted(found, key=lambda r: r.not_before)]

    async def _silence(self, payload: Payload, rest: str) -> str:
        who, why = await self._people.may(user_of(payload), "silence", team_of(payload))
        if why:
            return why
        office, now = self._office, self._office.clock()
        if rest.startswith("end ") and rest[4:].strip().isdigit():
            return self._tried(payload, lambda: desk.end_silence(self._store, office.outbox, int(rest[4:]), who, now)) or "Ended."
        asked = _SILENCE.fullmatch(rest)
        if asked is None:
            return f"I did not understand that.\n{HELP}"
        account = next((a for a in office.accounts() if f"@{a.handle.lower()}" == (asked["account"] or "").lower()), None)
        if asked["account"] and account is None:
            return f"{safe.for_slack_markup(asked['account'], 60)} is not watched."
        lasts = timedelta(hours=int(asked["number"])) if asked["unit"] == "h" else timedelta(minutes=int(asked["number"]))
        reason = safe.clean(asked["reason"], 200)
        done = lambda: desk.silence(self._store, office.outbox, account, asked["words"] or "", lasts, reason, who, now)  # noqa: E731 - the one line says it
        return self._tried(payload, done) or "Silenced; it is announced in the channel, with a button that ends it."

    async def _test(self, payload: Payload) -> str:
        who, why = await self._people.may(user_of(payload), "test", team_of(payload))
        if why:
            return why
        try:
            return f"INC-{await self._office.drill(who)} is a drill: it pages on-call now."
        except DeskError as error:
            return safe.for_slack_sentence(str(error))

    async def show_home(self, user: str) -> str:
        """Publish the Home tab for somebody of our own workspace."""
        _, why = await self._people.may(user, "look")
        office = self._office
        made = (
            views.home([why], (), "", ())
            if why
            else views.home(office.standing(), self._store.unresolved(), office.last_drill(), self._planned())
        )
        await self._api.call(self._api.web.views_publish(user_id=user, view=made))
        return "home shown"


def _resolved(incident: Incident) -> str:
    return f"INC-{incident.id} was resolved by {safe.for_slack_markup(incident.resolved_by, 80)} at {incident.resolved_at:%H:%M} UTC"
