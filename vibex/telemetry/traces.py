"""Traces over OpenTelemetry: requests, tasks, cycles with their steps, and calls of models, each with how long it took.

Spans carry names, numbers of rows, hosts and codes; never prompts, replies, queries or bodies. All text is masked as the log is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit

from django.conf import settings

os.environ.setdefault("OTEL_PYTHON_DJANGO_EXCLUDED_URLS", "health,metrics")  # read when the package is imported

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, Status, StatusCode

from vibex.lib import spans
from vibex.lib.masking import mask_text, mask_value
from vibex.lib.release import release
from vibex.telemetry.people import without_people

PATH: Final = "/v1/traces"
SECONDS: Final = 5.0
"""That sending may take, and so the end of a process whose collector is away."""
UNTOLD: Final = frozenset(
    {
        *("url.query", "http.user_agent", "user_agent.original", "enduser.id"),
        *("client.address", "client.port", "http.client_ip", "net.peer.ip", "net.peer.port", "net.sock.peer.addr"),
        *("network.peer.address", "network.peer.port"),
    }
)
"""Attributes that are left out: what people typed, and who they are."""
ADDRESSES: Final = frozenset({"url.full", "http.url", "http.target", "url.path"})


def begin(endpoint: str, *, headers: str, share: float, process: str) -> TracerProvider:
    """Send a `share` of all traces to the collector at `endpoint`. Returns the provider, which ends by itself at exit."""
    from opentelemetry.instrumentation.celery import CeleryInstrumentor
    from opentelemetry.instrumentation.django import DjangoInstrumentor
    from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor

    resource = Resource.create(
        {
            "service.name": f"vibex-{process}",
            "service.namespace": "vibex",
            "service.version": release(),
            "deployment.environment.name": settings.VIBEX_ENV,
        }
    )
    provider = TracerProvider(resource=resource, sampler=ParentBased(TraceIdRatioBased(share)))
    exporter = OTLPSpanExporter(endpoint=address_of(endpoint), headers=headers_of(headers), timeout=SECONDS)
    provider.add_span_processor(BatchSpanProcessor(Masked(exporter)))
    trace.set_tracer_provider(provider)
    DjangoInstrumentor().instrument(tracer_provider=provider)
    celery: Any = CeleryInstrumentor  # untyped
    celery().instrument(tracer_provider=provider)
    HTTPX2ClientInstrumentor().instrument(tracer_provider=provider)
    spans.draw_with(Cycles(provider))
    return provider


def address_of(endpoint: str) -> str:
    """Return where traces are sent: the endpoint of a collector with their path, once."""
    plain = endpoint.rstrip("/")
    return plain if plain.endswith(PATH) else plain + PATH


def headers_of(text: str) -> dict[str, str]:
    """Return headers as OpenTelemetry writes them: name=value, separated by commas, values quoted as in an address."""
    pairs = (part.partition("=") for part in text.split(",") if "=" in part)
    return {name.strip().lower(): unquote(value.strip()) for name, _, value in pairs}


class Masked(SpanExporter):
    """Hands spans on without anything secret in them."""

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._inner.export([masked(each) for each in spans])

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._inner.force_flush(timeout_millis)


def masked(span: ReadableSpan) -> ReadableSpan:
    """Return a span with its texts masked, and without what must not leave."""
    status = span.status
    told = without_people(mask_text(status.description)) if status.description else None
    return ReadableSpan(
        name=mask_text(span.name),
        context=span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes=_attributes(span.attributes),
        events=[Event(event.name, _attributes(event.attributes), event.timestamp) for event in span.events],
        links=span.links,
        kind=span.kind,
        status=Status(status.status_code, told if status.status_code is StatusCode.ERROR else None),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _attributes(given: Any) -> dict[str, Any]:
    return {name: _value(name, value) for name, value in (given or {}).items() if name not in UNTOLD}


def _value(name: str, value: Any) -> Any:
    if name in ADDRESSES and isinstance(value, str):
        parts = urlsplit(value)
        return without_people(mask_text(urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))))
    return without_people(mask_value(value, name.rpartition(".")[2]))


@dataclass(slots=True)
class _Trail:
    """A stretch of work that is under way, and the step in which it is."""

    span: Span
    step: Span | None = None
    token: Token[contexts.Context] | None = None

    def over(self) -> None:
        """End the step."""
        if self.step is not None and self.token is not None:
            contexts.detach(self.token)
            self.step.end()
            self.step = self.token = None


_trail: ContextVar[_Trail | None] = ContextVar("trail", default=None)


class Cycles:
    """Draws the stretches of `vibex.lib.spans`. A step lasts until the next one, or until its stretch is over."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("vibex")

    @contextmanager
    def span(self, name: str, attributes: dict[str, str | int]) -> Iterator[None]:
        with self._tracer.start_as_current_span(name, attributes=_own(attributes)) as drawn:
            trail = _Trail(drawn)
            before = _trail.set(trail)
            try:
                yield
            finally:
                trail.over()
                _trail.reset(before)

    def note(self, attributes: dict[str, str | int]) -> None:
        if (trail := _trail.get()) is not None:
            trail.span.set_attributes(_own(attributes))

    def step(self, name: str) -> None:
        trail = _trail.get()
        if trail is None:
            return
        trail.over()
        trail.step = self._tracer.start_span(name, context=trace.set_span_in_context(trail.span))
        trail.token = contexts.attach(trace.set_span_in_context(trail.step))


def _own(attributes: dict[str, str | int]) -> dict[str, str | int]:
    return {f"vibex.{name}": value for name, value in attributes.items()}
