"""What a newcomer runs first."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_the_demo_shows_a_hijack_caught_and_ends_well() -> None:
    command = [sys.executable, "-m", "monitor", "demo", "--story", "false-news"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 of 3 expectations held" in done.stdout
    delay = re.search(r"From the hijack's post to the page in Slack: ([\d.]+) s", done.stdout)
    assert delay
    assert "WAKES ON-CALL" in done.stdout
    assert "\x1b" not in done.stdout, "no colour when nobody looks"


def test_an_unknown_story_names_the_known_ones() -> None:
    command = [sys.executable, "-m", "monitor", "demo", "--story", "nothing"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "bitmex-night" in done.stderr
