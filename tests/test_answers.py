"""The platforms' answers as evidence: packed, bounded, readable for ever, and told when damaged."""

from __future__ import annotations

import hashlib
import json
import random
from datetime import timedelta
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from monitor import packing
from monitor.answers import Repacking
from monitor.model import PageKind
from monitor.store import Store
from tests.conftest import CONFIG, START, world
from tests.test_load import flood

ANSWER = json.dumps(
    {"data": [{"id": "1", "text": "Good morning.", "author_id": "2244994945", "lang": "en", "conversation_id": "1"}]}
).encode()


def _plain(store: Store, body: bytes) -> str:
    """As an older version stored it."""
    digest = hashlib.sha256(body).hexdigest()
    store.sql.execute("INSERT INTO evidence VALUES(?, '2026-11-21T03:00:00.000000+00:00', ?)", [digest, body])
    return digest


@given(st.binary(max_size=3_000) | st.binary(max_size=50).map(lambda part: part * 4_000))
def test_whatever_is_packed_comes_back(body: bytes) -> None:
    assert packing.unpack(packing.pack(body)) == body


def test_an_answer_is_stored_once_small_and_under_the_hash_of_what_it_says(tmp_path: Path) -> None:
    store = Store(tmp_path / "monitor.db")
    assert store.keep_evidence(ANSWER, START) == store.keep_evidence(ANSWER, START) == hashlib.sha256(ANSWER).hexdigest()
    (stored,) = (row[0] for row in store.sql.execute("SELECT body FROM evidence"))
    assert packing.is_packed(stored)
    assert len(stored) < len(ANSWER) * 0.7
    assert store.evidence(hashlib.sha256(ANSWER).hexdigest()) == ANSWER
    assert store.evidence("0" * 64) is None


def test_no_more_than_sixteen_mebibytes_are_kept_or_unpacked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(tmp_path / "monitor.db")
    digest = store.keep_evidence(b"x" * (packing.MOST + 5), START)
    assert store.evidence(digest) == b"x" * packing.MOST
    assert store.keep_evidence(b"x" * (packing.MOST + 5), START) == digest
    ((subject, detail),) = store.sql.execute("SELECT subject, detail FROM audit WHERE action = 'answer cut off'").fetchall()
    assert subject == f"answer {digest}"
    assert json.loads(detail)["bytes"] == packing.MOST + 5
    assert f"answer {digest} is cut off: 16777216 of its 16777221 bytes" in caplog.text
    for bomb in (zstd.compress(b"\0" * (packing.MOST + 1)), zstd.compress(b"\0" * 300_000_000)):
        with pytest.raises(packing.DamagedError, match="more than 16 MiB"):
            packing.unpack(bomb)
    wide = zstd.compress(random.Random(1).randbytes(100) * 500_000, options={zstd.CompressionParameter.window_log: 27})
    with pytest.raises(packing.DamagedError):
        packing.unpack(wide)


def test_a_damaged_answer_is_told_and_is_no_crash(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(tmp_path / "monitor.db")
    good, digest = packing.pack(ANSWER), hashlib.sha256(ANSWER).hexdigest()
    unknown = good[:5] + (77).to_bytes(4, "little") + good[9:]
    for bad in (good[:-4], good + b"!", packing.MAGIC, packing.MAGIC + b"\xff" * 40, unknown):
        store.sql.execute("DELETE FROM evidence")
        store.sql.execute("INSERT INTO evidence VALUES(?, '', ?)", [digest, bad])
        caplog.clear()
        assert store.evidence(digest) is None
        assert f"{digest} is damaged" in caplog.text


@given(st.binary(max_size=60), st.integers(0, 200))
def test_no_bytes_crash_the_unpacking(noise: bytes, at: int) -> None:
    frame = bytearray(packing.pack(ANSWER))
    frame[at % len(frame) :] = noise
    for stored in (bytes(frame), packing.MAGIC + noise):
        try:
            assert len(packing.unpack(stored)) <= packing.MOST
        except packing.DamagedError:
            continue


async def test_what_an_older_version_stored_is_packed_little_by_little_and_stays_readable(tmp_path: Path) -> None:
    async with world(tmp_path, CONFIG) as w:
        store = w.service.store
        bodies = [ANSWER.replace(b"Good", b"%d" % number) for number in range(300)] + [
            b"<html>",
            packing.pack(b"a frame"),
            b"y" * 5_000_000,
        ]
        digests = [_plain(store, body) for body in bodies]
        repacking, rounds = Repacking(store), 0
        while not repacking._over:
            await repacking.look()
            rounds += 1
            assert rounds < 1_000
        assert [store.evidence(digest) for digest in digests[:301]] == bodies[:301]
        assert store.evidence(digests[-1]) == bodies[-1], "too large to be packed in a slice"
        assert await Repacking(store).look() == 0, "a restart does not begin again"


async def test_nothing_is_packed_while_a_page_is_due(tmp_path: Path) -> None:
    async with world(tmp_path, CONFIG) as w:
        store = w.service.store
        _plain(store, ANSWER)
        flood(w, 1)
        assert await Repacking(store).look() == 0
        for page in store.pages.of(store.incidents()[0].id):
            store.pages.move(page.id, ("ready",), "sent", sent_at=START)
        assert await Repacking(store).look() >= 1
        assert store.pages.last_sent(store.incidents()[0].id, PageKind.ROOT) == START
        assert w.clock() - START < timedelta(minutes=5)
