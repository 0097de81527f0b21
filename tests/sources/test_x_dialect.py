"""X refuses fields, drops them or renames them: every read goes on, what is not seen is never approved, and somebody is told once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import desk
from monitor.model import Exact, Post, Profile, ProfileChange, Severity
from monitor.sources import _x_payload as payload
from monitor.sources._x_dialect import LADDERS, Form, Place, Value, refusal, unseen_fields, unseen_parts, words_of
from tests.conftest import START, World, world
from tests.sources.test_x import ACCOUNT, Wired, wired  # noqa: F401 - a fixture

SCAM = "Send any amount of BTC to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa and get double back!"
TWEET, POST = LADDERS["timelines"][:2]
USERS = LADDERS["profiles"][0]


def drifts(w: World) -> list[str]:
    return [m.words() for m in w.slack.roots() if "Unlike the documentation" in m.words()]


def changed(w: World) -> set[str]:
    return {k.post.field for k in w.service.store.posts("kind = 'profile'") if isinstance(k.post, ProfileChange)}


# --- what X's refusals name --------------------------------------------------------------------------

ENUM = "is not one of [attachments,author_id,created_at,id,text]"
FIRST = {
    "title": "Invalid Request",
    "detail": "One or more parameters to your request was invalid.",
    "type": "https://api.x.com/2/problems/invalid-request",
}


def shapes(parameter: str, value: str, asked: str) -> Iterator[dict[str, Any]]:
    """One refusal of one value, in every shape that X has sent or describes."""
    yield FIRST | {"errors": [{"parameters": {parameter: [value]}, "message": f"The `{parameter}` query parameter value [{value}] {ENUM}"}]}
    yield FIRST | {"errors": [{"parameters": {parameter: [asked]}, "message": f"The `{parameter}` query parameter value [{value}] {ENUM}"}]}
    yield FIRST | {"errors": [{"parameters": {parameter: asked.split(",")}, "message": f"[{value}] is no field"}]}
    yield FIRST | {"errors": [{"parameters": {parameter: [value]}}]}
    yield FIRST | {"errors": [{"parameter": parameter, "value": value, "title": "Invalid Request", "detail": "invalid"}]}
    yield FIRST | {"parameter": parameter, "value": value}
    yield FIRST | {"errors": [{"message": f"The `{parameter}` query parameter value [{value}] {ENUM}"}]}


@given(st.sampled_from(sorted(TWEET.values | POST.values | USERS.values)), st.integers(0, 6))
def test_whatever_shape_a_refusal_has_the_value_that_it_names_is_found(value: Value, shape: int) -> None:
    form = next(f for f in (TWEET, POST, USERS) if value in f.values)
    page = list(shapes(*value, form.params[value[0]]))[shape]
    alone = form.params[value[0]] == value[1]
    assert refusal(page, form).values == ({value} if not alone else {v for v in form.values if v[0] == value[0]})


def test_a_parameter_that_x_does_not_know_is_refused_whole_and_one_of_another_kind_is_not_about_fields() -> None:
    whole = {
        "errors": [{"parameters": {"tweet.fields": ["a"]}, "message": "The query parameter [tweet.fields] is not one of [id,post.fields]"}]
    }
    assert refusal(whole, TWEET).values == {v for v in TWEET.values if v[0] == "tweet.fields"}
    none = {"errors": [{"parameters": {}, "message": "None of [expansions, media.fields] may be provided."}]}
    assert {p for p, _ in refusal(none, TWEET).values} == {"expansions", "media.fields"}
    other = {"errors": [{"parameters": {"since_id": ["5"]}, "message": "'since_id' must be a tweet id created after [x]"}]}
    assert refusal(other, TWEET).elsewhere
    assert not refusal(other, TWEET).values
    echo = {"errors": [{"parameters": {"media.fields": [TWEET.params["media.fields"]]}, "message": f"{{}} {ENUM} or [type,url]"}]}
    assert refusal(echo, TWEET).values, "what is named cannot be told apart: better the whole parameter than no read"


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30) | st.sampled_from(["tweet.fields", "[entities]", "`expansions`"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["errors", "parameters", "parameter", "value", "message", "detail", "tweet.fields"]), inner, max_size=4
        )
    ),
    max_leaves=15,
)


@given(st.dictionaries(st.sampled_from(["errors", "title", "detail", "parameters", "parameter", "message"]), JUNK, max_size=4))
def test_no_refusal_names_what_was_not_asked_for_and_none_makes_the_reader_raise(page: dict[str, Any]) -> None:
    for form in (TWEET, POST, USERS, Form("bare")):
        assert refusal(page, form).values <= form.values
    assert len(words_of(page)) <= 200
    assert words_of(page).isprintable()


def test_the_words_of_a_refusal_carry_no_list_of_what_is_allowed_and_nothing_that_controls_a_terminal() -> None:
    said = words_of({"errors": [{"message": "The `expansions` query parameter value [a] is not one of [b,c,\x1b[31md]\u202e"}]})
    assert said == "The `expansions` query parameter value [a] is not one that it knows"


@given(
    st.text(max_size=60)
    | st.sampled_from(['{"rung": 5, "refused": [["a"]], "since": 1}', "[]", '{"rung":"post","refused":[],"since":null}'])
)
def test_a_place_that_cannot_be_read_is_the_top_of_the_ladder(text: str) -> None:
    assert Place.parse(text) == Place()


def test_a_place_is_what_it_was() -> None:
    place = Place("post", frozenset({("expansions", "author_id")}), START)
    assert Place.parse(str(place)) == place
    assert not place.form(LADDERS["timelines"]).asks("author_id")


# --- histories that hold no ids ------------------------------------------------------------------------

IDS: st.SearchStrategy[Any] = st.sampled_from(["", None, "x", " ", "0x5", "١٢", -5, 1.5, True, [], {}, [["5"]], "9" * 25])


@given(st.lists(IDS | JUNK, max_size=4) | IDS | st.dictionaries(st.text(max_size=3), IDS, max_size=2), st.sampled_from(["tweet", "post"]))
def test_a_history_without_ids_is_that_of_a_post_with_one_version(history: Any, dialect: str) -> None:
    data = {"id": "1990000000000000001", "text": "Hello", f"edit_history_{dialect}_ids": history}
    made = payload.read_post(data, "x::1", payload.includes({}), START)
    assert isinstance(made, Post)
    ids = [h for h in history if payload.is_id(str(h))] if isinstance(history, list) else []
    if not ids:
        assert (made.root_id, made.version, made.versions) == (made.id, 1, (made.id,))
        assert payload.newest_version(data) == ""


# --- the forms of questions --------------------------------------------------------------------------------


def test_what_a_form_leaves_out_is_named() -> None:
    assert unseen_parts(TWEET) == unseen_parts(POST) == ()
    assert "which pictures it has" in unseen_parts(TWEET.without(frozenset({("expansions", "attachments.media_keys")})))
    assert unseen_parts(Form("bare")) == ("everything beside its words",)
    first, second, dotted = LADDERS["profiles"][:3]
    assert unseen_fields(first) == unseen_fields(second) == unseen_fields(dotted) == frozenset()
    assert unseen_fields(second.without(frozenset({("expansions", "pinned_post_id")}))) == {"pinned_post"}
    assert unseen_fields(Form("bare")) == {
        "bio", "location", "link", "avatar", "banner", "pinned_post", "verified_type", "affiliation", "protected",
    }  # fmt: skip


@pytest.mark.parametrize("only", ["tweet", "post"])
async def test_in_either_dialect_everything_is_read_alike(wired: Wired, only: str) -> None:  # noqa: F811
    on_x = wired.world
    on_x.change("acme", link="https://acme.example", description="Hello", affiliation={"description": "Acme Group", "user_id": ["9"]})
    first = on_x.post("acme", "Fish & chips https://acme.example/a", pictures=1)
    on_x.edit("acme", on_x.post("acme", "a"), "b")
    on_x.post("acme", "word " * 100)
    on_x.repost("acme", "other", "a story")
    on_x.reply("acme", "@jo hello")
    on_x.reply("acme", "and another thing", to="1")
    on_x.change("acme", pinned_tweet_id=first)
    before, face = await wired.read(), (await wired.source.profiles((ACCOUNT,))).found
    on_x.fields.only = only
    assert await wired.read() == before
    faces = await wired.source.profiles((ACCOUNT,))
    assert (faces.found, faces.unseen) == (face, frozenset())
    assert faces.newest[ACCOUNT.key] == before[-1].id
    assert list((await wired.source.posts((ACCOUNT,), tuple(i.id for i in before))).items) == before
    found = (await wired.source.search((ACCOUNT, replace(ACCOUNT, id="2")), START - timedelta(hours=1))).items
    wired.clock.move(60)
    assert (await wired.source.search((ACCOUNT, replace(ACCOUNT, id="2")), START - timedelta(hours=1))).items or found
    refused = on_x.fields.refusals
    assert bool(refused) is (only == "post")
    await wired.read()
    assert on_x.fields.refusals == refused, "what X refuses is not asked for again"


async def test_an_x_that_spells_affiliation_with_a_dot_is_asked_so(wired: Wired) -> None:  # noqa: F811
    wired.world.change("acme", affiliation={"description": "Acme Group", "user_id": ["9"]})
    wired.world.fields.refused = {("/2/users", "expansions", "affiliation"), ("/2/users", "user.fields", "most_recent_tweet_id")}
    faces = await wired.source.profiles((ACCOUNT,))
    assert faces.unseen == frozenset()
    assert wired.world.requests[-1].endswith("affiliation.user_id")


async def test_an_endpoint_that_drops_the_old_names_without_a_word_is_asked_by_the_new_ones_in_the_same_read(wired: Wired) -> None:  # noqa: F811
    wired.world.post("acme", "Our fees https://acme.example/fees", pictures=1)
    before = await wired.read()
    wired.world.fields.ignores, wired.world.fields.only = {"/tweets"}, ""
    wired.world.fields.refused = set()
    on_x = wired.world.fields
    given_before = on_x.given

    def drops(one: Any, request: Any, dialect: str) -> dict[str, Any]:
        on_x.ignores = set() if "post.fields" in request.query else {"/tweets"}
        return given_before(one, request, dialect)

    on_x.given = drops  # type: ignore[method-assign]
    assert await wired.read() == before
    asked = len(wired.world.requests)
    assert await wired.read() == before
    assert len(wired.world.requests) == asked + 1


# --- stories -----------------------------------------------------------------------------------------------


async def test_a_field_that_x_refuses_costs_no_read_is_told_once_and_is_not_asked_for_after_a_restart(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.fields.refused = {("/tweets", f"{name}.fields", "card_uri") for name in ("tweet", "post")}
        w.x.fields.refused.add(("/users", "user.fields", "verified_type"))
        w.x.post("acme", SCAM)
        await w.run(1.25)  # one poll
        (page,) = w.slack.waking()
        assert "Unapproved post" in page.words()
        w.x.change("acme", name="FREE BTC", description=SCAM)
        await w.run(30)
        assert changed(w) == {"name", "bio"}, "and of profiles what X still gives, and nothing else"
        told = drifts(w)
        assert len([t for t in told if "timelines" in t]) == len([t for t in told if "profiles" in t]) == 1
        assert any("[card_uri] is not one that it knows" in t and "its link card" in t for t in told)
        sample = w.service.store.sql.execute("SELECT sample FROM oddities WHERE what LIKE '%ask of timelines%'").fetchone()[0]
        body = w.service.store.evidence(sample)
        assert json.loads(body or b"{}")["errors"][0]["parameters"]["tweet.fields"]
        refused = w.x.fields.refusals
    async with world(tmp_path, beside=w) as again:
        await again.run(30)
        assert w.x.fields.refusals == refused
        assert drifts(again) == told
        again.clock.move(3_700)
        await again.run(5)
        assert 0 < w.x.fields.refusals - refused <= 2, "now and then X is asked for everything again"
        w.x.fields.refused = set()
        again.clock.move(3_700)
        again.register("Fees fall on Monday.")
        again.x.post("acme", "Fees fall on Monday.")
        await again.run(5)
        assert _last(again).verdict.severity is Severity.CLEAR


def _last(w: World) -> Any:
    return w.service.store.posts("baseline = 0 AND kind = 'post'", ())[-1]


async def test_a_post_of_which_x_gives_id_and_text_only_is_never_quietly_approved(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        whole = [("/tweets", p, "") for p in ("tweet.fields", "post.fields", "expansions", "media.fields", "poll.fields")]
        w.x.fields.refused = set(whole)
        w.register("Fees fall on Monday.")
        w.x.post("acme", "Fees fall on Monday.")
        await w.run(3)
        kept = _last(w)
        assert isinstance(kept.verdict.match, Exact)
        assert kept.verdict.severity is Severity.NOTIFY
        assert "everything beside its words was not compared: the platform does not give it" in kept.verdict.reason
        assert desk.recompute(w.service.store, kept) == kept.verdict
        w.x.post("acme", SCAM)
        await w.run(3)
        assert "Unapproved post" in w.slack.waking()[0].words()


async def test_a_refusal_of_everything_is_said_in_x_s_own_words_and_a_refusal_of_something_else_moves_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        said = {"parameters": {"since_id": ["1"]}, "message": "'since_id' must be newer \x1b[31m<!channel>"}
        w.x.fields.refused = {("/users/", p, "") for p in ("tweet.fields", "post.fields", "expansions")}
        w.x.faults.add("json", "/2/users/2244994945/tweets", times=100_000, value=(400, {"errors": [said]}, {}))
        await w.run(75)
        row = w.service.store.account("x::2244994945", "acme")
        assert "X rejected the request as invalid (400): 'since_id' must be newer" in row["last_error"]
        assert "\x1b" not in row["last_error"]
        (page,) = w.slack.waking()
        assert "must be newer" in page.words()
        assert "<!channel>" not in page.words()
        assert not [d for d in drifts(w) if "timelines" in d]
        w.x.faults.script.clear()
        assert w.x.fields.refusals == 0


async def test_a_profile_first_seen_in_part_is_no_change_when_the_rest_of_it_comes(tmp_path: Path) -> None:
    def before(x: Any) -> None:
        x.change("acme", description="Hello", link="https://acme.example")
        x.fields.refused = {("/2/users", "user.fields", "description")}

    async with world(tmp_path, before=before) as w:
        w.x.change("acme", name="Acme!")
        await w.run(5)
        assert changed(w) == {"name"}
        w.x.fields.refused = set()
        w.clock.move(3_700)
        await w.run(10)
        profile = w.service.store.profile("x::2244994945")
        assert isinstance(profile, Profile)
        assert profile.bio == "Hello"
        assert changed(w) == {"name"}
        w.x.change("acme", description=SCAM)
        await w.run(5)
        assert changed(w) == {"name", "bio"}
