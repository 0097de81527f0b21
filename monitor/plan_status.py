"""Which words of a status column say yes. Every other word refuses its row: a list of what is allowed, never of what is not."""

from __future__ import annotations

from collections.abc import Iterable

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
    " archived, expired, new, planned, in queue, queue, accepted, signed off, cleared, confirmed, unconfirmed, tbd, tbc,"
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


def says_yes(word: object, more: Iterable[str] = ()) -> bool:
    """Whether a cell, whole, is one of the words that say yes, or of `more`."""
    return folded(word) in YES or folded(word) in {folded(one) for one in more}
