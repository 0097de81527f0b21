"""What Prometheus may ask, on loopback: /metrics and /healthz. Read from the store at the moment of asking.

The only module that imports prometheus_client.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from datetime import datetime

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from monitor import counters, observed, record, spending
from monitor.counters import BUCKETS
from monitor.incidents import DRILL
from monitor.reads import Reads, age
from monitor.selfcheck import SelfCheck
from monitor.store import Store

_LOCAL = ("127.0.0.1", "localhost", "[::1]")


class Figures(Collector):
    """Figures of the store and of the daemon. Real incidents and drills are told apart."""

    def __init__(
        self, store: Store, clock: Callable[[], datetime], check: SelfCheck, going: Reads, prices: Callable[[], Mapping[str, float]] = lambda: spending.PRICES
    ) -> None:  # fmt: skip
        self._store, self._clock, self.check, self._reads, self._prices = store, clock, check, going, prices

    def collect(self) -> Iterator[Metric]:
        """Everything, fresh."""
        yield from self._accounts()
        yield self._ages()
        yield from self._pages()
        yield from self._times()
        yield from self._rules()
        yield from self._money()
        vitals = self.check.vitals
        yield GaugeMetricFamily("hijack_monitor_tick_lateness_seconds", "The worst of the last minute.", vitals.late)
        yield GaugeMetricFamily("hijack_monitor_slack_deaf_seconds", "How long no click could have come through.", vitals.deaf_seconds)
        yield GaugeMetricFamily("hijack_monitor_clock_skew_seconds", "By how much the platform's clock is ahead of ours.", vitals.skew)
        yield GaugeMetricFamily(
            "hijack_monitor_stream_lost_seconds", "For how long no stream connection has lasted.", vitals.stream_seconds
        )
        yield GaugeMetricFamily("hijack_monitor_disk_free_bytes", "Where the database is.", vitals.disk_free_mb * 1e6)
        yield GaugeMetricFamily(
            "hijack_monitor_healthy", "1 while the audit passes: what the dead-man's switch is held by.", float(not self.check.outcome())
        )

    def _ages(self) -> Metric:
        found = GaugeMetricFamily(
            "hijack_monitor_read_age_seconds",
            "For how long a read that is wanted has failed; 0 while it works.",
            labels=["read", "of", "name"],
        )
        for state in self._reads.states():
            unread = age(state, self._clock(), self._reads.every.get(state.read, 0))
            found.add_metric([state.read, state.about, state.name], unread.total_seconds())
        return found

    def _accounts(self) -> Iterator[Metric]:
        lag = GaugeMetricFamily("hijack_monitor_account_lag_seconds", "Since the account was last read.", labels=["account", "handle"])
        failures = GaugeMetricFamily("hijack_monitor_account_failures", "Reads in a row that failed.", labels=["account", "handle"])
        for row in self._store.sql.execute("SELECT key, handle, last_ok, failures FROM accounts WHERE key != ?", [DRILL]):
            last = None
            with contextlib.suppress(ValueError):  # a damaged one, for which the account is told not to be watched
                last = record.moment(row["last_ok"])
            if last:
                lag.add_metric([row["key"], row["handle"]], (self._clock() - last).total_seconds())
            failures.add_metric([row["key"], row["handle"]], row["failures"])
        yield from (lag, failures)

    def _money(self) -> Iterator[Metric]:
        """What X billed, by our own count."""
        read = CounterMetricFamily("hijack_monitor_billed_resources", "Resources that X bills, each once a UTC day.", labels=["kind"])
        for row in self._store.sql.execute("SELECT kind, sum(resources) FROM spending GROUP BY kind"):
            read.add_metric([row[0]], row[1])
        yield read
        bill = spending.bill(observed.days(self._store), self._prices(), self._clock())
        for name, said, value in (
            ("today", "Spent this UTC day.", bill.today), ("month", "Spent this month.", bill.month),
            ("month_forecast", "What this month will come to.", bill.forecast),
        ):  # fmt: skip
            yield GaugeMetricFamily(f"hijack_monitor_spent_{name}_dollars", said, value)

    def _pages(self) -> Iterator[Metric]:
        """What was removed because it is old stays counted, see `counters`."""
        pages = GaugeMetricFamily("hijack_monitor_pages", "Pages by route, kind and state.", labels=["route", "kind", "state"])
        for labels, count in counters.totals(self._store.sql, "pages").items():
            pages.add_metric(labels, count)
        incidents = GaugeMetricFamily("hijack_monitor_incidents", "Incidents by state and severity.", labels=["state", "severity"])
        for labels, count in counters.totals(self._store.sql, "incidents").items():
            incidents.add_metric(labels, count)
        yield from (pages, incidents)

    def _times(self) -> Iterator[Metric]:
        for name, said in (
            ("time_to_page", "From opening to the first channel's acceptance."),
            ("time_to_acknowledge", "From opening to the acknowledgement."),
        ):
            family = HistogramMetricFamily(f"hijack_monitor_{name}_seconds", said, labels=["drill"])
            counted = counters.totals(self._store.sql, name)
            for drill in ("no", "yes"):
                buckets, so_far = list[tuple[str, float]](), 0.0
                for top in (*map(str, BUCKETS), "Inf"):
                    so_far += counted.get((drill, top), 0.0)
                    buckets.append(("+Inf" if top == "Inf" else str(float(top)), so_far))
                family.add_metric([drill], buckets, sum_value=counted.get((drill, "sum"), 0.0))
            yield family

    def _rules(self) -> Iterator[Metric]:
        hits = CounterMetricFamily("hijack_monitor_rule_hits", "Posts that a rule accused, baseline excluded.", labels=["rule"])
        for rule, posts in self._store.hits.by_rule().items():
            hits.add_metric([rule], posts)
        yield hits


async def serve(figures: Figures, port: int, stack: AsyncExitStack) -> int:
    """Answer on 127.0.0.1 until the stack is closed; returns the port. Raises OSError when it is taken. Writes nothing."""
    registry = CollectorRegistry()
    registry.register(figures)

    async def metrics(request: web.Request) -> web.Response:
        if request.url.host not in _LOCAL:  # a web page that resolves its own name to us
            raise web.HTTPForbidden
        return web.Response(body=generate_latest(registry), content_type="text/plain", charset="utf-8")

    async def healthz(request: web.Request) -> web.Response:
        if request.url.host not in _LOCAL:
            raise web.HTTPForbidden
        found = figures.check.outcome()
        unread = [f"{blind.in_words()}: {blind.why}" for blind in figures.check.blind]
        return web.json_response({"ok": not found, "wrong": list(found), "unread": unread}, status=503 if found else 200)

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/healthz", healthz)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)  # cleaning up twice does no harm
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return int(runner.addresses[0][1])
