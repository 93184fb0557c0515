"""The variables of who watches from outside: metrics, error reports, traces. All of it is off until it is named."""

from dataclasses import dataclass

from vibex.lib.parsers import share, text, token, url
from vibex.lib.variable import variable
from vibex.lib.variables_backup import BackupVariables


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class WatchVariables(BackupVariables):
    """docs/monitoring.md says what each of them sends where."""

    METRICS_TOKEN: str | None = variable(
        token,
        "Bearer token with which Prometheus reads /metrics. Unset: only staff that is signed in reads it.",
        example="a-long-random-token",
        secret=True,
        section="Watching",
    )
    SENTRY_DSN: str | None = variable(
        url("https", "http"),
        "Where errors are reported, to Sentry or a server that speaks like it. Unset: nowhere.",
        example="https://key@sentry.example.com/1",
        secret=True,
        section="Watching",
    )
    OTEL_EXPORTER_OTLP_ENDPOINT: str | None = variable(
        url("https", "http"),
        "Collector that takes traces (OTLP over HTTP). Unset: none are made.",
        example="http://127.0.0.1:4318",
        section="Watching",
    )
    OTEL_EXPORTER_OTLP_HEADERS: str | None = variable(
        text,
        "Headers that the collector wants, name=value, separated by commas.",
        example="authorization=Bearer%20your-key",
        secret=True,
        section="Watching",
    )
    TRACES_SHARE: float = variable(
        share,
        "Share of requests and tasks of which a trace is made, from 0 to 1.",
        default="1",
        example="0.1",
        section="Watching",
    )
