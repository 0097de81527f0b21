"""Which words of a status column say yes. Every other word refuses its row: a list of what is allowed, never of what is not."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from monitor.plan_names import WHO, fold

# Approved, scheduled, ready, queued, published, yes and true, as planning tools and spreadsheets write them, in each gender.
# A word that says less in any of these languages is left out: “geplant” (planned), “pronto” (Spanish: soon), “igen” (Swedish: again).
YES_WORDS = {
    "en": "approved, scheduled, ready, queued, published, yes, true, 1",
    "de": "freigegeben, genehmigt, terminiert, eingeplant, veröffentlicht, ja, wahr",
    "fr": "approuvé, approuvée, validé, validée, programmé, programmée, publié, publiée, oui, vrai",
    "es": "aprobado, aprobada, programado, programada, publicado, publicada, listo, lista, sí, si, verdadero",
    "it": "approvato, approvata, programmato, programmata, pubblicato, pubblicata, sì, vero",
    "pt": "aprovado, aprovada, agendado, agendada, publicado, publicada, sim, verdadeiro",
    "nl": "goedgekeurd, ingepland, gepubliceerd, klaar, waar",
    "sv": "godkänd, godkänt, schemalagd, schemalagt, publicerad, publicerat",
    "da": "godkendt, udgivet",
    "no": "godkjent, publisert",
    "fi": "hyväksytty, ajastettu, julkaistu, kyllä, tosi",
    "pl": "zatwierdzony, zatwierdzona, zatwierdzone, opublikowany, opublikowana, opublikowane, tak, prawda",
    "cs": "schváleno, schválen, schválena, publikováno, ano, pravda",
    "tr": "onaylandı, zamanlandı, yayınlandı, evet, doğru",
    "ru": "утверждено, утверждён, утвержден, одобрено, согласовано, опубликовано, да, истина",
    "uk": "затверджено, схвалено, погоджено, опубліковано, так",
    "ja": "承認済み, 承認済, 予約済み, 公開済み, はい",
    "zh": "已批准, 已通过, 审核通过, 已排期, 已发布, 是",
    "ko": "승인됨, 승인 완료, 예약됨, 게시됨",
}
# Of what else a column without a telling name is known to hold states. They decide about no row.
_OTHER_STATES = (
    "no, false, 0, n, y, x, ✓, ✔, ☑, ✅, ✗, ✘, ☐, ❌, ok, okay, draft, drafts, pending, pending approval, rejected, denied, declined, refused,"
    " not approved, unapproved, approval needed, needs approval, awaiting approval, waiting for approval, needs review, in review,"
    " under review, to review, changes requested, needs changes, revise, revision, idea, ideas, failed, error, deleted, cancelled, canceled,"
    " on hold, hold, paused, blocked, wip, in progress, to do, todo, done, open, closed, final, sent, sending, live, active, inactive,"
    " archived, expired, new, planned, in queue, queue, accepted, signed off, cleared, confirmed, unconfirmed, tbd, tbc, not yet, not ready,"
    " no go, hold on, held, wait, stop, skip, veto, vetoed, cancel, reject, postponed, withdrawn, embargo, embargoed, unpublished, unscheduled,"
    " do not post, do not publish, don t post, dont post, don t publish, dont publish, do not send, do not use, do not schedule, killed,"
    " nein, falsch, entwurf, offen, abgelehnt, in prüfung, wartet, geplant, bereit, fertig, gestoppt, verworfen, storniert,"
    " non, faux, brouillon, en attente, refusé, refusée, rejeté, à valider, planifié, prêt, annulé, falso, borrador, pendiente, rechazado,"
    " rechazada, en revisión, cancelado, pronto, rascunho, pendente, rejeitado, reprovado, não, bozza, in attesa, rifiutato, respinto,"
    " nee, onwaar, concept, afgewezen, in afwachting, nej, utkast, avvisad, nei, kladde, udkast, ei, luonnos, hylätty, nie, szkic, odrzucone,"
    " ne, koncept, zamítnuto, hayır, taslak, reddedildi, нет, черновик, отклонено, на согласовании, ожидает, ні, чернетка,"
    " 🔴, 👎, ⛔, 🚫, 🛑, 🟢, 👍, 🟡, 🟠, red, green, amber, yellow, rot, grün, gelb, go, nope,"
    " いいえ, 下書き, 未承認, 却下, 否, 草稿, 未批准, 待审核, 驳回, 아니요, 초안, 대기, 거절됨"
)


def folded(word: object) -> str:
    """Without case and the blanks around and between its words; nothing else is forgiven."""
    return " ".join(str(word).lower().split())


def _words(line: str) -> Iterable[str]:
    return (folded(word) for word in line.split(","))


YES = frozenset(word for line in YES_WORDS.values() for word in _words(line))
STATES = (YES | frozenset(_words(_OTHER_STATES))) - {"0", "1"}
# Of these a column may hold one beside other things: a kind of post, a label, a tick.
_LABELS = frozenset(
    _words(
        "x, ✓, ✔, ☑, ✅, y, n, ok, okay, done, final, accepted, cleared, confirmed, signed off, fertig, bereit, new, live, open, active, idea, ideas, concept, koncept, pronto,"
        " 🟢, 👍, 🟡, 🟠, red, green, amber, yellow, rot, grün, gelb, go"
    )
)
_SIGNED = frozenset(_words("ready, ok, okay, okayed, sign, signed, signoff, cleared, clearance, released, accepted, confirmed"))
_NAMING = (
    _SIGNED
    | frozenset(_words("go, check, checked, checkbox, signature, hold, wip, done, final, fertig, bereit, verdict, blocker, blockers, rejection, rejections,"
            " refusal, vetoes, objection, objections, qa, rag, ampel, gate, outcome, disposition, greenlight"))
    | {word for word in map(fold, STATES - _LABELS) if len(word) > 3 or not word.isascii()}
) - {"lista", "error", "revision"}  # fmt: skip
_REFUSAL = re.compile(  # and why, like “until legal confirms”
    r"(?:please |pls )?(?:(?:do(?: not|n?[’' ]?t) (?:post|publish|send|use|schedule|tweet|release)(?: this| it)?(?: yet)?|not (?:yet )?(?:approved|ready)"
    r"|not yet|(?:on )?hold|rejected|declined|vetoed|cancell?ed|killed|withdrawn|abgelehnt|nicht (?:posten|veröffentlichen|freigegeben))"
    r"(?: ?[-–—,;:.!(]|,? (?:until|till|before|unless|for|by|as|because|per|bis|von|durch|wegen)\b)|wait (?:until|till|for|before)\b)"
)
_BESIDE_WORDS = re.compile(r"\([^)]*\)|[^\w\s]+")


def is_a_state(cell: str) -> bool:
    """Whether a cell is a state, whatever signs or remarks stand beside it, as in `Draft (v2)`."""
    return folded(cell) in STATES or folded(_BESIDE_WORDS.sub(" ", cell)) in STATES


def without_states(name: str) -> str:
    """The name of a column without the states that it offers, as in `Status (Draft/Approved)`."""
    offered = re.compile(r"[\[(]([^()\[\]]*[/|,][^()\[\]]*)[\])]")
    return offered.sub(lambda found: "" if all(folded(one) in STATES for one in re.split(r"[/|,]", found[1])) else found[0], name)


def says_no(cell: str) -> bool:
    """Whether a cell is a state that does not say yes: `Draft`, not `x` or `new`; or is a refusal and why."""
    if _REFUSAL.match(folded(cell)):
        return True
    return is_a_state(cell) and not {folded(cell), folded(_BESIDE_WORDS.sub(" ", cell))} & (YES | _LABELS)


def names_an_approval(words: Iterable[str]) -> bool:
    """Whether somebody has to put something into a column of that name, by words, before a post may go out: `Ready`, `Sign-off`."""
    return not _SIGNED.isdisjoint(words)


def names_a_state(words: Iterable[str]) -> bool:
    """Whether a column of that name, by words, holds what decides about posts: `Draft`, `Signed off`, `OK to post`."""
    return not _NAMING.isdisjoint(words)


# In none of these is there anybody, whatever stands beside them.
_NO_NAMES = (
    "no not nobody noone none nil nah nope yet pending waiting awaiting needs need needed required request requested ask asked missing unknown"
    " someone somebody anyone everyone never later today tomorrow tonight monday tuesday wednesday thursday friday saturday sunday week month"
    " tba asap eod eow xx xxx on off out call same ditto above comments nothing empty blank placeholder revoked revokes retracted retracts"
    " negative incomplete stopped stopping skipped vetoes disapproved disapproves disapprove rejects denies declines refuses hold holds holding delayed"
    " delay postpone cancels cancelling killed removed dropped submitted forwarded unsure unclear undecided maybe perhaps probably almost partly"
    " partially conditional conditionally subject unless until except without because after before under with if when once only but progress"
    " discussion change changes edit edits fixes feedback question questions query queries redo rework rewrite version draft auto automatic"
    " automatically default test review reviews reviewing check checks checking reading approve approver approvers name names your here"
    " first last noreply complained please urgent due for at should must escalated contacted emailed mailed messaged called chased chasing"
    " reminded absent away vacation holiday unavailable dissatisfied disagree disagrees disagreed object objects objected objection objections"
    " oppose opposed opposes against fails wrong outdated superseded issue issues concern concerns problem problems"
    " bitte frage fragt rückfrage rückfragen korrektur korrekturen prüfen prüft prüfung klären klärung arbeit läuft zurück zurückgezogen"
    " cours relire faire revisar revisión approvare verificare отказ 未定 未 待定 无 無 なし 미정 없음"
    " nicht noch niemand kein keiner keine nie niemals nein später spaeter bald heute offen fehlt wartet warten ausstehend vielleicht unklar"
    " widerspruch wenn falls nach vorbehalt personne aucun aucune pas encore jamais tard bientôt bientot demain peut sauf refus nadie ninguno"
    " ninguna nunca jamás jamas mañana después despues luego falta nessuno nessuna manca dopo domani presto ninguém ninguem depois amanhã amanha"
    " niet niemand nog nooit straks geen ingen inte ikke aldri aldrig ikkje senare senere nikt nigdy nikdo nikdy hiçbiri"
    " не никто никогда потом позже нет ні ніхто"
)
_NOBODY = frozenset(_NO_NAMES.split()) | {word for word in STATES if len(word) > 2}
_PARTICLES = frozenset(
    _words("von, van, der, den, de, da, do, di, del, della, la, le, el, bin, ben, al, and, und, et, y, e, i, och, og, en")
)
_SIGNATURES = re.compile(r"[,;/&+\n]+")
_BRACKETS = re.compile(r"\([^()]*\)")
_FOREIGN = re.compile(r"[^\w\s.'’@,;/&+()-]")  # a sign that stands in no name, like ✗ or a colon
_HUMP = re.compile(r"[A-Z][^\W\d_A-Z]+")  # NotYet
_NOUGHT = re.compile(r"(?<![\d.-])0+(?![\d.-])")  # 0/2
_LOGIN = re.compile(r"@?\w+(?:[._@+-]\w+)*")


def names_somebody(cell: str) -> bool:
    """Whether a cell reads like the name of who approved, or several: words with capitals, a login, an address or one of a company's
    departments. “Not yet”, “later” and “❌ Anna” do not.
    """
    words, signs = _letters(cell), "".join(char for char in cell if not unicodedata.category(char).startswith("M"))
    nobody = any(word.lower() in _NOBODY for word in [*words, *_HUMP.findall(cell)])
    if _FOREIGN.search(signs) or folded(cell) in STATES or nobody or _NOUGHT.search(cell):
        return False
    beside = [word for remark in _BRACKETS.findall(cell) for word in _letters(remark)]
    pieces = [one.strip() for one in _SIGNATURES.split(_BRACKETS.sub("", cell))]
    people = [one for one in pieces if _letters(one)]
    if ".." in cell or any(one and one not in people and not re.search(r"\d", one) for one in pieces):  # “Anna...”, “Anna / -”
        return False
    signed = [*people, *_BRACKETS.findall(cell)]
    named = bool(people) and all(_is_written_out(one) for one in signed) and all(map(_a_name, people))
    return named and all(map(_in_a_name, beside))


def _a_name(one: str) -> bool:
    """One word needs a capital, or is a login or an address: “later” is neither."""
    if len(one.split()) > 1:
        return all(map(_in_a_name, _letters(one)))
    login = _LOGIN.fullmatch(one) and (re.search(r"\w[._@]\w", one) or one.startswith("@") or any(map(str.isdigit, one)))
    return bool(login) or not one[0].islower() or one in WHO


def _is_written_out(one: str) -> bool:
    """“N”, “F” or “NA” beside a name is an answer, and no initial."""
    letters = _letters(one)
    if not letters:
        return bool(re.search(r"\d\d", one))  # of a date
    return letters != ["NA"] and any(len(word) > 1 or not word.isascii() for word in letters)


def _in_a_name(word: str) -> bool:
    return not word[0].islower() or word in _PARTICLES or word in WHO


def _letters(words: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", words)


def says_yes(word: object, more: Iterable[str] = ()) -> bool:
    """Whether a cell, whole, is one of the words that say yes, or of `more`."""
    return folded(word) in YES or folded(word) in {folded(one) for one in more}
