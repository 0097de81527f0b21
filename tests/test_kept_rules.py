"""What verdicts refer to, as it is stored: read by whatever version it was written, and missed where it cannot be read."""

from __future__ import annotations

import logging
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from monitor import approvals, desk, kept_rules, packing
from monitor.approvals import Approval
from monitor.store import Store
from tests.conftest import world

NOW = datetime(2026, 3, 3, tzinfo=UTC)


def test_rules_come_back_packed_and_as_older_versions_wrote_them(tmp_path: Path) -> None:
    text = '{"rules": "Überweisung"}' * 1_000
    with closing(Store(tmp_path / "monitor.db")) as store:
        store.keep_rulebook("a", text, NOW)
        store.keep_rulebook("a", text, NOW + timedelta(days=1))
        store.sql.execute("INSERT INTO rulebooks(digest, loaded_at, context) VALUES('b', '', ?)", [text])
        large = "x" * (packing.MOST + 1)
        store.keep_rulebook("c", large, NOW)
        assert [kept_rules.get(store.sql, digest) for digest in "abcd"] == [text, text, large, None]
        assert list(kept_rules.every(store.sql)) == [text, text, large]
        (size,) = store.sql.execute("SELECT length(packed) + length(context) FROM rulebooks WHERE digest = 'a'").fetchone()
        assert size < len(text) / 10


@pytest.mark.parametrize("cell", [b"\x28\xb5\x2f\xfd\x00", packing.pack(b"\xff")], ids=["no frame", "no text"])
async def test_rules_that_cannot_be_read_are_missed_and_nobody_approves_alone_what_they_may_have_forbidden(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, cell: bytes
) -> None:
    async with world(tmp_path) as w:
        w.x.post("acme", "Send 1 BTC to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa and get double back")
        await w.run(3)
        store = w.service.store
        (kept,) = store.posts("incident = 1")
        assert kept.verdict.accusations
        store.sql.execute("UPDATE rulebooks SET packed = ?", [cell])
        with caplog.at_level(logging.ERROR):
            assert desk.recomputed(store, kept) == "the rules this post was judged by are not in the store"
        assert f"the rules {kept.rulebook} are damaged" in caplog.text
        assert list(kept_rules.every(store.sql)) == []
        word = Approval("alice", "slack:U01ALICE", "it was us", "Slack", w.clock())
        done = approvals.approve(store, w.service.outbox, 1, (approvals.name_of(kept),), word)
        assert not done.made
        assert "accuses it" in done.words()
