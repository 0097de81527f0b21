"""Which words of a status column say yes. Every other word refuses its row: a list of what is allowed, never of what is not."""

from __future__ import annotations

import re
from collections.abc import Iterable

from monitor.plan_names import fold

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
    " do not post, do not publish, don t post, dont post,"
    " nein, falsch, entwurf, offen, abgelehnt, in prüfung, wartet, geplant, bereit, fertig, gestoppt, verworfen, storniert,"
    " non, faux, brouillon, en attente, refusé, refusée, rejeté, à valider, planifié, prêt, annulé, falso, borrador, pendiente, rechazado,"
    " rechazada, en revisión, cancelado, pronto, rascunho, pendente, rejeitado, reprovado, não, bozza, in attesa, rifiutato, respinto,"
    " nee, onwaar, concept, afgewezen, in afwachting, nej, utkast, avvisad, nei, kladde, udkast, ei, luonnos, hylätty, nie, szkic, odrzucone,"
    " ne, koncept, zamítnuto, hayır, taslak, reddedildi, нет, черновик, отклонено, на согласовании, ожидает, ні, чернетка,"
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
_LABELS = frozenset(_words("x, ✓, ✔, ☑, ✅, y, n, new, live, open, active, idea, ideas, concept, koncept, pronto"))
_SIGNED = frozenset(_words("ready, ok, okay, okayed, sign, signed, signoff, cleared, clearance, released, accepted, confirmed"))
_NAMING = (
    _SIGNED
    | frozenset(_words("go, check, checked, checkbox, signature, hold, wip"))
    | {word for word in map(fold, STATES - _LABELS) if len(word) > 3 or not word.isascii()}
) - {"lista", "error", "revision"}  # fmt: skip
_BESIDE_WORDS = re.compile(r"\([^)]*\)|[^\w\s]+")


def is_a_state(cell: str) -> bool:
    """Whether a cell is a state, whatever signs or remarks stand beside it, as in `Draft (v2)`."""
    return folded(cell) in STATES or folded(_BESIDE_WORDS.sub(" ", cell)) in STATES


def says_no(cell: str) -> bool:
    """Whether a cell is a state that does not say yes, and hardly anything else: `Draft`, not `x` or `new`."""
    return is_a_state(cell) and not {folded(cell), folded(_BESIDE_WORDS.sub(" ", cell))} & (YES | _LABELS)


def names_an_approval(words: Iterable[str]) -> bool:
    """Whether somebody has to put something into a column of that name, by words, before a post may go out: `Ready`, `Sign-off`."""
    return not _SIGNED.isdisjoint(words)


def names_a_state(words: Iterable[str]) -> bool:
    """Whether a column of that name, by words, holds what decides about posts: `Draft`, `Signed off`, `OK to post`."""
    return not _NAMING.isdisjoint(words)


_NO_NAMES = (
    "no not nobody noone none nil yet pending waiting awaiting needs need needed required request requested ask asked missing unknown someone"
    " somebody nicht noch niemand kein keiner offen fehlt wartet ausstehend personne aucun pas encore nadie ninguno falta nessuno manca"
    " ninguém ninguem niet niemand nog ingen ikke inte nikt не никто нет ні"
)
_NOBODY = frozenset(_NO_NAMES.split()) | {word for word in STATES if len(word) > 2}
_PARTICLES = "von van der den de da do di del della la le el bin ben al and und et y e i och og en"
_SIGNATURES = re.compile(r"[,;/&+\n]+")
_BRACKETS = re.compile(r"\([^)]*\)")


def names_somebody(cell: str) -> bool:
    """Whether a cell reads like the name of who approved, or several: a word or an address, or words with capitals. “Not yet” does not."""
    if "?" in cell or folded(cell) in STATES or any(word.lower() in _NOBODY for word in _letters(cell)):
        return False
    people = [one.strip() for one in _SIGNATURES.split(_BRACKETS.sub("", cell)) if _letters(one)]
    return any(len(word) > 1 for one in people for word in _letters(one)) and all(map(_a_name, people))


def _a_name(one: str) -> bool:
    return len(one.split()) == 1 or all(not word[0].islower() or word in _PARTICLES.split() for word in _letters(one))


def _letters(words: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", words)


def says_yes(word: object, more: Iterable[str] = ()) -> bool:
    """Whether a cell, whole, is one of the words that say yes, or of `more`."""
    return folded(word) in YES or folded(word) in {folded(one) for one in more}
