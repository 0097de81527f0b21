"""Which keys let people act in Slack: `check` says what is missing, `silence list` who is waited for."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from monitor import config as configuration
from monitor import silences
from monitor.cli import main
from monitor.config import ConfigError
from monitor.outbox import Outbox
from monitor.service import utc_now
from monitor.store import Store
from tests.test_cli import CONFIG


def written(folder: Path, slack: str = "", tables: str = "") -> Path:
    file = folder / "hijack-monitor.toml"
    file.write_text(f"{CONFIG.format(folder=folder)}{slack}\n{tables}", encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("slack", "said"),
    [
        ("", "every full member of the workspace may acknowledge, nobody can silence or resolve there"),
        ('approvers = ["U06CAROL"]', "every full member of the workspace may acknowledge, only approvers silence and resolve there"),
        ('responders = ["S0SOCIAL"]', "[slack] approvers is empty"),
        ('responders = ["S0SOCIAL", "U01ALICE"]\napprovers = ["W06CAROL"]', ""),
    ],
)
def test_check_names_the_key_that_is_missing(slack: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X_BEARER_TOKEN", "a")
    monkeypatch.setenv("SLACK_BOT_TOKEN", "b")
    monkeypatch.setenv("PAGERDUTY_ROUTING_KEY", "c")
    file = written(tmp_path, slack, "[witness]\n")
    done = CliRunner().invoke(main, ["--config", str(file), "check"])
    assert done.exit_code == 0, done.output
    assert said in done.output
    assert ("is empty" in done.output) is bool(said)
    assert "[witness] needs the secret install_key" in done.output
    assert "the secret slack_app_token is not there: pages have no buttons" in done.output
    everybody = "every full member of the workspace" if "responders" not in slack else "S0SOCIAL"
    assert f"acknowledge    {everybody}" in done.output
    assert f"approve        {'nobody in Slack' if 'approvers' not in slack else ''}" in done.output
    monkeypatch.setenv("INSTALL_KEY", "0123456789abcdef" * 4)
    assert "[witness] needs" not in CliRunner().invoke(main, ["--config", str(file), "check"]).output


@pytest.mark.parametrize("who", ["channel", "C0INCIDENTS", "alice", "@social", ""])
def test_only_groups_and_users_may_be_listed(who: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="responders"):
        configuration.load(written(tmp_path, f'responders = ["{who}"]'))


def test_a_silence_that_waits_is_listed_as_waiting(tmp_path: Path) -> None:
    from datetime import timedelta

    file = written(tmp_path)
    loaded = configuration.load(file)
    store = Store(loaded.database)
    box = Outbox(store, loaded.paging)
    silences.begin(store, box, None, "", timedelta(hours=1), "a campaign", "alice", utc_now(), asker="U01ALICE")
    store.close()
    assert "alice, waits for another" in CliRunner().invoke(main, ["--config", str(file), "silence", "list", "--json"]).output


def test_check_warns_where_a_page_names_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("X_BEARER_TOKEN", "SLACK_BOT_TOKEN", "PAGERDUTY_ROUTING_KEY"):
        monkeypatch.setenv(name, "a")
    file = written(tmp_path)
    assert "a page names nobody" not in CliRunner().invoke(main, ["--config", str(file), "check"]).output
    file.write_text(file.read_text().replace('mention = ["S0SOCIAL"]', "mention = []", 1), encoding="utf-8")
    assert "[slack] mention and [paging] escalate are empty" in CliRunner().invoke(main, ["--config", str(file), "check"]).output
