"""What reading X costs. Pure: counts and prices in, dollars out.

X bills per resource returned and each resource once a UTC day; empty answers and failed requests cost nothing
(docs.x.com, getting-started/pricing and post-cap, read 2026-08-13). Prices change: they are configuration.
"""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

AS_OF = "2026-08-13"
PRICES = {"post": 0.005, "user": 0.010, "profile update": 0.005, "space": 0.005, "like": 0.001, "block": 0.001}  # dollars each
DAYS = 30  # of a month in an estimate
ASSUMED = 20.0  # posts a day of an account that nobody has watched yet
_WARN_SHARE = 0.8
_WARN_DAYS, _LOW_DAYS = 7.0, 1.0


def cost(counts: Mapping[str, int], prices: Mapping[str, float]) -> float:
    """Dollars for so many resources by kind; kinds without a price are free."""
    return sum(number * prices.get(kind, 0.0) for kind, number in counts.items())


def estimate(accounts: int, posts_a_day: float, prices: Mapping[str, float]) -> float:
    """Dollars a month of `accounts` that publish so many posts a day each: every post once, every profile once a day.

    It does not matter how often one reads, nor whether a stream tells of the post first: they share one charge a day.
    """
    return accounts * DAYS * (posts_a_day * prices.get("post", 0.0) + prices.get("user", 0.0))


@dataclass(frozen=True, slots=True)
class Bill:
    """Dollars today, this month so far, and what the month will come to as things go."""

    today: float
    month: float
    forecast: float
    a_day: float


def bill(days: Mapping[str, Mapping[str, int]], prices: Mapping[str, float], now: datetime) -> Bill:
    """From counts by UTC day (YYYY-MM-DD) and kind. A day is worth the mean of the last seven whole ones, else what today comes to."""
    now = now.astimezone(UTC)
    spent = {day: cost(counts, prices) for day, counts in days.items()}
    today = spent.get(f"{now:%Y-%m-%d}", 0.0)
    month = sum(value for day, value in spent.items() if day.startswith(f"{now:%Y-%m}"))
    past = [f"{now - timedelta(days=n):%Y-%m-%d}" for n in range(1, 8)]
    begun = min(spent, default=f"{now:%Y-%m-%d}")
    whole = [spent.get(day, 0.0) for day in past if day > begun]  # the first day was not watched whole
    share = max(1 / 24, (now.hour * 60 + now.minute) / 1440)
    a_day = sum(whole) / len(whole) if whole else today / share
    left = calendar.monthrange(now.year, now.month)[1] - now.day
    return Bill(today, month, month + max(0.0, a_day - today) + left * a_day, a_day)


def warning(found: Bill, budget: float, balance: float | None) -> tuple[str, bool]:
    """(why somebody should look at the money, whether that is urgent); ("", False) when there is enough. 0: no budget was set."""
    if balance is not None and found.a_day > 0 and balance / found.a_day < _WARN_DAYS:
        days = balance / found.a_day
        return f"X's credits of ${balance:.2f} last {days:.1f} days at ${found.a_day:.2f} a day", days < _LOW_DAYS
    if budget and found.month >= _WARN_SHARE * budget:
        return f"${found.month:.2f} of this month's ${budget:.2f} are spent", False
    if budget and found.forecast > budget:
        return f"this month will come to ${found.forecast:.2f}, the budget is ${budget:.2f}", False
    return "", False
