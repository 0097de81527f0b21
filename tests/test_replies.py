"""Replies are recorded, and what nobody can read without looking, their pictures, is told and looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from monitor import incidents, vision
from monitor.incidents import Event, account_of, is_over
from monitor.model import Human, Incident, Paging, Severity, State
from monitor.vision import Seen, Vision
from tests.conftest import START, World, world
from tests.test_pictures import picture


def subjects(w: World) -> list[tuple[str, str, Severity, State]]:
    found = reversed(w.service.store.incidents())
    return [(i.subject.partition(":")[0], i.headline, i.severity, i.state) for i in found]


async def test_replies_with_pictures_share_one_thread_an_hour_and_nobody_has_to_resolve_it(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        for _ in range(5):
            w.x.reply("acme", "@jo like this", pictures=1)
            await w.run(60)
        assert subjects(w) == [("replies", "Reply with a picture or video", Severity.NOTIFY, State.OPEN)]
        await w.skip(4_200)
        assert subjects(w)[0][3] is State.RESOLVED
        assert w.service.store.incidents()[0].outcome == "over"
        w.x.reply("acme", "@jo and like this", pictures=1)
        await w.run(5)
        assert [s[3] for s in subjects(w)] == [State.RESOLVED, State.OPEN]
        assert (len(w.slack.roots()), w.slack.waking()) == (2, [])


async def test_the_thread_of_replies_holds_up_neither_a_notice_nor_a_page_of_the_account(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.reply("acme", "@jo like this", pictures=1)
        await w.run(5)
        w.x.change("acme", location="Berlin")
        await w.run(5)
        w.x.post("acme", "Nobody planned this")
        await w.run(5)
        assert [s[0] for s in subjects(w)] == ["replies", "x", "x"]
        assert len(w.slack.waking()) == 1
        w.x.reply("acme", "@jo and like this", pictures=1)
        await w.run(40)
        assert len(subjects(w)) == 3, "while somebody is woken anyway, everything stands in one thread"
        assert w.service.store.posts("kind = 'reply'")[-1].incident == 3


async def test_the_same_words_in_a_reply_and_in_a_post_are_not_two_accounts(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.reply("acme", "like this, everybody", pictures=1)
        await w.run(5)
        w.x.post("acme", "like this, everybody")
        await w.run(5)
        assert "same text" not in " ".join(m.words() for m in w.slack.messages.values())
        assert "another of our accounts" not in " ".join(m.words() for m in w.slack.messages.values())


async def test_an_accused_reply_with_a_picture_pages_as_before(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.reply("acme", "@jo see https://acme-help.support/x", pictures=1)
        await w.run(5)
        assert subjects(w)[0][0] == "x"
        assert len(w.slack.waking()) == 1


async def test_a_notice_says_when_no_machine_looks_at_the_picture(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.service.outbox.reads_pictures = False
        w.x.reply("acme", "@jo like this", pictures=1)
        await w.run(5)
        assert "nobody reads what its pictures say" in w.slack.roots()[0].words()
    (tmp_path / "other").mkdir()
    async with world(tmp_path / "other") as w:
        w.service.outbox.reads_pictures = True
        identifier = w.x.reply("acme", "@jo like this", pictures=1)
        w.x.media[f"3_{identifier}0"]["type"] = "animated_gif"
        await w.run(5)
        assert "what is not a photo is not read" in w.slack.roots()[0].words()


class Reader(Vision):
    """Finds in every picture what the test says."""

    shows = Seen()

    async def _seen(self, post: Any) -> Any:
        return self.shows


async def looked(w: World, shows: Seen) -> None:
    service = w.service
    reader = Reader(service.store, service.pictures, service.judge, service.outbox, service.clock, service.wake.set)
    reader.shows = shows
    await reader.look()
    await w.run(40)


@pytest.mark.parametrize(
    ("shows", "pages"),
    [
        (Seen(("Tap Help, then Chat",)), False),
        (Seen((), ("https://acme.example/app",)), False),
        (Seen((), ("https://evil.example/app",)), True),
        (Seen(("Write to acme-desk.xyz",)), True),
        (Seen(("CONNECT YOUR WALLET", "and claim your tokens now")), True),
        (Seen((), ("bitcoin:bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4?amount=1",)), True),
    ],
)
async def test_what_is_found_in_the_picture_of_a_reply_pages(tmp_path: Path, shows: Seen, pages: bool) -> None:
    async with world(tmp_path) as w:
        w.x.reply("acme", "@jo like this", files=(picture(1),))
        await w.run(5)
        await looked(w, shows)
        assert len(w.slack.waking()) == pages
        if pages:
            paged = w.service.store.open_incident("x::2244994945")
            assert paged
            assert paged.severity is Severity.PAGE
            assert w.service.store.posts("kind = 'reply'")[0].incident == paged.id
            assert f"see INC-{paged.id}" in " ".join(m.words() for m in w.slack.messages.values())


async def test_a_picture_is_read_although_its_thread_was_over_before(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.reply("acme", "@jo like this", files=(picture(1),))
        await w.run(5)
        await w.skip(3_700)
        await looked(w, Seen((), ("https://evil.example/app",)))
        assert len(w.slack.waking()) == 1


@pytest.mark.slow
async def test_a_code_in_the_picture_of_a_reply_pages_over_http(tmp_path: Path) -> None:
    pytest.importorskip("zxingcpp")
    from tests.test_vision import code

    async with world(tmp_path) as w:
        w.x.reply("acme", "@jo like this", files=(code("https://evil.example/app"),))
        await w.run(5)
        assert vision.installed()
        await w.service.look_into_pictures()
        await w.run(5)
        assert "leads to evil[.]example" in w.slack.waking()[0].words()


def test_an_hour_is_over_when_it_is_over_and_when_the_clock_was_set_back() -> None:
    event = Event("replies:x::1", "@acme", Severity.NOTIFY, "Reply", "", START)
    opened = incidents.absorb(event, None, None, ()).incident
    hour = incidents.REPLIES_LAST
    assert [is_over(opened, START + hour * n / 2) for n in (-2, -1, 0, 1, 2)] == [True, False, False, False, True]
    other = Incident(1, "x::1", "@acme", Severity.PAGE, "", "", START, START)
    assert not is_over(other, START + 5 * hour)
    assert account_of("replies:x::1") == account_of("x::1") == "x::1"
    assert isinstance(incidents.act(opened, Human("acknowledge", "jo", "slack", START), Paging()), tuple)
