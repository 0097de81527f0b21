"""What X's streams say, line by line: every sample of its documentation, cut lines, nonsense."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.model import PROFILE_FIELDS, Kind, Post, Unreadable
from monitor.sources import _x_payload as payload
from monitor.sources._lines import Backoff, Lines
from monitor.sources._x_events import read_event
from monitor.sources.interface import Told, Trouble
from monitor.sources.x_activity import made_of
from tests.conftest import START
from tests.sources.test_x import DATA, needs_data
from tests.v1_tweets import to_v2

KEYS = {"1111111111111111111": "x::1", "1234567890123456789": "x::2"}


def sample(name: str) -> Told:
    return read_event((DATA / "x_activity_events" / f"{name}.json").read_bytes().replace(b"\n", b""), KEYS, START)


# --- the documentation's samples -----------------------------------------------------------------------


@needs_data
@pytest.mark.parametrize("path", sorted((DATA / "x_activity_events").glob("*.json")), ids=lambda p: p.stem)
def test_every_sample_of_the_documentation_is_understood(path: Path) -> None:
    told = sample(path.stem)
    if path.stem not in ("Event_envelope", "news.new"):  # an envelope without a payload; news is about nobody
        assert told.odd == ""
        assert told.account in KEYS.values()
        assert told.kind == path.stem
    assert told.key


@needs_data
def test_a_post_comes_with_its_author() -> None:
    told = sample("post.create")
    assert isinstance(told.item, Post)
    assert (told.item.id, told.item.kind, told.item.text) == ("2080761390344937796", Kind.POST, "Hello from the Activity API")
    assert told.profile
    assert told.profile.handle == "ExampleUser"
    assert {"name", "handle", "bio", "avatar", "pinned_post", "protected", "verified_type"} <= set(told.shown)
    assert told.profile.link == "https://example.com"
    assert told.partial, "its text is shorter than the range that is displayed: something may be missing"


@needs_data
def test_negative_uuids_deletions_changes_and_live_broadcasts() -> None:
    gone = sample("post.delete")
    assert (gone.key, gone.deleted) == ("-2781149976877970683", "2080761269309813134")
    assert sample("profile.update.screenname").changed == ("name", "Example User", "Example")
    assert sample("profile.update.profile_picture").changed[0] == "avatar"  # type: ignore[index]
    live = sample("broadcast.start").item
    assert isinstance(live, Post)
    assert (live.kind, live.text, live.id) == (Kind.LIVE, "Example broadcast", "1a2b3c4d5e6fG")
    space = sample("spaces.start").item
    assert isinstance(space, Post)
    assert (space.kind, space.text) == (Kind.LIVE, "Space")
    sent = sample("dm.sent").item
    assert isinstance(sent, Post)
    assert (sent.kind, sent.text) == (Kind.DM, "Thanks for the update!")
    assert "29820954" in sample("oauth.revoke").notice


@pytest.mark.parametrize("event", ["profile.update.verified", "profile.update.affiliate", "profile.update.something_new"])
def test_profile_events_of_other_names_lead_to_a_look(event: str) -> None:
    data = {"event_type": event, "event_uuid": "1", "filter": {"user_id": "1111111111111111111"}, "payload": {"before": "a", "after": "b"}}
    assert read_event(json.dumps({"data": data}).encode(), KEYS, START).changed == ("", "a", "b")


def posted(**more: Any) -> Told:
    data = {
        "id": "2080761390344937796",
        "text": "Hello",
        "author_id": "1111111111111111111",
        "edit_history_tweet_ids": ["2080761390344937796"],
    }
    event = {"event_type": "post.create", "event_uuid": "1", "filter": {"user_id": "1111111111111111111"}, "payload": data | more}
    return read_event(json.dumps({"data": event}).encode(), KEYS, START)


LINK = {"url": "https://t.co/a", "expanded_url": "https://acme.example"}


@pytest.mark.parametrize(
    ("more", "partial"),
    [
        ({}, False),
        ({"text": "Hello https://t.co/a", "entities": {"urls": [LINK]}}, False),
        ({"text": "Hello https://t.co/a"}, True),
        ({"text": "Hello https://t.co/a", "entities": {"urls": [LINK | {"expanded_url": "https://x.com/a/status/1/photo/1"}]}}, True),
        ({"text": "Hello…"}, True),
        ({"text": "Hello… https://t.co/a", "entities": {"urls": [LINK]}}, True),
        ({"attachments": {"media_keys": ["3_1"]}}, True),
        ({"display_text_range": [0, 900]}, True),
        ({"note_tweet": {"text": "Hello and more"}}, False),
    ],
)
def test_a_post_that_may_lack_a_part_is_marked(more: dict[str, Any], partial: bool) -> None:
    assert posted(**more).partial is partial


def test_both_dialects_are_read() -> None:
    told = posted(
        edit_history_tweet_ids=None, edit_history_post_ids=["2080761390344937000", "2080761390344937796"], note_post={"text": "All of it"}
    )
    assert isinstance(told.item, Post)
    assert (told.item.version, told.item.text) == (2, "All of it")


def test_a_post_of_somebody_else_is_nobodys() -> None:
    told = posted(author_id="5")
    assert told.item is None
    assert told.odd


def test_the_filtered_stream_is_read_with_untagged_rules() -> None:
    line = {"data": {"id": "2080761390344937796", "text": "Hi", "author_id": "1111111111111111111"}, "matching_rules": [{"id": "1"}]}
    told = read_event(json.dumps(line).encode(), KEYS, START)
    assert isinstance(told.item, Post)
    assert told.account == "x::1"


# --- lines and nonsense ----------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=40).filter(lambda b: b"\n" not in b and b"\r" not in b), max_size=8), st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_lines_come_whole_however_they_are_cut(lines: list[bytes], dice: random.Random) -> None:
    data = b"".join(line + b"\r\n" for line in lines)
    splitter, found = Lines(), []
    while data:
        size = dice.randint(1, 7)
        found += list(splitter.feed(data[:size]))
        data = data[size:]
    assert found == lines
    assert splitter.unfinished == b""


def test_a_line_longer_than_the_most_is_cut_and_the_next_is_whole() -> None:
    splitter = Lines(most=10)
    assert list(splitter.feed(b"a" * 7)) == []
    assert list(splitter.feed(b"a" * 100 + b"\nnext\n")) == [b"a" * 10, b"next"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["data", "event_type", "event_uuid", "filter", "user_id", "payload", "includes", "users", "id", "text", "author_id", "errors", "type",
         "before", "after", "direct_message_events", "message_create", "title", "created_timestamp_ms", "broadcast_id", "entities", "urls"]),
        inner | st.sampled_from(["post.create", "post.delete", "dm.sent", "broadcast.start", "oauth.revoke", "1111111111111111111"]), max_size=6),
    max_leaves=25,
)  # fmt: skip


@given(JSON | st.binary(max_size=60).map(lambda b: b.decode("latin-1")))
@settings(max_examples=500, deadline=None)
def test_no_line_makes_the_reader_raise(line: Any) -> None:
    for text in (json.dumps(line), json.dumps({"data": line}), str(line)):
        told = read_event(text.encode("utf-8", "replace"), KEYS, START)
        assert isinstance(told, Told)
        assert told.item is None or isinstance(told.item, Post | Unreadable)
        assert set(told.shown) <= set(PROFILE_FIELDS)


def test_the_three_shapes_of_a_new_subscription() -> None:
    one = {"subscription_id": "1", "event_type": "post.create"}
    assert made_of({"data": [one]}) == made_of({"data": one}) == made_of({"data": {"subscription": one}}) == [one]
    assert made_of({}) == made_of({"data": None}) == []


def test_waits_are_those_of_the_documentation_with_a_floor() -> None:
    dice = random.Random(1)
    network, refused, limited = Backoff(), Backoff(), Backoff()
    waits = [network.seconds(Trouble.NETWORK, dice) for _ in range(40)]
    assert waits[0] == 0, "at once, the first time"
    assert min(waits[1:]) >= 1
    assert max(waits) <= 16 * 1.2
    assert sum(Backoff(network=1).seconds(None, dice) for _ in range(400)) >= 400, "a clean end in a loop: at most one a second"
    waits = [refused.seconds(Trouble.UNAVAILABLE, dice) for _ in range(10)]
    assert 5 <= waits[0] <= 6
    assert 320 <= waits[-1] <= 384
    waits = [limited.seconds(Trouble.RATE_LIMITED, dice) for _ in range(3)]
    assert [int(w // 60) for w in waits] in ([1, 2, 4], [1, 2, 5][:3])
    network.worked()
    assert network.seconds(None, dice) == 0


# --- six hundred real ones ----------------------------------------------------------------------------------


@needs_data
def test_real_tweets_become_posts_with_their_text_links_kind_and_media() -> None:
    """The old form of six hundred real ones, turned into that of API v2, then read as X sends it."""
    count = 0
    for line in (DATA / "raw_tweet_json_samples.jsonl").read_text().splitlines():
        old = json.loads(line)
        data, more, wanted = to_v2(old.get("raw") or old.get("tweet") or old)
        made = payload.read_post(data, "x::1", payload.includes({"includes": more}), START)
        assert isinstance(made, Post), line[:200]
        assert made.kind == wanted.kind, line[:300]
        assert made.text == wanted.text, line[:300]
        assert set(wanted.links) <= set(made.links), line[:300]
        assert [m.type for m in made.media] == wanted.media
        assert "&amp;" not in made.text or "&amp;amp;" in line
        count += 1
    assert count == 600
