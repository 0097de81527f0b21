"""A legal hold: an incident keeps everything of it, and everybody who looks sees who wanted that and why."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from monitor import holds, report
from monitor.cli import main
from monitor.desk import DeskError
from monitor.model import Post
from tests.conftest import World, world
from tests.test_report import SECRET
from tests.test_retention import acts, days, end, later, values
from tests.test_slack_app import office

WHY = "Case 4711, asked for by counsel"
SLACK = 'slack: approvers = ["U06CAROL"]\nslack: responders = ["U01ALICE", "U06CAROL"]\n'


async def hijack(w: World, number: int = 1) -> None:
    w.x.post("acme", "Claim your share at https://acme-share.xyz")
    await w.run(3)
    end(w, number)
    await w.run(40)


async def test_a_held_incident_outlasts_every_age_and_goes_when_it_is_released(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await hijack(w)
        store = w.service.store
        holds.hold(store, 1, "carol", WHY, w.clock())
        assert await later(w, days(incidents_days=1, posts_days=1, evidence_days=1), 4_000).run()
        assert isinstance(store.posts("incident = 1")[0].post, Post)
        assert acts(store, "hold begun") == [{"posts": 1, "reason": WHY}]
        with pytest.raises(DeskError, match=f"INC-1 is already held by carol since .*: {WHY}"):
            holds.hold(store, 1, "dave", "me too", w.clock())
        holds.release(store, 1, "dave", "the case is closed", w.clock())
        assert acts(store, "hold released")[0]["was"].startswith("held by carol")  # type: ignore[attr-defined]
        assert await later(w, days(incidents_days=1, posts_days=1, evidence_days=1), 4_000).run()
        assert store.incident(1) is None
        assert "acme-share" not in values(store)
        assert store.broken_audit() is None


async def test_what_people_did_about_a_held_incident_outlasts_the_age_of_clicks(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.post("acme", "Claim your share at https://acme-share.xyz")
        await w.run(3)
        w.slack.say("U02BOB", "this was not us", w.slack.waking()[0].ts)
        await w.run(30)
        end(w)
        await w.run(40)
        holds.hold(w.service.store, 1, "carol", WHY, w.clock())
        heard = w.service.store.sql.execute("SELECT * FROM inbox").fetchall()
        assert heard
        assert await later(w, days(inbox_days=90), 400).run()
        assert w.service.store.sql.execute("SELECT * FROM inbox").fetchall() == heard
        holds.release(w.service.store, 1, "carol", "the case is closed", w.clock())
        assert await later(w, days(inbox_days=90), 400).run()
        assert not w.service.store.sql.execute("SELECT * FROM inbox").fetchall()


async def test_lists_what_is_shown_and_exports_name_who_holds_it_and_why(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await hijack(w)

        def run(*words: str) -> Result:
            return CliRunner().invoke(main, ["--config", str(w.config.path), "incidents", *words])

        assert run("hold", "1", "--reason", WHY, "--as", "carol").exit_code == 0
        for said in (run("list", "--json").output, run("show", "1").output, run("show", "1", "--json").output):
            assert "carol" in said
            assert WHY in said
        page, archive = report.export(w.service.store, 1, tmp_path, w.clock(), SECRET)
        assert WHY in page.read_text()
        with zipfile.ZipFile(archive) as box:
            assert json.loads(box.read("incident.json"))["hold"]["who"] == "carol"
        refused = run("hold", "7", "--reason", WHY)
        assert (refused.exit_code, refused.output) == (1, "error: there is no INC-7\n")
        assert "a reason is needed" in run("release", "1", "--reason", "  ").output
        assert run("release", "1", "--reason", "over", "--as", "carol").exit_code == 0
        assert "is not held" in run("release", "1", "--reason", "over").output


async def test_in_slack_an_approver_holds_and_nobody_else(tmp_path: Path) -> None:
    async with office(tmp_path, extra=SLACK) as w:
        await hijack(w)
        for user, there in (("U01ALICE", False), ("U06CAROL", True)):
            await w.slack.apps.command(user, f"hold INC-1 {WHY}")
            await w.settled()
            assert (1 in holds.every(w.service.store)) is there, user
        assert holds.every(w.service.store)[1].reason == WHY
        await w.slack.apps.command("U06CAROL", "release 1 the case is closed")
        await w.settled()
        assert holds.every(w.service.store) == {}
        assert acts(w.service.store, "hold released")[0]["user"] == "U06CAROL"
