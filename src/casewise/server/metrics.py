"""What ``/metrics`` gives, in Prometheus's text: counted here as it happens, or asked of the store when it is wanted.

No label carries a name, a key or an address: requests are counted by route template (``/api/v1/cases/{key}``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from casewise.server.jobs import Jobs

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIXES = ("/api/v1", "/nninteractive")
STATES = ("waiting", "running", "done", "failed", "dead", "stopped")
_ROUND_BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.6, 1.0, 2.0, 5.0, 15.0)
_ELSEWHERE = "other"  # the route of what has none


class Metrics:
    """The measures of one server, in a registry of their own. recorded : how many results the archive was ever given."""

    def __init__(self, jobs: Jobs, recorded: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("casewise_requests", "Requests answered.", ["method", "route", "status"], registry=self.registry)
        self.round_seconds = Histogram(
            "casewise_round_seconds", "Seconds of a round of strokes.", buckets=_ROUND_BUCKETS, registry=self.registry
        )
        self.registry.register(_Queue(jobs, recorded))

    def watch(self, name: str, what: str, value: Callable[[], float]) -> None:
        """A measure that is asked for by ``value`` whenever the metrics are."""
        Gauge(f"casewise_{name}", what, registry=self.registry).set_function(value)

    def text(self) -> bytes:
        return generate_latest(self.registry)


class _Queue:
    """Asks the store when the metrics are asked for: all workers' jobs are there, wherever they run."""

    def __init__(self, jobs: Jobs, recorded: Callable[[], int]) -> None:
        self._jobs, self._recorded = jobs, recorded

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        images = "Images that were analysed, or left out by a rule; with rate() those an hour, of all workers."
        yield CounterMetricFamily("casewise_images_analysed", images, value=self._recorded())
        counts, kinds = self._jobs.counts(), self._jobs.by_kind()
        by_state = GaugeMetricFamily("casewise_jobs", "Jobs by state.", labels=["state"])
        for state in STATES:
            by_state.add_metric([state], counts.get(state, 0))
        yield by_state
        age = self._jobs.waited()
        yield GaugeMetricFamily("casewise_queue_age_seconds", "How long the oldest job that is due has waited.", value=age)
        yield GaugeMetricFamily("casewise_workers", "Workers heard from in the last minute.", value=len(self._jobs.workers()))
        seconds = SummaryMetricFamily("casewise_job_seconds", "Seconds of jobs that are done, by kind.", labels=["kind"])
        failures = GaugeMetricFamily("casewise_job_failures", "Jobs that failed or are dead, by kind.", labels=["kind"])
        for kind, done, spent, failed in kinds:
            seconds.add_metric([kind], done, spent)
            failures.add_metric([kind], failed)
        yield seconds
        yield failures


class CountRequests:
    """Middleware: counts each request by its route's template."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.requests.labels(_method(scope["method"]), _route(scope), message["status"]).inc()
            await send(message)

        await self._app(scope, receive, counted)


def _route(scope: Scope) -> str:
    """The template of the route that a request came to, with the prefix under which its router is included."""
    template: str | None = getattr(scope.get("route"), "path", None)
    if template is None:
        return _ELSEWHERE
    prefix = next((prefix for prefix in PREFIXES if scope["path"].startswith(f"{prefix}/")), "")
    return template if template.startswith(prefix) else prefix + template


def _method(method: str) -> str:
    """A client may send any word as a method."""
    return method if method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS") else _ELSEWHERE
