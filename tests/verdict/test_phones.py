"""Telephone numbers in every form that a reader would call, and digits that nobody calls."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.verdict.phones import TOO_MANY, phone_numbers

CALLED = (
    "call +1 800 555 0199 now", "+18005550199", "Our desk is at 1-800-555-0199", "(0800) 123456", "0800 123 4567",
    "1-800-FLOWERS", "+1 (800) GET-HELP", "dial 1.800.555.0199", "tel:+18005550199", "https://wa.me/18005550199",
    "wa.me/4915112345678", "https://api.whatsapp.com/send?phone=18005550199", "+1 8 0 0 5 5 5 0 1 9 9", "＋１８００５５５０１９９",
    "+٩٦٦٥٠١٢٣٤٥٦٧", "कॉल करें ९८७६५ ४३२१०", "اتصل ٠٥٠١٢٣٤٥٦٧", "(800) 555-0199", "800-555-0199", "800.555.0199", "8005550199",
    "+44 20 7946 0958", "020 7946 0958", "+44 (0)20 7946 0958", "06 12 34 56 78", "090-1234-5678", "138 0013 8000",
    "98765 43210", "(11) 91234-5678", "8 (800) 555-35-35", "912 345 678", "0049 151 12345678", "040/1234567",
    "1‐800‐555‐0199", "1–800–555–0199", "+1\u00a0800\u00a0555\u00a00199", "1•800•555•0199", "1\ufe0f\u20e3-8️⃣0️⃣0️⃣-555-0199",
    "1-8OO-555-O199", "call us: 555-0199", "WhatsApp: 15551234567", "📞 800 555 0199", "+1 80\u200b0 555 0199", "Text HELP to 24365",
    "1 (800) 555 0199 ext. 4", "Phone 1 800\n555 0199", "#8005550199", "24 7: 1-800-555-0199", "𝟏-𝟖𝟎𝟎-𝟓𝟓𝟓-𝟎𝟏𝟗𝟗", "+41 44 668 18 00",
    "011 44 20 7946 0958", "2026 +1 800 555 0199 2026", "Support 24 1 800 555 0199", "请致电800-555-0199咨询", "8005550199へ", "Call:8005550199",
)  # fmt: skip
NOBODYS = (
    "", "see you at 2026-12-25 09:30", "25.12.2026 09:30", "01/12/2026 and 09/12/2026", "$1,234,567.89", "1.000.000.000 EUR",
    "raised 12 500 000 dollars", "0x52908400098527886E0F7030069857D2E4169EE7", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "800 million users", "0.12345678 BTC", "https://x.com/acme/status/1790000000000000001",
    "https://acme.example/orders/8005550199", "2019 2020 2021 2022", "Order 1234567", "10:30-11:30, 12:45-13:45", "1,000,000 and 2,000,000",
    "v1.2.3.4", "0000000000", "$8005550199", "block 18 250 000", "3 of 4, 5 of 6", "2024-25 season, 1999-2000",
)  # fmt: skip


@pytest.mark.parametrize("text", CALLED)
def test_a_number_that_somebody_can_call_is_found(text: str) -> None:
    assert phone_numbers(text), text


@pytest.mark.parametrize("text", NOBODYS)
def test_digits_that_nobody_calls_are_no_number(text: str) -> None:
    assert phone_numbers(text) == (), text


def test_a_number_is_given_as_it_is_written_once_each() -> None:
    text = "Call +1 800 555 0199 or (0800) 123456, again +1 800 555 0199."
    assert phone_numbers(text) == ("+1 800 555 0199", "(0800) 123456")


@given(
    st.sampled_from(["8005550199", "2125550123", "3105550147"]), st.sampled_from([" ", "-", ".", "·", "•", "/", "\u00a0", "–", ") ", " - "])
)
def test_no_gap_between_the_digits_hides_a_number(digits: str, gap: str) -> None:
    assert phone_numbers(f"reach us {digits[:3]}{gap}{digits[3:6]}{gap}{digits[6:]} today")


def test_decoys_do_not_use_up_the_search() -> None:
    decoys = " , ".join(f"12 345 {n:03d}" for n in range(500))
    assert phone_numbers(f"{decoys}, +1 800 555 0199")[-1] in (TOO_MANY, "+1 800 555 0199")
    assert phone_numbers(" , ".join(f"+1 800 555 {n:04d}" for n in range(100)))[-1] == TOO_MANY


@pytest.mark.parametrize(
    "piece", ["1", "1 ", "12 345 678 ", "0", "+1", "+1 ", "8005550199 ", "call 1 ", "800-", "(", "a.bc/", "1-800-A", "٩"]
)
def test_a_hostile_text_costs_no_more_than_its_length(piece: str) -> None:
    text = (piece * 25_000)[:25_000]
    started = time.thread_time()
    phone_numbers(text)
    assert time.thread_time() - started < 1  # a guard against another order of growth, no measurement


@given(st.text(alphabet="0123456789+-() .oO/=aZ:\n", max_size=300))
def test_no_text_breaks_it(text: str) -> None:
    assert all(number and len(number) <= 40 for number in phone_numbers(text))
