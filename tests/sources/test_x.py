"""X as it really is: every error shape of its documentation, both dialects, hostile posts."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor import assembly, bounded_json
from monitor.model import Account, Kind, Post, Profile, Unreadable
from monitor.simulator import x as stand_in
from monitor.simulator.demo import serve
from monitor.simulator.x import XWorld
from monitor.sources import _x_client, interface, x, x_activity, x_stream
from monitor.sources import _x_payload as payload
from monitor.sources.interface import SourceError, Trouble
from tests.conftest import SECRETS, START, Clock, world

ACCOUNT = Account("x", "1", "acme")
DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the shared corpora are not here")


class Wired:
    """The source over HTTP against the stand-in."""

    def __init__(self, world: XWorld, source: x.XSource, clock: Clock) -> None:
        self.world, self.source, self.clock = world, source, clock

    async def read(self, cursor: str | None = "0") -> list[Post | Unreadable]:
        return list((await self.source.read(ACCOUNT, cursor)).items)

    async def one(self) -> Post:
        (item,) = await self.read()
        assert isinstance(item, Post)
        return item


@pytest.fixture
async def wired() -> AsyncIterator[Wired]:
    clock = Clock()
    world = XWorld(clock)
    world.user("acme", "1")
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(assembly.http_session())
        base = await serve(world.app(), stack)
        yield Wired(world, x.build(interface.Settings({"api_base": base}, session, clock), SECRETS), clock)


async def test_links_are_expanded_entities_unescaped_once_and_own_pictures_dropped(wired: Wired) -> None:
    wired.world.post("acme", "Fish & chips <3 https://acme.example/a?x=1&y=2 &amp; more", pictures=2)
    item = await wired.one()
    assert item.text == "Fish & chips <3 https://acme.example/a?x=1&y=2 &amp; more"
    assert item.links == ("https://acme.example/a?x=1&y=2",)
    assert [m.type for m in item.media] == ["photo", "photo"]


async def test_a_long_post_is_read_whole(wired: Wired) -> None:
    text = "word " * 400 + "https://acme.example/end"
    wired.world.post("acme", text)
    assert (await wired.one()).text == text


async def test_an_article_and_a_poll_are_part_of_the_text(wired: Wired) -> None:
    wired.world.post("acme", "https://x.com/i/article/1", article={"title": "Take your BTC and run"})
    assert (await wired.one()).text.startswith("Take your BTC and run")
    more = payload.Includes({}, {"7": {"id": "7", "options": [{"label": "Yes &amp; no"}]}})
    made = payload.read_post({"id": "5", "text": "Well?", "attachments": {"poll_ids": ["7"]}}, "x::1", more, START)
    assert isinstance(made, Post)
    assert made.text == "Well?\n- Yes & no"


async def test_kinds_and_references(wired: Wired) -> None:
    wired.world.repost("acme", "other", "a story")
    wired.world.reply("acme", "@jo hello")
    wired.world.reply("acme", "and another thing", to="1")
    wired.world.post("acme", "look https://twitter.com/jo/status/55", referenced_tweets=[{"type": "quoted", "id": "55"}])
    found = [(i.kind, i.referenced_author) for i in await wired.read() if isinstance(i, Post)]
    assert found == [(Kind.REPOST, "other"), (Kind.REPLY, ""), (Kind.POST, ""), (Kind.QUOTE, "")]
    assert (await wired.read())[-1].text == "look"


async def test_the_post_dialect_of_2_167_reads_the_same(wired: Wired) -> None:
    post = wired.world.post("acme", "word " * 100)
    wired.world.edit("acme", post, "word " * 99)
    before = await wired.read()
    wired.world.dialect = "post"
    assert await wired.read() == before
    assert (before[0].root_id, before[0].version) == (post, 2)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("fault", "value", "trouble"),
    [
        ("html", 503, Trouble.UNAVAILABLE),
        ("empty", 500, Trouble.UNAVAILABLE),
        ("html", 200, Trouble.UNAVAILABLE),
        ("broken_json", 200, Trouble.UNAVAILABLE),
        ("list_body", 200, Trouble.UNAVAILABLE),
        ("list_body", 503, Trouble.UNAVAILABLE),
        ("json", (400, {"title": "Invalid Request"}, {}), Trouble.REJECTED),
        ("json", (401, stand_in.UNAUTHORIZED, {}), Trouble.CREDENTIALS),
        ("json", (402, stand_in.UNFUNDED, {}), Trouble.CREDITS),
        ("json", (403, {"title": "Client Forbidden", "reason": "client-not-enrolled"}, {}), Trouble.CREDENTIALS),
        ("empty", 404, Trouble.UNAVAILABLE),
        ("json", (429, stand_in.RATE_LIMITED, {}), Trouble.RATE_LIMITED),
        ("json", (429, {"errors": [{"code": 88, "message": "Rate limit exceeded"}]}, {}), Trouble.RATE_LIMITED),
        ("json", (429, stand_in.USAGE_CAPPED, {"x-rate-limit-remaining": "9999"}), Trouble.CREDITS),
        ("drop_before", None, Trouble.NETWORK),
        ("half_body", None, Trouble.NETWORK),
    ],
)
async def test_every_failure_becomes_one_of_our_own(wired: Wired, fault: str, value: Any, trouble: Trouble) -> None:
    wired.world.faults.add(fault, times=3, value=value)
    with pytest.raises(SourceError) as raised:
        await wired.read()
    assert raised.value.trouble is trouble
    assert "x-token" not in str(raised.value)
    assert raised.value.helps_to_wait == (trouble in (Trouble.UNAVAILABLE, Trouble.NETWORK, Trouble.RATE_LIMITED))


async def test_a_redirect_is_not_followed_with_our_token(wired: Wired) -> None:
    wired.world.faults.add("json", value=(302, {}, {"Location": "/2/users?ids=1"}))
    with pytest.raises(SourceError, match="302"):
        await wired.read()
    assert len(wired.world.requests) == 1


async def test_a_rate_limit_says_when_to_come_back(wired: Wired) -> None:
    reset = str(int((START + timedelta(minutes=7)).timestamp()))
    headers = {"x-rate-limit-remaining": "0", "x-rate-limit-reset": reset}
    wired.world.faults.add("json", value=(429, stand_in.RATE_LIMITED, headers))
    with pytest.raises(SourceError) as raised:
        await wired.read()
    assert raised.value.retry_at == START + timedelta(minutes=7)
    wired.world.faults.add("json", value=(429, stand_in.RATE_LIMITED, {}))
    with pytest.raises(SourceError) as raised:
        await wired.read()
    assert raised.value.retry_at == START + timedelta(seconds=60)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429])
@pytest.mark.parametrize(
    "body", [b"<html>You have been blocked</html>", b'{"message": "Forbidden"}', b"", b"[]", b"{", b"nginx", b'{"status": 404}']
)
def test_a_refusal_that_is_not_of_x_is_no_sign_of_a_dead_token_nor_of_a_lost_account(status: int, body: bytes) -> None:
    found = _x_client.refusal(_x_client.Answer(status, {"server": "proxy"}, body), START)
    assert found is not None
    assert "something in front of X refuses this host" in str(found)
    assert (found.trouble, found.helps_to_wait) == (Trouble.UNAVAILABLE, True)
    theirs = _x_client.refusal(_x_client.Answer(status, {"X-Transaction-Id": "1"}, b""), START)
    assert theirs is not None
    assert "in front of" not in str(theirs)


async def test_a_blocked_host_is_said_to_be_one_and_no_account_to_be_gone(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        for path in ("/2/users", "/2/tweets"):
            w.x.faults.add("html", path, times=100_000, value=403)
        await w.run(75)
        (page,) = w.slack.waking()
        assert "omething in front of X refuses this host" in page.words()
        assert "bearer token" not in page.words()
        kept = w.service.store.sql.execute("SELECT seen FROM oddities WHERE what LIKE '%in front of X%'").fetchall()
        assert len(kept) == 1
        assert kept[0]["seen"] > 10


@given(st.lists(st.tuples(st.sampled_from(["x-rate-limit", "x-app-limit-24hour", "x-user-limit-24hour"]), st.integers(1, 80_000), st.booleans()),
                min_size=1, max_size=3, unique_by=lambda limit: limit[0]))  # fmt: skip
def test_of_several_limits_that_are_used_up_the_one_that_ends_last_is_waited_for(limits: list[tuple[str, int, bool]]) -> None:
    headers: dict[str, str] = {}
    for name, seconds, used_up in limits:
        headers |= {
            f"{name}-reset": str(int(START.timestamp()) + seconds),
            f"{name}-remaining": "0" if used_up else "7",
            f"{name}-limit": "9",
        }
    found = _x_client.refusal(_x_client.Answer(429, headers, json.dumps(stand_in.RATE_LIMITED).encode()), START)
    assert found is not None
    assert found.retry_at is not None
    used = [limit for limit in limits if limit[2]] or [limit for limit in limits if limit[0] == "x-rate-limit"]
    waits = [min(s, 960) if n == "x-rate-limit" else s for n, s, _ in used] or [60]
    assert (found.retry_at - START).total_seconds() == max(waits)
    assert f"{found.retry_at:%H:%M:%S}" in str(found) or waits == [60]


async def test_a_limit_for_a_day_is_waited_for(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        at = int(w.clock().timestamp()) + 8 * 3_600
        headers = {"x-rate-limit-remaining": "5", "x-app-limit-24hour-remaining": "0", "x-app-limit-24hour-reset": str(at)}
        w.x.faults.add("json", "/2/users/", value=(429, stand_in.RATE_LIMITED, headers))
        await w.run(5)
        asked = sum("/2/users/" in r for r in w.x.requests)
        await w.run(7_200)
        assert sum("/2/users/" in r for r in w.x.requests) == asked
        assert any("x-app-limit-24hour is reset" in m.words() for m in w.slack.waking())
        w.clock.move(6 * 3_600)
        await w.run(5)
        assert sum("/2/users/" in r for r in w.x.requests) > asked


@pytest.mark.parametrize(("state", "words"), [("suspended", "suspended"), ("gone", "does not exist")])
async def test_an_account_that_vanished_is_said_in_plain_words(wired: Wired, state: str, words: str) -> None:
    wired.world.named("acme").state = state
    with pytest.raises(SourceError, match=words) as raised:
        await wired.source.read(ACCOUNT, "0")
    assert raised.value.trouble is Trouble.GONE
    unresolved = (await wired.source.resolve(("acme",)))["acme"]
    assert isinstance(unresolved, SourceError)
    assert words in str(unresolved)
    hidden = (await wired.source.profiles((ACCOUNT,))).found[ACCOUNT.key]
    assert isinstance(hidden, SourceError)


async def test_a_protected_account_shows_its_profile_but_not_its_posts(wired: Wired) -> None:
    wired.world.change("acme", protected=True)
    with pytest.raises(SourceError, match="protected"):
        await wired.read()
    profile = (await wired.source.profiles((ACCOUNT,))).found[ACCOUNT.key]
    assert isinstance(profile, Profile)
    assert profile.protected == "yes"


async def test_a_renamed_account_is_followed_by_its_id(wired: Wired) -> None:
    wired.world.change("acme", username="acme_official_0x")
    wired.world.post("acme_official_0x", "We are sold.")
    assert (await wired.one()).text == "We are sold."


async def test_a_short_page_is_not_the_last_page(wired: Wired) -> None:
    for number in range(230):
        wired.clock.move(0.01)
        wired.world.post("acme", f"number {number}")
    assert len(await wired.read()) == 230


async def test_very_long_posts_are_read_in_smaller_pages(wired: Wired) -> None:
    for number in range(100):
        wired.clock.move(0.01)
        wired.world.post("acme", f"{number} " + "x" * 200_000)
    assert len(await wired.read()) == 100


async def test_one_poisoned_post_between_two_good_ones_stops_nobody(wired: Wired) -> None:
    wired.world.post("acme", "one")
    bad = wired.world.post("acme", "two")
    wired.world.named("acme").posts[bad]["created_at"] = "soon"
    wired.world.post("acme", "three")
    found = await wired.read()
    assert sorted(i.text if isinstance(i, Post) else i.id for i in found) == sorted(["one", bad, "three"])


@pytest.mark.parametrize("odd", ["²", "١٢", "", "-5", 12.5, "9" * 40])
async def test_an_id_that_is_no_number_of_x_is_unreadable_and_stops_nobody(wired: Wired, odd: object) -> None:
    bad = wired.world.post("acme", "odd")
    wired.world.named("acme").posts[bad]["id"] = odd
    wired.world.post("acme", "fine")
    found = await wired.read()
    assert [i.text for i in found if isinstance(i, Post)] == ["fine"]
    assert len(found) == 2


async def test_only_posts_that_x_calls_not_found_are_missing(wired: Wired) -> None:
    kept, gone = wired.world.post("acme", "one"), wired.world.post("acme", "two")
    wired.world.delete("acme", gone)
    assert (await wired.source.posts((ACCOUNT,), (kept, gone))).gone == {gone}


async def test_lone_surrogates_are_replaced_at_the_edge() -> None:
    data = bounded_json.read(b'{"text": "a\\ud800b"}')
    assert data["text"].encode("utf-8") == b"a?b"


SHAPES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["id", "text", "entities", "urls", "url", "expanded_url", "referenced_tweets", "type", "attachments", "media_keys", "note_tweet",
         "created_at", "article", "edit_history_tweet_ids", "author_id", "in_reply_to_user_id", "poll_ids", "username", "name"]), inner, max_size=6),
    max_leaves=20,
)  # fmt: skip


@given(SHAPES)
@settings(max_examples=400, deadline=None)
def test_no_shape_of_an_answer_makes_the_parser_raise(shape: Any) -> None:
    made = payload.read_post(shape, "x::1", payload.includes({"includes": shape}), START)
    assert isinstance(made, Post | Unreadable)
    assert made.id


# --- against X's own description and recordings ---------------------------------------------------


def _schema(name: str, version: str = "2.166") -> dict[str, Any]:
    spec = json.loads((DATA / f"x_openapi_{version}.json").read_text())

    def open_(node: Any) -> Any:
        """OpenAPI's discriminator is not JSON Schema's; everything else is."""
        if isinstance(node, dict):
            return {k: open_(v) for k, v in node.items() if k != "discriminator"}
        return [open_(v) for v in node] if isinstance(node, list) else node

    return {"$ref": f"#/components/schemas/{name}", "components": open_(spec["components"])}


@needs_data
async def test_what_the_stand_in_answers_is_what_x_describes(wired: Wired) -> None:
    world = wired.world
    world.change("acme", link="https://acme.example", description="Hello", location="Lisbon")
    first = world.post("acme", "Fish & chips https://acme.example/a", pictures=1)
    world.post("acme", "word " * 100)
    world.repost("acme", "other", "a story")
    world.reply("acme", "@jo hello")
    world.edit("acme", world.post("acme", "a"), "b")
    for path, name in (
        ("/2/users/1/tweets?max_results=5", "Get2UsersIdTweetsResponse"),
        ("/2/users/99/tweets", "Get2UsersIdTweetsResponse"),
        ("/2/users?ids=1,99", "Get2UsersResponse"),
        ("/2/users/by?usernames=acme,nobody_here", "Get2UsersByResponse"),
        (f"/2/tweets?ids={first},5", "Get2TweetsResponse"),
    ):
        async with wired.source.client.shared.get(wired.source.client.base + path, headers={"Authorization": "Bearer x-token"}) as answer:
            body = await answer.json()
        jsonschema.Draft7Validator(_schema(name)).validate(body)


@needs_data
async def test_what_the_stand_in_tells_by_itself_is_what_x_describes(wired: Wired) -> None:
    world, client = wired.world, wired.source.client
    activity = x_activity.build(interface.Settings({"api_base": client.base}, client.shared, wired.clock), SECRETS)
    filtered = x_stream.build(interface.Settings({"api_base": client.base}, client.shared, wired.clock), SECRETS)
    assert (await activity.prepare((ACCOUNT,))).covered
    assert (await filtered.prepare((ACCOUNT,))).covered
    headers = {"Authorization": "Bearer x-token"}
    subscription = {"event_type": "post.create", "filter": {"user_id": "7"}, "tag": "t"}
    asked = [
        ("POST", "/2/activity/subscriptions", subscription, "CreateActivitySubscriptionResponse"),
        ("GET", "/2/activity/subscriptions", None, "GetActivitySubscriptionsResponse"),
        ("GET", "/2/tweets/search/stream/rules", None, "GetRulesResponse"),
        ("GET", "/2/connections", None, "GetConnectionHistoryResponse"),
        ("DELETE", "/2/connections/all", None, "DeleteAllConnectionsResponse"),
        ("GET", "/2/usage/tweets", None, "GetUsageResponse"),
        ("DELETE", "/2/activity/subscriptions?ids=1", None, "DeleteActivitySubscriptionsByIdsResponse"),
    ]
    for method, path, body, name in asked:
        async with client.shared.request(method, client.base + path, json=body, headers=headers) as answer:
            assert answer.status == 200, path
            jsonschema.Draft7Validator(_schema(name, "2.167")).validate(await answer.json())
    async with client.stream("/2/activity/stream") as chunks, client.stream("/2/tweets/search/stream") as posts:
        identifier = world.post("acme", "Fish & chips https://acme.example/a", pictures=1)
        world.change("acme", name="Free Coins")
        world.delete("acme", identifier)
        world.push.began(world.named("acme"), "broadcast", "Live")
        world.push.close()
        events = [json.loads(line) async for chunk in chunks for line in chunk.splitlines() if line.strip()]
        told = [json.loads(line) async for chunk in posts for line in chunk.splitlines() if line.strip()]
    assert [e["data"]["event_type"] for e in events] == ["post.create", "profile.update.screenname", "post.delete", "broadcast.start"]
    for event in events:
        payload_of = event["data"].pop("payload")
        event["data"]["event_uuid"] = event["data"]["event_uuid"].lstrip("-")  # negative in the samples, not in the description
        event["data"].pop("includes", None)  # the samples nest a user under `data` there, which the description does not have
        jsonschema.Draft7Validator(_schema("ActivityStreamResponse", "2.167")).validate(event)
        if event["data"]["event_type"] == "post.create":
            jsonschema.Draft7Validator(_schema("Tweet")).validate(_without_twins(payload_of))
    for one in told:
        jsonschema.Draft7Validator(_schema("FilteredStreamingTweetResponse")).validate(one)
    async with client.shared.get(
        f"{client.base}/2/tweets/search/recent?query=from:1&end_time=2027-01-01T00:00:00Z", headers=headers
    ) as answer:
        jsonschema.Draft7Validator(_schema("Get2TweetsSearchRecentResponse")).validate(await answer.json())


def _without_twins(node: Any) -> Any:
    """Samples carry `x_str` beside every integer `x`; the description does not have them."""
    return {k: _without_twins(v) for k, v in node.items() if not k.endswith("_str")} if isinstance(node, dict) else node


@needs_data
def test_recorded_answers_of_the_real_x_become_posts() -> None:
    count = 0
    for line in (DATA / "x_recorded_responses.jsonl").read_text().splitlines():
        page = json.loads(line)["body"]
        page = json.loads(page) if isinstance(page, str) else page
        for data in page["data"] if isinstance(page["data"], list) else [page["data"]]:
            if "text" in data:
                made = payload.read_post(data, "x::1", payload.includes(page), START)
                assert isinstance(made, Post)
                assert made.text
                assert "&amp;" not in made.text
                count += 1
    assert count > 200


async def test_an_old_post_is_not_read_again_and_a_late_one_before_a_young_post_is(wired: Wired) -> None:
    wired.world.post("acme", "First.")
    first = await wired.source.read(ACCOUNT, None)
    wired.clock.move(60)
    late = wired.world.post("acme", "Late.")
    hidden = wired.world.named("acme").posts.pop(late)
    wired.clock.move(1)
    wired.world.post("acme", "Young.")
    young = await wired.source.read(ACCOUNT, first.cursor)
    wired.world.named("acme").posts[late] = hidden
    wired.clock.move(300)
    again = await wired.source.read(ACCOUNT, young.cursor)
    assert "Late." in [i.text for i in again.items if isinstance(i, Post)], "ids can arrive late"
    wired.clock.move(86_400)
    assert (await wired.source.read(ACCOUNT, again.cursor)).items == (), "X would bill it anew every day"


@pytest.mark.parametrize("behind", ["を見て", "です", "の", "é", "_now", "。"])
def test_a_link_is_read_whatever_stands_right_behind_it(behind: str) -> None:
    """No blank ends a link in Japanese: taken for a part of it, the rest made every such registered post page, and hid where it leads."""
    links = [{"url": "https://t.co/abc1234567", "expanded_url": "https://acme.example/a"}]
    data = {"id": "5", "text": f"詳しくはhttps://t.co/abc1234567{behind}", "entities": {"urls": links}}
    made = payload.read_post(data, "x::1", payload.Includes({}, {}), START)
    assert isinstance(made, Post)
    assert (made.text, made.links) == (f"詳しくはhttps://acme.example/a{behind}", ("https://acme.example/a",))


def test_every_word_about_a_picture_is_read_wherever_x_puts_it() -> None:
    data = {
        "id": "1993000000000000001", "text": "Look", "author_id": "1", "edit_history_tweet_ids": ["1993000000000000001"],
        "created_at": "2026-11-21T03:00:00.000Z", "attachments": {"media_keys": ["3_1", "7_2", "3_3"]},
        "media_metadata": [{"media_key": "3_1", "alt_text": "A door"}, {"media_key": "7_2", "title": "Our film", "description": None}, "junk"],
    }  # fmt: skip
    more = payload.includes({"includes": {"media": [{"media_key": "3_1", "type": "photo", "alt_text": "A door"}]}})
    item = payload.read_post(data, "x::1", more, START)
    assert isinstance(item, Post)
    assert [(m.type, m.alt_text) for m in item.media] == [("photo", "A door"), ("unknown", "Our film"), ("unknown", "")]
