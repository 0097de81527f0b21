"""Of every difference only a slip that makes no word lowers a page to a notice."""

from __future__ import annotations

import json
import random
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor import words
from monitor.model import Exact, Near, NoMatch
from monitor.verdict.approved import Queue
from monitor.verdict.slips import _one_slip_from, reads_as_itself
from monitor.verdict.text import canonical
from monitor.verdict.vocabulary import USUAL, MissingVersionError, Vocabulary, is_word, reads_english
from tests.alterations import DANGEROUS, REAL_WORDS, SLIPS, altered, swapped
from tests.verdict.test_approved import NOW, approved, post

PAIRS = Path(__file__).parents[3] / "shared" / "cases" / "attacks" / "word_pairs.json"
_SENTENCES = (
    "We are happy that {} is part of the new plan, and all of you can see it now.",
    "{} is what we have for you this week, and more of it is on the way.",
    "All of you have asked us about the word {}. Here is what we think of it:\nit is good for the team.",
    "This is our view of the market: {}! We will have more for you when it is ready.",
    "You can ask the whole team of our bank about “{}”, and they will be there for you.",
)


def _list() -> Vocabulary:
    found = words.load()
    assert found
    return found


WORDS = _list()


def lowered(registered: str, posted: str) -> bool:
    return isinstance(Queue([approved(registered)], vocabulary=WORDS).match(post(posted)), Near)


def _pairs() -> list[tuple[str, str]]:
    shared = [(a, b) for a, b, _ in json.loads(PAIRS.read_text())] if PAIRS.is_file() else []
    return [
        *REAL_WORDS,
        *shared,
        ("stream", "steam"),
        ("march", "match"),
        ("wallets", "wallers"),
        ("tokens", "tokes"),
        ("staking", "stalking"),
    ]


@pytest.mark.parametrize(("one", "other"), _pairs())
def test_a_word_put_for_another_pages_either_way_in_any_case_and_place(one: str, other: str) -> None:
    for sentence in _SENTENCES:
        registered = sentence.format(one)
        assert reads_english(canonical(registered), WORDS), "or the test shows nothing"
        for before, after in ((one, other), (other, one)):
            for cased in (str, str.capitalize, str.upper):
                assert not lowered(sentence.format(cased(before)), sentence.format(cased(after)))
        assert not any(lowered(registered, posted) for posted in swapped(registered, [(one, other)]))


_COMMON = sorted(w for part in list(words._parts(words.FILE.read_bytes()))[:3] for w in part().decode().split("\n") if len(w) > 3)


