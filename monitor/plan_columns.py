"""Which column of a plan means what: by its name, or as whoever imports it says. No column is dropped in silence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from monitor.plan_names import fold, is_state, says_plainly, words_of

# Names of columns, letters and digits only, of publishing tools (their help pages) and as people call them in their languages.
_NAMES = {
    "text": "messagetext content text post message caption captions posttext postcopy copy tweet tweettext tweetcopy body beitrag beitragstext"
    " nachricht inhalt texte contenu texto mensaje contenido mensagem conteudo testo messaggio contenuto tekst inhoud bericht"
    " текст テキスト 本文 投稿文 内容 文案 正文 텍스트 본문 내용",
    "when": "postatspecifictime scheduledate scheduledat scheduleddate notbefore from date datetime dateandtime schedule when scheduledfor"
    " scheduledon scheduleddatetime scheduledatetime scheduledsendtime publishdate publishat publishon publishingdate publicationdate"
    " postdate postat dueat sendat sendon golivedate datum datumuhrzeit datumundzeit veroffentlichungsdatum datedepublication"
    " fecha fechadepublicacion fechahora data dataora datahora datapubblicazione datadepublicacao publicatiedatum dato tarih paivamaara"
    " wann termin posttermin veroffentlichungstermin erscheinungstermin erscheinungsdatum quand cuando quando wanneer"
    " дата датапубликации 日付 公開日 投稿日 日期 发布日期 날짜",
    "time": "time24hr time uhrzeit zeit heure hora ora orario tijd tid klokkeslett saat godzina cas aika время 時刻 時間 时间 시간",
    "either": "scheduledtime postingtime posttime publishtime publishingtime scheduletime sendtime 投稿日時 公開日時 发布时间 일시",
    "until": "notafter until",
    "zone": "timezone tz zone timezonename zeitzone fuseauhoraire zonahoraria fusoorario fusohorario tijdzone tidszon часовойпояс"
    " タイムゾーン 时区 시간대",
    "link": "link linkurl links linkurls ogmetaurl url urls lien liens enlace enlaces collegamento ссылка リンク 链接 링크",
    "media": "mediaurls mediaurl imageurls imageurl picture pictures image media images photo photos attachments mediafiles bild bilder",
    "gif": "gifurls gifurl gif gifs",
    "video": "videourls videourl videos video",
    "alt": "alttexts alttext alt imagealttext mediaalttext",
    "account": "account accounts accountname handle handles profile profiles profilename username platform platforms platformids network networks"
    " channel channels socialnetwork socialnetworks socialaccount socialaccounts socialprofile socialprofiles socialchannel"
    " konto konten kanal kanale netzwerk netzwerke plattform plattformen profil profile profils compte comptes reseau reseaux reseausocial"
    " canal canaux plateforme cuenta cuentas redsocial canales plataforma perfil conta contas rede redesocial canais"
    " retesociale canale canali piattaforma profilo netwerk kanaal kanalen tili аккаунт канал соцсеть アカウント チャンネル 账号 平台 渠道 계정 채널",
    "kind": "kind",
    "by": "approvedby approvedbyname genehmigtvon genehmigtdurch freigegebenvon freigegebendurch freigabedurch freigabevon approuvepar validepar aprobadopor"
    " aprovadopor approvatoda goedgekeurddoor",
    "external": "externalid",
    "comment": "comments commentstext commenttext commentscontent commentsmessage commentsbody firstcomment firstcommenttext firstcomments followupcomment followupcomments followup followups ersterkommentar premiercommentaire",
    "quotes": "quotes", "answers": "answers", "reposts": "reposts", "poll": "poll", "parts": "parts",
}  # fmt: skip
TELLING = (
    "date", "datum", "fecha", "time", "uhrzeit", "schedule", "scheduled", "publish", "publishing", "zone", "timezone", "account", "accounts",
    "profile", "profiles", "handle", "channel", "channels", "network", "networks", "platform", "platforms", "link", "links", "url", "urls",
    "media", "image", "images", "video", "videos", "photo", "picture", "gif", "day", "week", "month", "when", "live", "slot",
    "review", "reviewed", "reviewer", "signoff", "legal", "compliance", "decision", "stage", "phase", "cleared", "clearance",
)  # fmt: skip
_TELLING_ALONE = ("posting", "giorno", "jour", "dia", "dag")
_ABOUT = ("title", "titles", "description", "descriptions", "subtitle", "name")  # of a link or picture: words
_ENDS_OTHERWISE = (  # a day or date by its letters alone, or words about a picture, link or account
    "update", "updates", "candidate", "holiday", "holidays", "birthday", "birthdays", "accountmanager", "mediatype", "linktext",
    "photographer", "credit", "credits",
)  # fmt: skip
_REMARK = re.compile(r"[\[(](?!s\))([^\])]*)[\])]")


_MEANING = {fold(name): ours for ours, names in _NAMES.items() for name in names.split()}
MEANINGS = (*(ours for ours in _NAMES if ours != "either"), "status")
LISTS = ("link", "media", "gif", "video", "alt", "account", "status", "comment")  # of which a row may have several columns


def means(name: str) -> str:
    """Our name for what a column of that name holds, or an empty string. A date's or a time's is `either` where it could be both."""
    whole, short = fold(name), fold(_REMARK.sub("", name))
    if _MEANING.get(whole) == "by":  # holds a word of approval, and a name below it
        return "by"
    return "status" if is_state(name) else _MEANING.get(whole) or _MEANING.get(short, "")


def remark(name: str) -> str:
    """What stands in brackets behind a name, like a zone or the form of a date."""
    return " ".join(found.strip() for found in _REMARK.findall(name))


def target(name: str) -> str:
    """What `--column NAME=…` means by its first half, or an empty string."""
    ours = name if name in MEANINGS else means(name)
    return "when" if ours == "either" else "" if ours == "status" and not says_plainly(name) else ours


def tells(name: str) -> bool:
    """Whether a name that we do not know says that its column matters."""
    words, whole = words_of(name), fold(name)
    if any(word in _ABOUT for word in words) or whole.endswith(_ENDS_OTHERWISE):
        return False
    return (
        fold(name.rpartition(".")[2]) in _TELLING_ALONE
        or bool(set(words) & set(TELLING))
        or whole.startswith(TELLING)
        or whole.endswith(TELLING)
    )


def flat(data: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """A JSON object as names and values: what is nested is named by its path, lists of plain values and media stay whole."""
    for key, value in data.items():
        name = f"{before}.{key}" if before else key
        yield from _flat(name, value)


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from flat(value, name)
    elif isinstance(value, list) and means(name) not in ("media", "gif", "video") and any(isinstance(one, dict | list) for one in value):
        for one in value:
            yield from _flat(name, one)
    else:
        yield name, value


def filled(value: object) -> bool:
    """Whether a cell says anything."""
    return bool(value.strip()) if isinstance(value, str) else value not in (None, [], {})


_FOR_NOTHING = "- – — -- / n/a n.a. na none nil no nein non kein keine keins aucun aucune ninguno ninguna nessuno nessuna"
_NOTHING = frozenset(_FOR_NOTHING.split())


def is_nothing(meaning: str, cell: object) -> bool:
    """Whether a cell for what stands beside the text says in a word that there is none: a post is known by less then, never excused."""
    return meaning in LISTS and meaning not in ("account", "status") and str(cell).strip().lower() in _NOTHING


def quoted(names: Iterable[str]) -> str:
    """For people."""
    return ", ".join(f"“{name if len(name) <= 60 else name[:60] + '…'}”" for name in names)
