"""What may stand in the configuration, and what is said of what may not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from monitor import config as configuration
from monitor.cli import main
from monitor.verdict.links import Place, place


@pytest.mark.parametrize(
    ("written", "used"),
    [
        ("acme.example", "acme.example"), ("acme.github.io", "acme.github.io"), ("acme.co.uk", "acme.co.uk"), ("www.acme.example", "acme.example"),
        ("WWW.Acme.co.uk", "acme.co.uk"), ("www.gov.uk", "www.gov.uk"), ("bücher.example", "xn--bcher-kva.example"), ("straße.example", "xn--strae-oqa.example"),
        ("www.xn--bcher-kva.example", "xn--bcher-kva.example"), ("shop.acme.example", "shop.acme.example"),
        ("co.uk", "acme.co.uk: anybody may have one below co.uk"), ("github.io", "anybody may have one below github.io"), ("foo.ck", "below foo.ck"), ("com", "below com"),
        ("https://acme.example/", "write 'acme.example'"), ("acme.example:443", "write 'acme.example'"), ("acme.example.", "write 'acme.example'"),
        ("*.acme.example", "write 'acme.example': its subdomains are ours anyway"), ("ann@acme.example", "write 'acme.example'"), ("acme.example/shop", "write 'acme.example'"),
        ("*.co.uk", "below co.uk"), ("10.0.0.1", "expected the name of a host"), ("[::1]", "expected the name of a host"), ("", "expected the name of a host"),
        ("acme example", "expected the name of a host"), ("-acme.example", "expected the name of a host"), ("acme..example", "expected the name of a host"),
    ],
)  # fmt: skip
def test_a_domain_of_ours_is_one_that_nobody_else_can_have_a_name_below(tmp_path: Path, written: str, used: str) -> None:
    file = tmp_path / "hm.toml"
    file.write_text(f'[company]\nname = "Acme"\ndomains = ["{written}"]\n[[accounts]]\nplatform = "x"\nhandle = "acme"\n')
    if " " in used:
        with pytest.raises(configuration.ConfigError, match=re.escape(used)) as error:
            configuration.load(file)
        assert "company.domains.0: found" in str(error.value)
        return
    company = configuration.load(file).company
    assert company.domains == (used,)
    assert place(f"shop.{used}", company) is Place.OURS


def test_check_shows_which_domains_are_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "hm.toml"
    file.write_text(
        '[company]\nname = "Acme"\ndomains = ["www.bücher.example", "acme.example"]\n[[accounts]]\nplatform = "x"\nhandle = "acme"\n'
    )
    monkeypatch.setenv("X_BEARER_TOKEN", "t")
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    said = CliRunner().invoke(main, ["--config", str(file), "check"]).output
    assert "note: [company] www[.]bücher[.]example is taken as xn--bcher-kva[.]example" in said
    assert said.count("is taken as") == 1
    assert place("bücher.example", configuration.load(file).company) is Place.OURS, "in both spellings"


@pytest.mark.parametrize("line", ['handles = ["@acme"]', 'handles = [""]', 'domains = ["acme.example"]\nhandles = ["ac me"]'])
def test_a_handle_is_written_without_its_sign(tmp_path: Path, line: str) -> None:
    file = tmp_path / "hm.toml"
    file.write_text(f'[company]\nname = "Acme"\n{line}\n[[accounts]]\nplatform = "x"\nhandle = "acme"\n')
    with pytest.raises(configuration.ConfigError, match=r"company.handles.0: found .*a handle without @"):
        configuration.load(file)


def test_a_canary_of_blanks_is_none(tmp_path: Path) -> None:
    file = tmp_path / "hm.toml"
    file.write_text('[company]\nname = "Acme"\n[[accounts]]\nplatform = "x"\nhandle = "acme"\n[accounts.canary]\ntext = "       "\n')
    with pytest.raises(configuration.ConfigError, match=r"accounts.0.canary.text"):
        configuration.load(file)
