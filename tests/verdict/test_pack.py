"""The pack as a whole: what companies say every day stays silent or low, what hijackers say pages."""

from __future__ import annotations

import random

import pytest

from monitor import rulebook
from monitor.model import Account, Company, Kind, Post, Severity
from monitor.verdict import judge
from tests.alterations import DISGUISES, altered
from tests.verdict.test_approved import NOW

RULES = rulebook.load([]).rules
COMPANY = Company("Acme Exchange", ("acme.example",), ("1BoatSLRHtKNngkdXEeobR76b53LETtpyT",), ("acme",))
ACCOUNT = Account("x", "1", "acme")


def worth(text: str) -> tuple[Severity, list[str]]:
    verdict = judge(Post(ACCOUNT.key, "1", Kind.POST, text, NOW), ACCOUNT, COMPANY, None, RULES)
    return verdict.severity, [f"{f.rule}: {f.evidence}" for f in verdict.findings]


EVERYDAY = [
    # recovery notices
    "Our account was compromised this morning. We are back in control. Do not click any link posted between 09:10 and 09:40 UTC.",
    "We have regained access to this account. The token announcement was not ours. We have no token.",
    "Earlier today our X account was hacked and used to promote a fake airdrop. Funds are safe. https://acme.example/status",
    "Unauthorized access to our account has ended. Nobody needs to move funds. Please don't interact with the posts about an airdrop.",
    "Update: the posts telling you to connect your wallet were made by scammers. We are working with X.",
    # scam warnings
    "Reminder: we will never ask for your seed phrase, your password or a payment to verify your wallet.",
    "Beware of fake support accounts that send you a DM. Our support is only at https://acme.example/help",
    "There is no Acme airdrop. Whoever says so is a scammer.",
    "How to spot a giveaway scam: if somebody promises to double your bitcoin, it is a scam. https://acme.example/learn",
    "Phishing sites pretend to be us. Check the address bar: only acme.example is ours.",
    "Never share your recovery phrase with anyone, not even with us.",
    # promotions
    "Win tickets to the final: follow our team and tell us your favourite goal by Friday. Terms: https://acme.example/final",
    "Trade this week and share a prize pool of 50,000 USDT. Terms apply: https://acme.example/league",
    "New customers get 10 USD in fees back. https://acme.example/welcome",
    "Hurry, only 50 seats are left for our summit in Lisbon: https://acme.example/summit",
    "Last chance to register for the developer day! https://acme.example/dev",
    "Black Friday: half price on hardware wallets until midnight. https://acme.example/shop",
    "Invite a friend and you both get a month without fees. https://acme.example/invite",
    # launches and notices
    "We will list SOL/EUR on Monday at 10:00 UTC. Deposits are open now.",
    "Introducing Acme Card: spend your balance anywhere. https://acme.example/card",
    "Our new app is live on iOS and Android. https://acme.example/app",
    "Withdrawals of XRP are paused for a network upgrade and will be open again at 14:00 UTC. https://acme.example/status",
    "Scheduled maintenance tonight from 02:00 to 04:00 UTC. Trading is not available then.",
    "Our proof of reserves for October is out: https://acme.example/reserves",
    "Our cold wallet is 1BoatSLRHtKNngkdXEeobR76b53LETtpyT, as always.",
    "Acme has acquired a licence in Ireland. Read what changes for you: https://acme.example/ireland",
    "We are hiring engineers in Berlin and Lisbon. https://acme.example/jobs",
    "Happy holidays from all of us at Acme! 🎄",
    "We are sad to hear of the death of our colleague Maria. Our thoughts are with her family.",
    "Our CEO talks about custody at 15:00 CET, live on our website. https://acme.example/live",
    "The SEC published its new rules on custody today. Our view: https://acme.example/blog/sec",
    "We fixed a vulnerability in our Android app. No customer was affected. Please update. https://acme.example/security",
    "Staking rewards for October were paid out this morning.",
    "Our customers donated 2 million EUR to the flood relief through the Red Cross. Thank you!",
    # other languages
    "Heute starten wir den Handel mit SOL/EUR. Einzahlungen sind ab sofort möglich. https://acme.example/de",
    "Hoy lanzamos nuestra tarjeta en España. https://acme.example/es",
    "本日、新しい取引ペアを追加しました。https://acme.example/ja",
    "오늘 점검은 오후 3시에 끝납니다. https://acme.example/ko",
    "Сегодня мы открываем торги парой SOL/EUR. https://acme.example/ru",
    "Bugün yeni kartımız Türkiye'de. https://acme.example/tr",
    "نعلن اليوم عن خدمة جديدة لعملائنا. https://acme.example/ar",
    "Σήμερα ανακοινώνουμε μια νέα υπηρεσία. https://acme.example/el",
    "आज हम एक नई सेवा शुरू कर रहे हैं। https://acme.example/hi",
]

