"""The import rules, and what STYLE asks of every file."""

from __future__ import annotations

import ast
import functools
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "monitor").rglob("*.py"))
VENDORS = {
    "tweepy": {"monitor/sources/_x_client.py"},
    "slack_sdk": {"monitor/notifiers/slack/api.py"},
    "apscheduler": {"monitor/daemon.py"},
    "sqlite_utils": {"monitor/database.py"},
    "prometheus_client": {"monitor/metrics.py"},
    "backports": {"monitor/packing.py"},
    "icalendar": {"monitor/foreign/shifts.py"},
    "dateutil": {"monitor/foreign/series.py"},
    "apprise": {"monitor/notifiers/apprise.py"},
    "numpy": {"monitor/pdq.py", "monitor/foreign/picture.py", "monitor/foreign/codes.py", "monitor/foreign/words.py"},
    "PIL": {"monitor/simulator/drawings.py", "monitor/foreign/picture.py", "monitor/foreign/codes.py", "monitor/foreign/words.py"},
    "zxingcpp": {"monitor/foreign/codes.py"},
    "rapidocr": {"monitor/foreign/words.py"},
    "publicsuffixlist": {"monitor/verdict/links.py"},
    "ahocorasick_rs": {"monitor/verdict/rules.py"},
    "Crypto": {"monitor/verdict/addresses.py", "monitor/signing.py"},
    "phonenumbers": {"monitor/verdict/phones.py"},
    "pydantic": {"monitor/config.py", "monitor/tables.py", "monitor/rulebook.py", "monitor/complaints.py"},
}
PURE = [
    p
    for p in MODULES
    if p.parent.name in ("model", "verdict")
    or p.relative_to(ROOT / "monitor") in map(Path, ("incidents.py", "health.py", "reads.py", "retention.py", "safe.py", "record.py"))
]
PURE_LIBRARIES = (
    "rapidfuzz",
    "re2",
    "publicsuffixlist",
    "Crypto",
    "ahocorasick_rs",
    "phonenumbers",
)  # computing only: no file but their own, no network
NAMED = {"__future__", "base64", "binascii", "bisect", "collections.abc", "collections", "dataclasses", "datetime", "enum", "functools", "hashlib", "heapq", "html", "itertools", "json",
         "re", "types", "typing", "unicodedata", "urllib.parse"}  # fmt: skip
OURS = {"monitor.model", "monitor.incidents", "monitor.health", "monitor.reads", "monitor.safe", "monitor.record"}


@functools.cache
def _imports(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [f"{node.module}.{a.name}" if node.module == "monitor" else str(node.module) for a in node.names]
    return found


@pytest.mark.parametrize("vendor", VENDORS)
def test_only_one_place_imports_each_vendor_library(vendor: str) -> None:
    importers = {str(p.relative_to(ROOT)) for p in MODULES if any(i.split(".")[0] == vendor for i in _imports(p))}
    assert importers == VENDORS[vendor]


@pytest.mark.parametrize("path", PURE, ids=lambda p: p.name)
def test_a_pure_module_imports_nothing_that_could_do_anything(path: Path) -> None:
    for name in _imports(path):
        allowed = (
            name in NAMED or name in OURS or name.startswith(("monitor.model.", "monitor.verdict")) or name.split(".")[0] in PURE_LIBRARIES
        )
        assert allowed, f"{path.name} imports {name}"


@pytest.mark.parametrize("path", PURE, ids=lambda p: p.name)
def test_a_pure_module_reads_no_clock_and_logs_nothing(path: Path) -> None:
    calls = {n.func.attr for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)}
    names = {n.func.id for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    assert not calls & {"now", "utcnow", "today", "getLogger", "time", "monotonic"}
    assert not names & {"open", "print", "input"}


def test_model_imports_nothing_of_ours() -> None:
    for path in (ROOT / "monitor" / "model").glob("*.py"):
        assert not [i for i in _imports(path) if i.startswith("monitor") and not i.startswith("monitor.model.")], path


def test_nothing_the_daemon_runs_imports_the_stand_ins() -> None:
    for path in MODULES:
        if "simulator" not in path.parts and path.name != "cli.py":
            assert not [i for i in _imports(path) if i.startswith("monitor.simulator")], path


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_says_what_it_is_and_fits_a_head(path: Path) -> None:
    source = path.read_text()
    tree = ast.parse(source)
    assert ast.get_docstring(tree)
    assert len([line for line in source.splitlines() if line.strip()]) <= 400
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 50, f"{path.name}: {node.name} is a missing noun"


def test_importing_the_command_line_loads_no_vendor_library() -> None:
    import subprocess

    code = "import sys, monitor.cli; print(sorted({m.split('.')[0] for m in sys.modules} & set(%r)))" % [
        *VENDORS,
        "aiohttp",
        "rich",
        "rapidfuzz",
    ]
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_status_loads_no_http() -> None:
    import subprocess

    code = "import sys, monitor.status; print('aiohttp' in sys.modules or 'monitor.wiring' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"
