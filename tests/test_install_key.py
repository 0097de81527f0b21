"""The secret of an installation: made once, kept to itself, never half written."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from monitor.install_key import InstallKeyError, derived, load


def test_the_first_start_makes_a_key_that_only_its_owner_reads_and_every_later_one_finds_it(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    key = load(folder, {})
    assert load(folder, {}) == key
    assert len(key) == 64
    assert (folder / "install_key").stat().st_mode & 0o777 == 0o600
    assert [p.name for p in folder.iterdir()] == ["install_key"]


def test_two_that_start_together_have_the_same_key(tmp_path: Path) -> None:
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(load(tmp_path, {}))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16
    assert len(set(found)) == 1


def test_a_credential_is_taken_instead_of_the_file(tmp_path: Path) -> None:
    assert load(tmp_path, {"install_key": "k" * 40}) == b"k" * 40
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("weak", ["short", "x" * 31, "ключ" * 20, "\x00" * 40])
def test_a_key_that_can_be_guessed_or_was_cut_is_refused_with_what_to_do(tmp_path: Path, weak: str) -> None:
    with pytest.raises(InstallKeyError, match="openssl rand"):
        load(tmp_path, {"install_key": weak})


def test_an_emptied_file_is_refused_and_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "install_key").write_text("")
    with pytest.raises(InstallKeyError, match="found 0 characters"):
        load(tmp_path, {})
    (tmp_path / "install_key").unlink()
    (tmp_path / "elsewhere").write_text("e" * 64)
    (tmp_path / "install_key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        load(tmp_path, {})


def test_keys_for_two_purposes_have_nothing_in_common(tmp_path: Path) -> None:
    key = load(tmp_path, {})
    assert derived(key, "slack") == derived(key, "slack")
    assert len({key, derived(key, "slack"), derived(key, "export"), derived(b"x" * 64, "slack")}) == 4
