"""The five-year database: what it holds, at a five-hundredth of its size."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor import desk
from monitor.store import Store
from tests import years

SIZE = years.Size(1 / 500)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(years.build(tmp_path_factory.mktemp("years") / "monitor.db", SIZE))


def _count(store: Store, query: str) -> int:
    return int(store.sql.execute(f"SELECT count(*) FROM {query}").fetchone()[0])


def test_it_holds_as_much_as_it_says(store: Store) -> None:
    assert _count(store, "posts") == SIZE.of(years.POSTS)
    assert _count(store, "approved") == SIZE.of(years.REGISTRATIONS)
    assert 0.75 < _count(store, "approved WHERE used_by != ''") / SIZE.of(years.REGISTRATIONS) < 0.95
    assert _count(store, "incidents") >= SIZE.of(years.INCIDENTS)
    assert _count(store, "posts WHERE incident IN (SELECT id FROM incidents WHERE outcome = 'hijack')") >= SIZE.of(years.FLOOD)
    assert _count(store, "pages WHERE state = 'ready'") == 0


def test_it_is_what_the_daemon_would_have_written(store: Store) -> None:
    assert store.broken_audit() is None
    kept = store.posts("rowid % 7 = 0", limit=60)
    assert len(kept) == 60
    assert [desk.recomputed(store, one) for one in kept].count("the same") > 55, "some were given the verdict of one like them"
    troubles = store.posts("incident IS NOT NULL", limit=-1)
    assert {desk.recomputed(store, one) for one in troubles} == {"the same"}, "each of these was judged by itself"


def test_it_is_the_same_every_time(store: Store, tmp_path: Path) -> None:
    again = Store(years.build(tmp_path / "monitor.db", SIZE))
    assert again.audit_head() == store.audit_head()
