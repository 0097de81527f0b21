"""Of other people's content only what a verdict uses is kept, and the answer says what was cut."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from monitor.sources._x_cut import own, own_event
from monitor.sources._x_payload import Includes, id_time, includes, read_post
from tests.conftest import world

OURS = "2244994945"
SHOWN = {"id": "9001", "text": "Their words.", "author_id": "77", "public_metrics": {"like_count": 5}, "geo": {"place_id": "p1"},
         "attachments": {"media_keys": ["3_their"]}}  # fmt: skip


def _page(kind: str = "quoted") -> dict[str, Any]:
    post = {"id": "1700000000000000001", "text": "RT @them: Their words.", "author_id": OURS, "referenced_tweets": [{"type": kind, "id": "9001"}],
            "attachments": {"media_keys": ["3_ours"]}}  # fmt: skip
    return {
        "data": [post],
        "includes": {
            "tweets": [SHOWN, {"id": "9002", "text": "A stranger's.", "author_id": "78"}],
            "users": [{"id": OURS, "username": "acme", "description": "ours"}, {"id": "77", "username": "them", "description": "theirs"},
                      {"id": "78", "username": "stranger"}],
            "media": [{"media_key": "3_ours"}, {"media_key": "3_their"}, {"media_key": "3_stranger"}],
            "places": [{"id": "p1", "full_name": "At home"}],
        },
        "meta": {"result_count": 1},
        "surprise": {"of": "X"},
    }  # fmt: skip


def _cut(page: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = json.loads(own(page, json.dumps(page).encode(), {OURS}))
    return kept


def test_the_post_that_ours_shows_stays_with_its_authors_handle_and_nothing_else_of_others() -> None:
    kept = _cut(_page())
    assert kept["data"] == _page()["data"]
    assert [p["text"] for p in kept["includes"]["tweets"]] == ["Their words."]
    assert kept["includes"]["users"] == [{"id": OURS, "username": "acme", "description": "ours"}, {"id": "77", "username": "them"}]
    assert [m["media_key"] for m in kept["includes"]["media"]] == ["3_ours", "3_their"]
    assert kept["cut"] == {
        "includes.media": 1, "includes.places": 1, "includes.tweets": 1, "includes.tweets[].geo": 1, "includes.tweets[].public_metrics": 1,
        "includes.users": 1, "includes.users[].description": 1, "surprise": 1,
    }  # fmt: skip


def test_what_ours_only_answers_is_cut() -> None:
    kept = _cut(_page("replied_to"))
    assert "Their words." not in json.dumps(kept["includes"])
    assert kept["includes"]["tweets"] == [{"id": "9001", "author_id": "77"}], "nothing else says whom it answers"
    assert kept["cut"]["includes.tweets"] == 2


def test_an_answer_of_which_nothing_is_cut_stays_as_it_came() -> None:
    body = b'{ "data": [{"id":"1","author_id":"2244994945","text":"a  b"}] }'
    assert own(json.loads(body), body, {OURS}) is body


def test_x_cannot_write_our_list() -> None:
    assert _cut({"data": [], "cut": {"nothing": 0}})["cut"] == {"cut": 1}


def test_a_post_reads_the_same_from_what_is_kept() -> None:
    for kind in ("retweeted", "quoted", "replied_to"):
        page, now = _page(kind), id_time("1700000000000000001") + timedelta(seconds=2)
        kept = _cut(page)
        before = read_post(page["data"][0], f"x::{OURS}", includes(page), now)
        assert read_post(kept["data"][0], f"x::{OURS}", includes(kept), now) == before
        assert read_post(kept["data"][0], f"x::{OURS}", Includes({}, {}), now) != before or kind == "quoted"


def test_an_event_of_somebody_else_keeps_no_payload_and_ours_loses_the_others() -> None:
    event: dict[str, Any] = {"data": {"event_type": "post.create", "payload": {"id": "1", "author_id": "77", "text": "theirs"}}}
    assert b"theirs" not in own_event(event, b"{}", {OURS}, understood=True)
    sent = {"direct_message_events": [{"id": "1"}], "users": {OURS: {"data": {"id": OURS}}, "77": {"data": {"id": "77", "name": "theirs"}}}}
    kept = json.loads(own_event({"data": {"event_type": "dm.sent", "payload": sent}}, b"{}", {OURS}, understood=True))
    assert list(kept["data"]["payload"]["users"]) == [OURS]
    assert kept["cut"] == {"data.payload.users": 1}
    odd = own_event({"data": {"event_type": "bang", "payload": {"of": "whom?"}}}, b"{}", {OURS}, understood=False)
    assert json.loads(odd) == {"data": {"event_type": "bang"}, "cut": {"data.payload": 1}}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["data", "includes", "tweets", "posts", "users", "media", "polls", "id", "author_id", "event_type", "payload", "attachments",
         "media_keys", "referenced_tweets", "type", "x"]), inner, max_size=4),
    max_leaves=25,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["data", "includes", "errors", "x"]), _JSON, max_size=4))
def test_no_shape_of_an_answer_crashes_it(page: dict[str, Any]) -> None:
    body = json.dumps(page).encode()
    assert isinstance(json.loads(own(page, body, {OURS})), dict)
    json.loads(own_event(page, body, {OURS}, understood=True))


async def test_the_daemon_stores_no_stranger(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.dialect = "post"
        w.x.quote("acme", "Look at this.", "them")
        w.x.beside = {"users": [{"id": "5", "username": "stranger", "name": "A stranger"}]}
        await w.run(5)
        store = w.service.store
        (kept,) = store.posts("baseline = 0")
        body = store.evidence(kept.evidence) or b""
        assert b"Look at this." in body
        assert b"stranger" not in body
        assert json.loads(body)["cut"] == {"includes.users": 1}
