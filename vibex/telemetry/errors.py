"""Error reports to Sentry, or to a server that speaks like it: where it broke and how, and nothing else.

No local variables, no bodies, no headers, no lines of source, no person. What is left goes through the masking of the log,
and loses mail addresses.
"""

from __future__ import annotations

import logging
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings

from vibex.lib.masking import mask_text, mask_value
from vibex.lib.release import release
from vibex.telemetry.people import without_people

UNTOLD: Final = ("user", "extra", "modules")
"""Parts of an event that are left out: they are of people, or of this machine."""
UNTOLD_CRUMBS: Final = frozenset({"query", "redis", "httplib", "subprocess"})
"""Kinds of breadcrumbs that are left out: statements and addresses with what is in them."""
SECONDS_TO_LEAVE: Final = 2.0


def begin(dsn: str) -> None:
    """Report what is logged as an error, and what nobody caught, to the server of `dsn`."""
    import sentry_sdk
    from sentry_sdk.integrations.atexit import AtexitIntegration
    from sentry_sdk.integrations.celery import CeleryIntegration
    from sentry_sdk.integrations.dedupe import DedupeIntegration
    from sentry_sdk.integrations.django import DjangoIntegration
    from sentry_sdk.integrations.logging import LoggingIntegration

    sentry_sdk.init(
        dsn=dsn,
        environment=settings.VIBEX_ENV,
        release=f"vibex@{release()}",
        # Others would read prompts (openai), arguments (argv) and installed packages (modules): only these are taken.
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[
            AtexitIntegration(callback=lambda *_: None),
            DedupeIntegration(),
            LoggingIntegration(level=logging.INFO, event_level=logging.ERROR),
            DjangoIntegration(signals_spans=False),
            CeleryIntegration(propagate_traces=False),
        ],
        send_default_pii=False,
        include_local_variables=False,
        include_source_context=False,
        max_request_body_size="never",
        traces_sample_rate=None,
        shutdown_timeout=SECONDS_TO_LEAVE,
        before_send=scrubbed,
        before_send_transaction=scrubbed,
        before_breadcrumb=crumb,
    )


def scrubbed(event: Any, _hint: Any = None) -> Any:
    """Return an event as it may leave."""
    kept = {name: part for name, part in event.items() if name not in UNTOLD}
    if request := kept.pop("request", {}):
        kept["request"] = _address(request)
    return without_people(mask_value(kept))


def crumb(made: Any, _hint: Any = None) -> Any:
    """Return what happened before, as it may leave; None for what may not."""
    if made.get("category") in UNTOLD_CRUMBS or made.get("type") == "http":
        return None
    return {
        name: part if name == "timestamp" else without_people(mask_value(part, name)) for name, part in made.items()
    }


def _address(request: dict[str, Any]) -> dict[str, str]:
    """Return method and path of a request. Its query, headers, cookies and body stay here."""
    parts = urlsplit(str(request.get("url", "")))
    return {"method": str(request.get("method", "")), "url": mask_text(f"{parts.scheme}://{parts.netloc}{parts.path}")}
