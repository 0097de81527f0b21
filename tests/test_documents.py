"""Documentation is checked like code: the README, the configuration example, the unit, the help."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import click
import jsonschema
import pytest

from monitor import config, rulebook, tables
from monitor.cli import main
from monitor.foreign.bounds import Bounds
from monitor.simulator import story

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
DATA = ROOT.parent / "shared" / "data"


def _commands(group: click.Group, prefix: str = "") -> dict[str, click.Command]:
    out: dict[str, click.Command] = {}
    for name, command in group.commands.items():
        out |= _commands(command, f"{prefix}{name} ") if isinstance(command, click.Group) else {prefix + name: command}
    return out


COMMANDS = _commands(main)


def test_the_readme_names_every_command_and_no_other() -> None:
    listed = README.split("## Commands")[1].split("##")[0]
    said = set()
    for quoted in re.findall(r"`([a-z][^`]*)`", listed.split("Every listing")[0]):
        head, _, rest = quoted.partition(" ")
        said |= {f"{head} {r}" for r in rest.split("|")} if "|" in rest else {head}
    assert said == set(COMMANDS)


@pytest.mark.parametrize("page", ["README.md", "docs/living-with-it.md"])
def test_every_command_line_of_a_page_is_one_the_program_takes(page: str) -> None:
    text = (ROOT / page).read_text()
    lines = re.findall(r"(?m)^(?:sudo )?hijack-monitor ([a-z].*)$", "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)))
    assert lines
    for line in lines:
        words = line.split("  #")[0].split()
        name = " ".join(words[:2]) if " ".join(words[:2]) in COMMANDS else words[0]
        assert name in COMMANDS, line
        known = {o for p in COMMANDS[name].params for o in p.opts}
        assert {w for w in words if w.startswith("--")} <= known, line


def test_every_listing_takes_json() -> None:
    for name in (
        "posts list",
        "incidents list",
        "accounts list",
        "accounts baseline",
        "rules list",
        "posts show",
        "incidents show",
        "acts",
        "status",
    ):
        assert any("--json" in p.opts for p in COMMANDS[name].params), name


def test_the_layout_in_the_readme_matches_the_files() -> None:
    block = README.split("## Layout")[1].split("```")[1]
    named = set(re.findall(r"\b([a-z_]+\.py)\b", block))
    files = {p.name for p in (ROOT / "monitor").glob("*.py")} - {"__init__.py", "__main__.py"}
    assert files <= named
    for folder in re.findall(r"(?m)^  ([a-z]+)/", block):
        assert (ROOT / "monitor" / folder).is_dir()


def test_nothing_is_said_twice_after_a_merge() -> None:
    layout = README.split("## Layout")[1].split("```")[1]
    heads = re.findall(r"(?m)^  ([a-z_]+(?:\.py|/)) ", layout)
    assert len(heads) == len(set(heads))
    for text in (README, (ROOT / "CHANGELOG.md").read_text()):
        outside = "".join(text.split("```")[::2])
        begun = [line[:50] for line in outside.splitlines() if len(line) > 50]
        assert len(begun) == len(set(begun))


def test_the_map_in_the_package_names_real_modules() -> None:
    import monitor

    for name in re.findall(r"(?m)^    ([a-z]+)/? ", monitor.__doc__ or ""):
        assert (ROOT / "monitor" / name).is_dir() or (ROOT / "monitor" / f"{name}.py").is_file(), name


def test_the_example_rule_of_the_readme_keeps_its_word(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(id: .*?)```", README, re.DOTALL)
    (tmp_path / "rule.yaml").write_text(block)
    source = rulebook.read(tmp_path / "rule.yaml")
    assert rulebook.failures(source) == []
    assert rulebook.unneeded(source) == []


def test_the_conditions_in_the_readme_are_the_conditions_there_are() -> None:
    section = README.split("## Write a rule")[1].split("## Commands")[0]
    assert all(name in section for name in rulebook.CONDITIONS)


def test_the_configuration_example_loads_and_names_every_key() -> None:
    path = ROOT / "systemd" / "hijack-monitor.toml"
    text = path.read_text()
    assert config.load(path).company.name == "Acme Exchange"
    every = [t for t in vars(tables).values() if isinstance(t, type) and issubclass(t, tables.Strict)]
    documented = [t for t in every if t not in (tables.Strict, tables.File, tables.Step)]
    assert len(documented) > 15
    for table in documented:
        for key in table.model_fields:
            assert key in ("realm", "unapproved", "paging", "canary") or re.search(rf"(?m)^#? ?{key}\s+=", text), f"{table.__name__}.{key}"


def test_every_table_and_secret_is_in_the_configuration_example_and_loads_when_its_comment_sign_is_taken_away(tmp_path: Path) -> None:
    text = (ROOT / "systemd" / "hijack-monitor.toml").read_text()
    for name in tables.File.model_fields:
        assert f"[{name}]" in text or name == "accounts", name
    assert all(secret in text for secret in config.SECRETS)
    loud = re.sub(r"(?m)^# (?=(\[[a-z.]+\]|[a-z_]+ +=))", "", text).replace("# speed", "speed")
    file = tmp_path / "all.toml"
    file.write_text(loud)
    loaded = config.load(file).file
    assert all(getattr(loaded, name) is not None for name in tables.File.model_fields)


def test_the_manifest_of_the_slack_app_asks_for_no_more_than_is_used() -> None:
    manifest = json.loads((ROOT / "docs" / "slack-app.json").read_text())
    scopes = manifest["oauth_config"]["scopes"]["bot"]
    assert {"chat:write", "commands", "usergroups:read"} <= set(scopes)
    assert manifest["settings"]["socket_mode_enabled"]
    assert {c["command"] for c in manifest["features"]["slash_commands"]} == {"/hijack"}
    assert not {"files:write", "chat:write.public", "chat:write.customize"} & set(manifest["oauth_config"]["scopes"]["bot"])
    schema = DATA / "slack_manifest_schema_2.0.0.json"
    if schema.is_file():
        jsonschema.Draft7Validator(json.loads(schema.read_text())).validate(manifest)


def test_every_picture_of_a_state_is_shown_and_can_be_made_again() -> None:
    from tests.pictures import STATES

    for name in STATES:
        assert f".pictures/{name}.png" in README
        assert (ROOT / ".pictures" / f"{name}.png").is_file()


def test_the_unit_knows_every_secret() -> None:
    unit = (ROOT / "systemd" / "hijack-monitor.service").read_text()
    assert all(f"LoadCredential={secret}:/etc/hijack-monitor/{secret}" in unit for secret in config.SECRETS)


def test_a_missing_token_and_a_killed_reader_keep_the_unit_running() -> None:
    """Without a default of its own a credential whose file is missing fails the unit before we run: systemd.exec(5)."""
    lines = (ROOT / "systemd" / "hijack-monitor.service").read_text().splitlines()
    loaded = [line.removeprefix("LoadCredential=").split(":")[0] for line in lines if line.startswith("LoadCredential=")]
    assert "slack_app_token" in loaded
    for secret in loaded:
        assert f"SetCredential={secret}:\\n" in lines, "systemd 252 ignores one without any value"
    words = importlib.import_module("monitor.foreign.words").needs(Bounds()).memory
    limit = next(int(line.removeprefix("MemoryMax=").removesuffix("G")) << 30 for line in lines if line.startswith("MemoryMax="))
    assert limit >= 2 * words
    assert "OOMPolicy=continue" in lines
    assert "LimitCORE=0" in lines
    assert "RuntimeDirectoryPreserve=restart" in lines, "a loop of restarts remembers whom it told"


def test_every_word_of_the_slash_command_is_in_the_readme_and_in_its_help() -> None:
    from monitor.notifiers.slack.commands import HELP

    for word in ("status", "incidents", "silence", "test", "plan", "planned"):
        assert f"`{word}" in README or f"/hijack {word}" in README
        assert word in HELP


def test_the_stories_in_the_readme_are_the_stories_we_ship() -> None:
    assert all(name in README for name in story.names() if name != "bitmex-night")


def test_the_figures_in_the_readme_are_printed_by_a_command() -> None:
    printed = "".join(
        (ROOT / "tests" / f"{name}.py").read_text() for name in ("evaluate", "bench", "bench_scale", "bench_daemon", "bench_years")
    )
    for phrase in (
        "incident posts that page with an empty queue", "that the rules alone page", "scam core disguised", "harmless alterations excused",
        "dangerous alterations excused or only noticed", "slips of the hand", "addresses found", "invalid addresses taken for valid ones",
        "thefuzz over the queue", "rapidfuzz ratio over the queue", "difflib over the queue", "rapidfuzz ratio over all of them", "YARA-X, the same words",
        "1,000 incidents open and 10,000 pages due", "100 posts a second for a minute", "daemon with 1,000 accounts", "stream cut every hour",
        "a metrics scrape", "a post that nobody registered", "export of an incident", "start to READY", "the worst lateness", "posts read again",
    ):  # fmt: skip
        assert phrase in printed


def test_the_changelog_knows_this_version() -> None:
    import monitor

    assert f"## {monitor.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_nothing_committed_names_a_place_of_this_machine() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    for name in listed:
        path = ROOT / name
        if path.suffix in (".png", ".svg", ".zz", ".zdict") or not path.is_file():
            continue
        assert "/work" + "/" not in path.read_text(encoding="utf-8"), name


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not here")
@pytest.mark.parametrize("names", [("hijack-monitor.service",), ("hijack-monitor-backup.service", "hijack-monitor-backup.timer")])
def test_the_unit_is_one_that_systemd_takes_and_finds_well_locked_up(tmp_path: Path, names: tuple[str, ...]) -> None:
    units = [tmp_path / name for name in names]
    for unit in units:
        text = (ROOT / "systemd" / unit.name).read_text().replace("/opt/hijack-monitor/bin/hijack-monitor", sys.executable)
        unit.write_text(text.replace("=hijack-monitor\n", "=root\n"))  # the user that this machine has
    unit = units[0]
    verified = subprocess.run(["systemd-analyze", "verify", *map(str, units)], capture_output=True, text=True, check=False)
    about_us = [line for line in verified.stderr.splitlines() if "hijack-monitor" in line]
    assert about_us == []
    security = subprocess.run(["systemd-analyze", "security", "--offline=true", str(unit)], capture_output=True, text=True, check=False)
    level = re.search(r"Overall exposure level[^:]*: ([\d.]+)", security.stdout)
    if level is None:
        pytest.skip("this systemd cannot analyse offline")
    assert float(level[1]) <= 1.5


def test_the_backup_unit_is_locked_up_like_the_daemon_and_hides_nothing_of_it() -> None:
    daemon, copier = ((ROOT / "systemd" / f"hijack-monitor{n}.service").read_text().splitlines() for n in ("", "-backup"))
    hardening = daemon[daemon.index("CapabilityBoundingSet=") : daemon.index("KeyringMode=private") + 1]
    missing = [line for line in hardening if line not in copier]
    assert missing == ["RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX"], "it needs less: no network"
    assert {"PrivateNetwork=yes", "RestrictAddressFamilies=AF_UNIX", "UMask=0077", "LimitCORE=0", "User=hijack-monitor"} <= set(copier)
    (folders,) = (line.partition("=")[2].split() for line in copier if line.startswith("StateDirectory="))
    assert f"StateDirectory={folders[0]}" in daemon, "the first is the data directory"
    (begun,) = (line.split(maxsplit=1)[1] for line in copier if line.startswith("ExecStart="))
    assert begun == f"backup --keep 14 /var/lib/{folders[1]}"
    assert not [line for line in copier if line.startswith(("RuntimeDirectory", "LoadCredential"))], "the end of it takes nothing away"
    timer = (ROOT / "systemd" / "hijack-monitor-backup.timer").read_text().splitlines()
    assert {"Persistent=true", "WantedBy=timers.target"} <= set(timer)
    assert [line for line in timer if line.startswith("OnCalendar=*-*-* ")]


def test_the_unit_holds_what_the_readme_says() -> None:
    unit = (ROOT / "systemd" / "hijack-monitor.service").read_text()
    for line in (
        "Type=notify",
        "hijack-monitor check",
        "User=hijack-monitor",
        "StateDirectory=",
        "LoadCredential=x_bearer_token",
        "WatchdogSec=",
    ):
        assert line in unit


def test_the_security_model_covers_each_thing_that_can_be_stolen_and_names_only_keys_and_commands_that_there_are() -> None:
    text = (ROOT / "docs" / "security-model.md").read_text()
    for asset in (
        "X account",
        "Slack member",
        "responder",
        "approver",
        "bot token",
        "app token",
        "bearer token",
        "login on the host",
        "root",
        "database",
        "`install_key`",
    ):
        assert re.search(rf"(?m)^\| \*\*[^|]*{re.escape(asset)}", text), asset
    rows = [line for line in text.splitlines() if line.startswith("| **")]
    assert all(len(re.split(r"(?<!\\)\|", row)) == 6 for row in rows)
    example = (ROOT / "systemd" / "hijack-monitor.toml").read_text()
    options = {o for c in COMMANDS.values() for p in c.params for o in p.opts}
    for quoted in re.findall(r"`([^`]+)`", text):
        word = quoted.removeprefix("hijack-monitor ").split(" --")[0].split(" INC")[0]
        key = word.removeprefix("[approvals] ")
        assert {word, word.split(" ")[0]} & {*COMMANDS, *options, "SUDO_USER", "fresh_minutes"} or f"{key} " in example or key in example, (
            quoted
        )


def test_every_document_that_the_readme_links_to_is_there() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_what_comes_from_others_is_named_with_its_licence() -> None:
    notice = (ROOT / "NOTICE").read_text()
    table = re.search(r"Unicode (\d+\.\d+\.\d+)", (ROOT / "monitor" / "verdict" / "confusables.py").read_text())
    assert table
    assert f"version {table[1]}" in notice
    locked = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    terms = {name: metadata.metadata(name) for name in locked - {"tzdata", "colorama"}}  # those are for Windows
    fields = ("License-Expression", "License", "Classifier")
    said = {name: " ".join(words for field in fields for words in m.get_all(field) or ()) for name, m in terms.items()}
    named = {name for name, words in said.items() if re.search(r"GPL|Lesser|MPL|Mozilla", words)}
    assert {"certifi", "publicsuffixlist"} <= named
    assert not [name for name in named if f"- {name}" not in notice]