@given(st.sampled_from(_COMMON), st.sampled_from(_SENTENCES), st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_no_word_is_ever_a_slip_of_another(one: str, sentence: str, dice: random.Random) -> None:
    others = [w for w in set(_one_slip_from(one)) if w != one and is_word(w, WORDS)]
    for other in dice.sample(sorted(others), min(6, len(others))):
        assert not lowered(sentence.format(one), sentence.format(other))


@pytest.mark.parametrize(
    ("registered", "posted"),
    [("service", "servise"), ("Customers", "Custommers"), ("announcement", "annoucement"), ("security", "secrity")],
)
def test_a_slip_that_makes_no_word_is_a_notice(registered: str, posted: str) -> None:
    for sentence in _SENTENCES:
        match = Queue([approved(sentence.format(registered))], vocabulary=WORDS).match(post(sentence.format(posted)))
        assert match == Near(1, (f"“{registered}” became “{posted}”",), words.version())


@pytest.mark.parametrize(
    ("registered", "posted", "why"),
    [
        ("service", "servies", "also one slip from “series”, which everybody uses"),
        ("service", "Service", "another case"), ("Service", "servise", "another case beside the slip"), ("SERVICE", "SERVISE", "a name, perhaps"),
        ("service", "servise's", "more than a word"), ("self-service", "self-servise", "no plain word"), ("don’t", "dont", "a negation"),
        ("service", "serviсe", "a letter of another alphabet"), ("service", "sеrvice", "the same"), ("service", "serv\u0131ce", "a Turkish letter"),
        ("service", "service\u0301", "a mark"), ("service", "ser\u200bvice", "an invisible sign"), ("service", "serv1ce", "a digit"),
        ("service", "sevrise", "two slips"), ("service", "ervice", "the first letter"), ("service", "aservice", "the first letter"),
        ("help", "hlep", "too short"), ("today", "todya", "a day"), ("million", "milion", "a number"), ("never", "nevr", "a negation"),
        ("thursday", "thurdsay", "a day"), ("percent", "pecrent", "a unit"), ("#service", "#servise", "a hashtag"), ("@service", "@servise", "a handle"),
        ("service", "ser vice", "two words"), ("service", "service.", "a mark at the end"), ("hyperpool", "hyperpol", "no word when it was registered"),
        ("would", "wouldn", "half a negation"), ("stable", "stablecoin", "another word"), ("plan", "planed", "another word"), ("market", "marked", "another word"),
        ("moon", "mooning", "an inflection"), ("protocol", "protocols", "more of them"), ("launch", "launchs", "an inflection that no list has"),
    ],
)  # fmt: skip
def test_everything_else_pages(registered: str, posted: str, why: str) -> None:
    assert not lowered(_SENTENCES[0].format(registered), _SENTENCES[0].format(posted)), why


def test_two_slips_page_also_in_two_words() -> None:
    assert not lowered("Our custody service is open for all of you.", "Our cutsody servise is open for all of you.")


def test_a_word_of_any_registration_is_a_word() -> None:
    registered, posted = (f"All of you can use the {w} in our new app now." for w in ("service", "servise"))
    assert lowered(registered, posted)
    other = replace(approved("The servise, as we call it, has a new name."), id=2, account="x::2")
    assert isinstance(Queue([approved(registered), other], vocabulary=WORDS).match(post(posted)), NoMatch)
    forgotten = replace(other, not_before=NOW - 200 * (NOW - other.not_before) * 24, not_after=NOW - 100 * (NOW - other.not_before) * 24)
    assert isinstance(Queue([approved(registered), forgotten], vocabulary=WORDS).match(post(posted)), Near)


OTHER_LANGUAGES = {
    "tr": "Yeni saklama hizmetimiz pazartesi açılıyor, kimse para yatırmadan önce mutlaka bildirimi okusun.",
    "tr in ascii": "Yeni hizmet pazartesi basliyor ve herkes icin ucretsiz olacak, detaylar sayfada.",
    "fi": "Uusi palvelumme alkaa maanantaina ja on kaikille ilmainen, lue ohjeet ennen talletusta.",
    "hu": "Az uj szolgaltatasunk hetfon indul es mindenkinek ingyenes lesz, a reszletek az oldalon.",
    "id": "Layanan baru kami dimulai pada hari Senin dan gratis untuk semua orang di negara ini.",
    "sw": "Huduma yetu mpya inaanza Jumatatu na ni bure kwa watu wote wa nchi hii.",
    "nl": "We openen maandag onze nieuwe dienst en die is gratis voor iedereen in het land of daarbuiten.",
    "de": "Wir starten am Montag den neuen Service, und er ist gratis im ganzen Land, also komm und nimm teil.",
    "fr": "Notre nouveau service commence lundi et reste gratuit pour tous, avec des conditions simples.",
    "es": "El nuevo servicio comienza el lunes y es gratis para todos, con condiciones muy simples.",
    "pt": "O novo servico comeca na segunda e vai ser gratis para todos, com regras muito simples.",
    "it": "Il nuovo servizio inizia in estate e sara gratis per tutti, con regole molto semplici.",
    "ro": "Noul serviciu incepe luni si este gratuit pentru toti clientii din toata tara.",
    "pl": "Nowa usluga rusza w poniedzialek i jest darmowa dla wszystkich klientow w kraju.",
    "vi": "Dich vu moi bat dau vao thu hai va mien phi cho tat ca moi nguoi trong nuoc.",
    "sv": "Vi har en ny service som startar nu och den kostar inte mer for dig som kund.",
    "da": "Vi har en god plan for alle der vil have den her service, og den er gratis.",
    "tl": "Ang bagong serbisyo ay magsisimula sa Lunes at libre para sa lahat ng tao.",
    "la": "Et in terra pax hominibus bonae voluntatis, laudamus te, benedicimus te.",
    "ja": "新しいサービスは月曜日に始まります。手数料は無料です。出金は可能です。",
    "zh": "我们的新服务星期一开始。今天可以提款，不要买，请卖。",
    "ko": "새 서비스는 월요일에 시작합니다. 오늘은 출금이 있습니다.",
    "ru": "Новый сервис начинается в понедельник и бесплатен для всех клиентов.",
    "half Turkish": "Our new service starts today for all of you! Yeni hizmet herkes icin ucretsiz, simdi deneyin.",
    "half German": "We are live now for all of you, mit unserem neuen Dienst und vielen Gewinnen im Land.",
    "half Japanese": "Our new service is live for all of you now 本日より利用できます",
    "a few words": "New service today",
}


@pytest.mark.parametrize("language", OTHER_LANGUAGES)
def test_where_there_is_no_list_nothing_is_lowered(language: str) -> None:
    registered = OTHER_LANGUAGES[language]
    assert not reads_english(canonical(registered), WORDS)
    queue = Queue([approved(registered)], vocabulary=WORDS)
    for at in range(len(registered)):
        for posted in (
            registered[:at] + registered[at + 1 :],
            registered[:at] + registered[at : at + 2][::-1] + registered[at + 2 :],
            f"{registered[:at]}e{registered[at:]}",
            f"{registered[:at]}e{registered[at + 1 :]}",
        ):
            assert not isinstance(queue.match(post(posted, lang="en")), Near), "and no field of the post decides the language"


@pytest.mark.parametrize(
    ("registered", "posted"),
    [
        ("出金は可能です", "出金は不可能です"), ("手数料は無料です", "手数料は有料です"), ("買いです", "売りです"), ("できます", "できません"),
        ("今天可以提款", "今天不可以提款"), ("请买", "请卖"), ("有风险", "没风险"), ("开放", "关放"),
        ("출금이 있습니다", "출금이 없습니다"), ("안전합니다", "불안전합니다"), ("합니다", "합니까"),
        ("Para çekme açıldı", "Para çekme açılmadı"), ("hesaplar kapalı", "hesaplar kapalı?"), ("gelecek", "gelmecek"), ("sıkışınca", "sikişınca"),
    ],
)  # fmt: skip
def test_a_turned_meaning_pages_in_every_language(registered: str, posted: str) -> None:
    assert isinstance(Queue([approved(registered)], vocabulary=WORDS).match(post(posted)), NoMatch)


def test_no_dangerous_alteration_is_excused_or_only_noticed() -> None:
    english = (
        "Our bank will launch the new custody service today at 10.50 EUR.\n- All \"deposits\" are safe! It's 5' long & good.\n"
        "Read more, and trade with us: https://acme.example/c @acmehelp #acmeday $ACME 📈"
    )
    for text in (english, *OTHER_LANGUAGES.values()):
        for seed in range(20):
            for name, posted in altered(text, DANGEROUS, seed):
                match = Queue([approved(text)], vocabulary=WORDS).match(post(posted))
                assert isinstance(match, NoMatch), (name, posted)


def test_a_slip_of_the_hand_is_mostly_a_notice() -> None:
    text = "Our bank will launch the custody service after the holiday, and customers have asked questions about withdrawal limits."
    slips = {posted for seed in range(60) for _, posted in altered(text, SLIPS, seed)}
    assert sum(lowered(text, posted) for posted in slips) > len(slips) / 2


# --- a registration is used up by a post that is near it -----------------------------------------------

_TEXT = "Our new custody service is open for all of you."


def test_only_one_post_is_near_a_registration() -> None:
    used = approved(_TEXT, used_by="99", used_at=NOW, used_near=True)
    queue = Queue([used], vocabulary=WORDS)
    for posted in (_TEXT, _TEXT.replace("service", "servise"), _TEXT.replace("custody", "cusotdy")):
        match = queue.match(post(posted))
        assert isinstance(match, NoMatch)
        assert match.nearest == 1
        assert "already used at 2026-11-21 12:00:00 UTC by a post that was one slip away from it" in match.reason
        assert "needs a new registration" in match.reason


def test_an_edit_that_corrects_the_slip_is_the_registered_post_and_one_with_another_slip_pages() -> None:
    queue = Queue([approved(_TEXT, used_by="99", used_at=NOW, used_near=True)], vocabulary=WORDS)
    edit = post(_TEXT, id="101", root_id="99", version=2)
    assert queue.match(edit) == Exact(1)
    assert isinstance(queue.match(replace(edit, text=_TEXT.replace("custody", "cusotdy"))), NoMatch)


# --- the list ------------------------------------------------------------------------------------------


def test_the_list_is_small_sorted_and_comes_with_its_licence() -> None:
    files = list(words.FILE.parent.iterdir())
    assert sum(f.stat().st_size for f in files) < 5_000_000
    assert "Kevin Atkinson" in (words.FILE.parent / "LICENSE").read_text()
    parts = [part() for part in words._parts(words.FILE.read_bytes())]
    assert all(part.split(b"\n") == sorted(set(part.split(b"\n"))) for part in parts)
    assert sum(map(len, parts)) < 10 * 2**20


def test_every_word_is_found_and_nothing_beside_it() -> None:
    parts = [part().decode().split("\n") for part in words._parts(words.FILE.read_bytes())]
    dice = random.Random(1)
    for part in parts:
        for word in [part[0], part[-1], *dice.sample(part, 300)]:
            assert WORDS.size(word)
            assert not WORDS.size(f"{word}qx")
    assert not any(WORDS.size(w) for w in ("", "\n", "a\nb", "Service", "sérvice", "servise", "zzzzzzzzzz", "\x00"))
    assert WORDS.size("service") == USUAL


def test_a_slip_between_two_usual_words_is_read_as_either() -> None:
    assert not reads_as_itself("launch", "lauch", WORDS)
    assert reads_as_itself("service", "servise", WORDS)


def test_a_list_that_cannot_be_read_lowers_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "english.zz"
    for data in (None, b"", b"x", b"3 4 5 6\n", b"1 1 1 1 1 1 1 1\nabcd", zlib.compress(b"service")):
        if data is not None:
            broken.write_bytes(data)
        monkeypatch.setattr(words, "FILE", broken)
        words.load.cache_clear()
        assert words.load() is None
        assert words.version() == ""
    words.load.cache_clear()
    assert isinstance(Queue([approved(_TEXT)], vocabulary=None).match(post(_TEXT.replace("service", "servise"))), NoMatch)


def test_a_list_of_another_version_says_so_when_it_is_asked() -> None:
    for version in ("english 000000000000", None):
        missing = words.as_of(version)
        queue = Queue([approved(_TEXT)], vocabulary=missing)
        assert queue.match(post(_TEXT)) == Exact(1)
        assert isinstance(queue.match(post("Something else altogether.")), NoMatch)
        with pytest.raises(MissingVersionError, match=r"english 0000|before there were lists"):
            queue.match(post(_TEXT.replace("service", "servise")))
    assert words.as_of("") is None
    assert words.as_of(words.version()) is words.load()
