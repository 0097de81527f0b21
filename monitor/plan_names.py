"""What the name of a column says: its words, and whether it is that of a state or an approval, plainly enough for a bare yes to count."""

from __future__ import annotations

import re
import unicodedata

# Anywhere in a name.
_APPROVALS = (
    "approv freigabe freigegeben genehmig aprob aprov approuv goedkeur goedgekeurd godkan godken godkjen zatwierdz schvalen hyvaks onaylan"
    " утвержд одобр согласован затвердж 承認 审批 审核 승인 έγκριση אישור อนุมัติ phêduyệt persetujuan"
)
_STATES = "status state workflow statut estado статус состояние ステータス 状態 状态 상태 κατάσταση състояние סטטוס الحالة حالة स्थिति สถานะ trạngthái"
# A name of their own.
_APPROVAL_ALONE = "valide validee validation onay vistobueno vobo abnahme akkoord"
_STATE_ALONE = "stato etat tila stav durum zustand stand bearbeitungsstand avancement situacao situacion situazione stare stanje allapot"

# Words that may stand in the name of a column whose bare yes approves: what is approved, who does, and the words between. A word that
# turns it round (not, un-), puts it off (to, needs, before), counts or dates it is on no list, nor is any that we do not know.
_WHO = (
    "client clients customer legal compliance brand marketing pr comms communications communication corporate social media team manager"
    " management editor editors editorial agency ceo cmo coo cco chief head lead director executive exec stakeholder partner product sales"
    " finance hr regulatory medical mlr risk board owner internal external"
    " kunde kunden kundin recht rechtsabteilung redaktion presse kommunikation leitung chef chefin geschaftsfuhrung vorstand agentur intern"
    " extern juridique direction interne externe cliente juridico direccion interno interna legale direzione klant juridisch kund juridik"
    " kunden asiakas klient klienta клиент клиента"
)
_BESIDE = (
    "is are was has been already fully final finally current overall review of the a an and s x twitter post posts tweet tweets content copy text"
    " caption message publication publishing publish posting scheduling item entry record data attributes fields properties meta metadata work"
    " flow level step stage round ok okay visual creative design image artwork graphic asset video task production campaign progress project first second third st nd rd"
    " beitrag bild grafik erteilt ist wurde der die das des und stufe finale du de la le les d l contenu texte el del y contenido texto"
    " publicacion da do e conteudo publicacao di della contenuto testo pubblicazione het van поста публикации 여부"
)
_SAYING_SO = (
    "approved approval status state workflow visto bueno"
    " freigabe freigegeben genehmigt genehmigung freigabestatus genehmigungsstatus bearbeitungsstatus redaktionsstatus poststatus"
    " veroffentlichungsstatus kundenfreigabe rechtsfreigabe endfreigabe schlussfreigabe textfreigabe bildfreigabe"
    " approuve approuvee approbation statut aprobado aprobada aprobacion estado aprovado aprovada aprovacao approvato approvata approvazione"
    " goedgekeurd goedkeuring godkand godkant godkannande godkendt godkendelse godkjent godkjenning hyvaksytty hyvaksynta"
    " zatwierdzony zatwierdzona zatwierdzone zatwierdzenie schvaleno schvalen schvalena schvaleni onaylandı"
    " статус состояние утверждено утвержден утверждён утверждение утверждения одобрено одобрения согласовано согласование согласования затверджено"
    " 承認 承認済み 承認済 承認状況 承認状態 承認ステータス 最終承認 ステータス 投稿ステータス 公開ステータス 状態"
    " 状态 审批 审核 审批状态 审核状态 审批结果 审核结果 发布状态 승인 승인상태 승인여부 상태"
    " κατάσταση έγκριση състояние סטטוס אישור الحالة حالة स्थिति สถานะ อนุมัติ trạng thái phê duyệt persetujuan"
)
_ANSWERS = re.compile(r"[\s:,-]*[\[(]?\b(?:yes|y|true|ja|j|oui|o|si|s|sim|1)\s*[/|]\s*(?:no|n|false|nein|non|nee|nao|0)\b[\])]?[\s?]*$")
_SIGNS = re.compile(r"[^\w\s.:?/&()\[\]*'’#✓✔✅☑-]")


def _bare(name: str) -> str:
    """Without accents."""
    return "".join(char for char in unicodedata.normalize("NFKD", name) if not unicodedata.category(char).startswith("M"))


def fold(name: str) -> str:
    """A column's name without case, accents, blanks and signs: `Media URL(s)` and `media_urls` are one."""
    plain = unicodedata.normalize("NFKD", name).casefold()
    return "".join(char for char in plain if char.isalnum())


def words_of(name: str) -> list[str]:
    """The words of a name as `fold` writes them: of `scheduledAt` scheduled and at."""
    return [word.casefold() for word in re.findall(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+|\d+", _bare(name))]


def _folded(words: str) -> tuple[str, ...]:
    return tuple(map(fold, words.split()))


_APPROVAL_STEMS, _STATE_STEMS = _folded(_APPROVALS), _folded(_STATES)
WHO = frozenset(_WHO.split())  # who approves, where it is no person
_PLAIN = WHO | {word for line in (_BESIDE, _SAYING_SO, _APPROVAL_ALONE, _STATE_ALONE) for word in _folded(line)}


def _holds(name: str, stems: tuple[str, ...], alone: str) -> bool:
    whole = fold(name)
    return any(stem in whole for stem in stems) or whole in _folded(alone)


def is_state(name: str) -> bool:
    """Whether its column says, or could say, that a post is approved or is not."""
    return _holds(name, _APPROVAL_STEMS, _APPROVAL_ALONE) or _holds(name, _STATE_STEMS, _STATE_ALONE)


def approves(name: str) -> bool:
    """Whether a post has its approval in that column, so that without a word in it there is none. `Status` may just not be in use."""
    return _holds(name, _APPROVAL_STEMS, _APPROVAL_ALONE) or not _holds(name, _STATE_STEMS, _STATE_ALONE)


def says_plainly(name: str) -> bool:
    """Whether each of its words is known, so that a yes below it approves. It does not below `Needs approval`, `Unapproved`, `Approvals`."""
    name = _ANSWERS.sub("", _bare(name).lower()) if _ANSWERS.search(_bare(name).lower()) else name
    words = words_of(name)
    counted = [word for word in words if re.fullmatch("[1-9]", word)]  # Approval 1, not 2 of 3
    return (
        len(counted) < 2
        and not re.search(r"\bde-", name.lower())
        and not _SIGNS.search(_bare(name))
        and all(word in _PLAIN or word in counted for word in words)
    )
