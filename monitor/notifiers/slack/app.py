"""What people do in Slack: buttons and modals. Written down, confirmed, then done.

Clicks are routed by the incident's number in them, never by the message they came from: a click can
arrive before we know where our message is. Order comes from the database, not from arrival.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from monitor import approvals, desk, safe, silences, voters
from monitor.approvals import Approval
from monitor.desk import DeskError
from monitor.model import Human, Incident
from monitor.notifiers.interface import NotifierError
from monitor.notifiers.slack import views
from monitor.notifiers.slack.announcement import is_shown_whole
from monitor.notifiers.slack.api import Api
from monitor.notifiers.slack.commands import Commands
from monitor.notifiers.slack.payload import Payload, dedupe, read_json, team_of, user_of
from monitor.notifiers.slack.people import People
from monitor.notifiers.slack.replies import Office, Replies
from monitor.notifiers.slack.seal import Seal
from monitor.planning import Plan

log = logging.getLogger("monitor.slack")

MOST_SECONDS = 60
_ACTS = {"acknowledge": "acknowledge", "hold": "hold", "escalate": "escalate", "reopen": "reopen"}
_BINDING = ("acknowledge", "hold", "escalate", "reopen", "approve_open", "resolve_open", "end_silence", "confirm_silence", "confirm")
_FORGED = "Nothing was done: the monitor does not know this message. Use the buttons of the incident's own message, or reply in its thread."
_MODALS = {"approve_open": ("approve", "Legit: approve"), "resolve_open": ("resolve", "Resolve")}


class SlackApp:
    """`receive` is called by the sockets, `work` after it and at every start."""

    def __init__(self, api: Api, people: People, channel: str, office: Office, seal: Seal) -> None:
        self._api, self._people, self._channel, self._office, self._seal = api, people, channel, office, seal
        self._store = office.store
        self._replies = Replies(api, channel, office)
        self._commands = Commands(api, people, self._replies, office)
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
            return await self._commands.run(payload)
        if kind == "events_api":
            event = payload.get("event") or {}
            return await self._commands.show_home(str(event.get("user", ""))) if event.get("type") == "app_home_opened" else "not ours"
        if payload.get("type") == "block_actions":
            return await self._clicked(payload)
        return await self._submitted(payload, envelope) if payload.get("type") == "view_submission" else "not ours"

    # --- buttons -----------------------------------------------------------------------------------

    async def _clicked(self, payload: Payload) -> str:
        action = (payload.get("actions") or [{}])[0]
        name, value = str(action.get("action_id", "")), read_json(action.get("value"))
        if self._is_forged(payload, name, value):
            return await self._replies.told(payload, _FORGED, "")
        match name:
            case _ if name in _ACTS:
                return await self._act(payload, _ACTS[name], int(value.get("i", 0)), str(action.get("action_ts", "")))
            case _ if name in _MODALS:
                return await self._open(payload, name, int(value.get("i", 0)))
            case "end_silence" | "confirm_silence":
                act = self._end_silence if name == "end_silence" else self._confirm_silence
                return await act(payload, int(value.get("i", 0)))
            case "withdraw" | "confirm" | "withdraw_all":
                return await self._decide(payload, name, int(value.get("n", 0) or value.get("a", 0)))
        return "a link"

    def _is_forged(self, payload: Payload, name: str, value: Mapping[str, Any]) -> bool:
        """Whether a button stands in a message that we did not send: whoever has the bot token can copy one under another name.

        Views are out of their reach: only the socket brings what opens one. A click in ours proves that our message is there.
        """
        seen = str((payload.get("container") or {}).get("message_ts") or "")
        if not seen or name not in _BINDING:
            return False
        if name == "confirm":
            return not self._store.is_announcement(seen)
        page, now = int(value.get("r", 0)), self._office.clock()
        key, receipt = self._store.pages.named(page)
        marked = not receipt and self._seal.marks(key, value.get("m"))
        if marked:
            self._store.pages.proven(page, seen, now)
        return not marked and seen not in self._store.pages.receipts(int(value.get("i", 0)))

    async def _act(self, payload: Payload, verb: str, number: int, stamp: str) -> str:
        user = user_of(payload)
        who, why = await self._people.may(user, verb, team_of(payload))
        if not why:
            human = Human(verb, who, "a button in Slack", self._office.clock(), user=user, key=f"click:{user}:{stamp}")
            why = self._acted(payload, number, human)
        return await self._replies.told(payload, why, f"INC-{number}: {verb} by {who}")

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
        posts = approvals.unapproved(self._store, incident.id)
        if not posts:
            return views.refusal("Legit: approve", "This incident holds no post to approve; resolve it, or register the profile value.")
        return views.approve(incident, posts, channel)

    async def _end_silence(self, payload: Payload, number: int) -> str:
        who, why = await self._people.may(user_of(payload), "unsilence", team_of(payload))
        incident = self._store.incident(number)
        subject = incident.subject if incident else ""
        if not why:
            why = self._replies.tried(
                payload,
                lambda: silences.end(self._store, self._office.outbox, int(subject.partition(":")[2] or 0), who, self._office.clock()),
            )
        return await self._replies.told(payload, why, f"{subject} ended by {who}")

    async def _confirm_silence(self, payload: Payload, number: int) -> str:
        """A second person, who is asked for like an approver: what Slack says now counts."""
        user = user_of(payload)
        who, why = await self._people.may(user, "silence", team_of(payload))
        incident = self._store.incident(number)
        subject = incident.subject if incident else ""
        if not why:
            asked = int(subject.removeprefix("silence:") or 0) if subject.startswith("silence:") else 0
            confirm = silences.confirm
            why = self._replies.tried(payload, lambda: confirm(self._store, self._office.outbox, asked, who, user, self._office.clock()))
        return await self._replies.told(payload, why, f"{subject} confirmed by {who}")

    async def _decide(self, payload: Payload, name: str, number: int) -> str:
        """About a registration, in its announcement or a list of them: taken back, or confirmed."""
        who, why = await self._people.may(user_of(payload), "withdraw" if name != "confirm" else "plan", team_of(payload))
        acts: dict[str, Callable[[], object]] = {
            "withdraw": lambda: desk.withdraw(self._store, number, who, self._office.clock()),
            "withdraw_all": lambda: desk.withdraw_all(self._store, number, who, self._office.clock()),
            "confirm": lambda: self._confirm(number, who, payload),
        }
        if not why:
            why = self._replies.tried(payload, acts[name])
        view = payload.get("view") or {}
        if view.get("type") == "home":
            await self._commands.show_home(user_of(payload))
        elif view:
            shown = views.refusal("Planned posts", why) if why else views.planned(*self._commands.planned())
            await self._api.call(self._api.web.views_update(view_id=str(view.get("id")), view=shown))
        else:
            return await self._replies.told(payload, why, f"#{number}: {name} by {who}")
        return f"refused: {why}" if why else f"#{number}: {name} by {who}"

    def _confirm(self, number: int, who: str, payload: Payload) -> None:
        """A second person's word for what stands whole in the message that was clicked. Raises DeskError."""
        if not self._store.announcements.tells_of(str((payload.get("container") or {}).get("message_ts", "")), number):
            raise DeskError(f"this message does not announce registered post #{number}; use its own")
        one = desk.registration(self._store, number)
        if self._store.announcements.untold(number):  # an import may go on behind what was announced of it
            raise DeskError("a part of what was registered together is not announced yet; read that first, then try again")
        act = self._store.registrations.act_of(one)
        if not is_shown_whole(act):
            raise DeskError(f"not every text is shown whole here; `hijack-monitor posts confirm {number}` on the host prints them")
        desk.confirm(self._store, number, who, voters.of_slack(user_of(payload)), self._office.logins, self._office.clock())

    # --- modals ------------------------------------------------------------------------------------

    async def _submitted(self, payload: Payload, envelope: str) -> str:
        view = payload.get("view") or {}
        filled, meta = views.values(view), read_json(view.get("private_metadata"))
        match view.get("callback_id"):
            case "approve" if filled.get("posts") and str(filled.get("reason", "")).strip():
                return await self._approve(payload, int(meta.get("i", 0)), tuple(map(str, meta.get("p") or ())), filled)
            case "resolve":
                return await self._resolve(payload, int(meta.get("i", 0)), filled)
            case "plan_save":
                return await self._save_plan(payload, str(meta.get("d", "")))
        return f"checked {envelope}"

    async def _approve(self, payload: Payload, number: int, listed: tuple[str, ...], filled: dict[str, Any]) -> str:
        """Approve the ticked ones of the posts that the form listed when it was opened, none that came since."""
        user = user_of(payload)
        who, why = await self._people.may(user, "approve", team_of(payload))
        chosen, office = filled["posts"], self._office
        names = tuple(name for name in listed if "all" in chosen or name in chosen)
        word = Approval(
            who, voters.of_slack(user), str(filled["reason"]).strip(), "Slack", office.clock(), office.approving.two_person, office.logins
        )
        said = ""
        if not why:
            try:
                said = approvals.approve(self._store, office.outbox, number, names, word).words()
            except DeskError as error:
                why = safe.for_slack_sentence(str(error))
        await self._replies.answer(payload, why or f"INC-{number}: {safe.for_slack_sentence(said)}")
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
        return await self._replies.told(payload, why, f"INC-{number}: resolved by {who}")

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
        text = safe.for_slack_whole("\n".join(desk.shown_of(made)), views.LONGEST)
        if not text:
            long = "too long to be shown whole here; on the host: hijack-monitor posts add --file"
            return {"response_action": "errors", "errors": {"text": long}}
        notes = desk.lint(made, self._office.company, self._office.rules()) + desk.twins(self._store, made, self._office.clock())
        return {"response_action": "update", "view": views.checked(notes, text, envelope)}

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
                now, origin = self._office.clock(), desk.Origin(voters.of_slack(user_of(payload)), "Slack")
                number = desk.register(self._store, made, who, now, origin)
                notes = desk.takes_effect(made, number or 0, now, self._office.approving)
                said = f"Registered as #{number}. {' '.join(notes)}".strip() if number else "It is registered already."
            except (ValueError, DeskError) as error:
                why = safe.for_slack_sentence(str(error))
        view = str((payload.get("view") or {}).get("id", ""))
        await self._api.call(
            self._api.web.views_update(view_id=view, view=views.refusal("Planned post", why or said or "The draft is gone; begin again."))
        )
        return f"refused: {why}" if why else said


def _resolved(incident: Incident) -> str:
    return f"INC-{incident.id} was resolved by {safe.for_slack_markup(incident.resolved_by, 80)} at {incident.resolved_at:%H:%M} UTC"