HIJACKS = [
    ("giveaway", "To celebrate ten years we are giving back 3000 BTC. Send any amount and we send back double. https://acme-gives.xyz"),
    ("airdrop", "The $ACM airdrop is live! Eligible holders can claim for 24 hours. https://claim-acm.xyz"),
    ("drainer", "Critical vulnerability found. Revoke all approvals now at https://revoke-acm.xyz to keep your coins."),
    ("drainer without a link", "Connect your wallet to migrate your old tokens. Portal in the first reply."),
    ("token", "Introducing $ACM, our official token on Solana. CA: EYM2PCSVq7zZoFBqXiepECGNXSkKAyBREGymzzsFpump"),
    ("presale", "Our presale is open. Minimum investment 100 USDT. https://acm-presale.io"),
    ("panic", "Withdraw your funds now. The exchange is insolvent."),
    ("contract", "Our hot wallet has been drained. Move your assets to a new address at once."),
    ("regulator", "The SEC approves our ETF. Trading starts tomorrow."),
    ("death", "We regret to inform our users that our founder has passed away."),
    ("emergency", "Breaking: two explosions at our headquarters, the CEO is injured"),
    ("taunt", "Hacked by the night crew. Your security is a joke."),
    ("donation", "Support the victims of the flood. Donate to 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"),
    ("support", "Having trouble? Message us on WhatsApp: our wallet support will verify your wallet."),
    ("seed", "For security reasons, please enter your seed phrase at https://acme-verify.com"),
    ("job", "Earn 300 USD a day from home, no experience needed. Telegram: t.me/acme_jobs"),
    ("profit", "Guaranteed returns of 20 % a week. Minimum investment 200 USDT, DM me."),
    ("bio", "Free mint for all holders, link in bio!"),
    ("scan", "Scan the QR code to take part and double your ETH."),
    ("follow", "Giveaway! Follow, RT and drop your SOL wallet. 500 winners."),
    ("look-alike", "Sign in again after the update: https://acme.example.login-session.net"),
    ("wallet name", "Send your contribution to acme-relief.eth"),
    ("spanish", "Envía 1 BTC y recibe 2 BTC. Te devolveremos el doble."),
    ("japanese", "ビットコインを送ると2倍にしてお返しします"),
    ("chinese", "立即连接钱包，免费领取代币"),
    ("russian", "Отправьте 1 BTC и получите 2 BTC"),
]


@pytest.mark.parametrize("text", EVERYDAY)
def test_what_companies_say_every_day_wakes_nobody(text: str) -> None:
    severity, findings = worth(text)
    assert severity <= Severity.NOTIFY, findings


@pytest.mark.parametrize(("kind", "text"), HIJACKS, ids=[k for k, _ in HIJACKS])
def test_what_hijackers_say_pages_whatever_else_is_known(kind: str, text: str) -> None:
    severity, findings = worth(text)
    assert severity is Severity.PAGE, (kind, findings)


@pytest.mark.parametrize(("kind", "text"), HIJACKS, ids=[k for k, _ in HIJACKS])
def test_disguise_saves_no_hijacker(kind: str, text: str) -> None:
    missed = [(name, t) for name, t in altered(text, DISGUISES) if worth(t)[0] is not Severity.PAGE]
    assert len(missed) <= 1, (kind, missed)


WARNINGS = ("Beware of scammers!", "Stay safe, do not share your keys.", "This is not phishing.", "Our account was compromised earlier.")


@pytest.mark.parametrize(("kind", "text"), [h for h in HIJACKS if "http" in h[1] or "0x" in h[1] or "CA:" in h[1]])
def test_a_warning_in_front_does_not_excuse_what_leads_away(kind: str, text: str) -> None:
    for warning in WARNINGS:
        severity, findings = worth(f"{warning} {text}")
        assert severity is Severity.PAGE, (kind, warning, findings)


def test_padding_with_planned_words_does_not_excuse() -> None:
    dice = random.Random(1)
    words = " ".join(EVERYDAY).split()
    for _, text in [h for h in HIJACKS if "http" in h[1]]:
        padded = " ".join(dice.choices(words, k=300)) + " " + text + " " + " ".join(dice.choices(words, k=300))
        assert worth(padded)[0] is Severity.PAGE
