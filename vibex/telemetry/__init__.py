"""Error reports and traces: off, and nothing of their libraries imported, until a variable names where they go."""

from __future__ import annotations

from django.conf import settings

from vibex.lib.logging import serves

WATCHED = ("stream", "user_streams", "feed")
"""Commands that serve, besides those that log as servers."""


def wanted(argv: list[str]) -> bool:
    """Tell whether this process is one that is watched. A command says itself what went wrong, to whoever typed it."""
    return serves(argv) or argv[1:2] in [[name] for name in WATCHED]


def begin(argv: list[str]) -> None:
    """Begin to report errors and to draw traces, as far as the settings ask for it. Once in a process."""
    if settings.SENTRY_DSN:
        from vibex.telemetry import errors

        errors.begin(settings.SENTRY_DSN)
    if settings.OTEL_EXPORTER_OTLP_ENDPOINT:
        from vibex.telemetry import traces

        traces.begin(
            settings.OTEL_EXPORTER_OTLP_ENDPOINT,
            headers=settings.OTEL_EXPORTER_OTLP_HEADERS or "",
            share=settings.TRACES_SHARE,
            process=process_name(argv),
        )


def process_name(argv: list[str]) -> str:
    """Return what kind of process this is: web, up, stream; worker or beat of Celery."""
    words = [word for word in argv[1:] if not word.startswith("-")]
    known = ("worker", "beat", "web", "up", *WATCHED)
    return next((word for word in words if word in known), "server")
