"""Where models are asked: the server that stands before the first slash of a model's name, with its key."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from django.conf import settings
from django.db import DatabaseError

from decisions.domain.providers import HOUSE, ProviderSpec
from decisions.models import Provider
from vibex.lib.errors import Rejected

OPENROUTER = HOUSE["openrouter"].base_url
LOCAL = "local"
"""The provider at LLM_BASE_URL."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server with its key, which never shows in a representation."""

    base_url: str
    key: str = field(default="", repr=False)
    provider: str = LOCAL
    dialect: str = "plain"
    requests_per_minute: int | None = None
    at_once: int | None = None

    @property
    def host(self) -> str:
        return urlsplit(self.base_url).netloc.rpartition("@")[2]

    @property
    def is_openrouter(self) -> bool:
        return self.dialect == "openrouter"


def endpoint_of(provider: str) -> Endpoint:
    """Return the server of a provider. Raises Rejected when there is none of that name, or its key is not set."""
    if settings.LLM_BASE_URL and provider in (LOCAL, "openrouter"):
        return _at_base_url()
    spec = spec_of(provider)
    key = key_in(spec.key_variable)
    if spec.key_variable and not key:
        raise Rejected(f"{provider} cannot be asked: set {spec.key_variable}.", code="model_unconfigured")
    return Endpoint(spec.base_url, key, provider, spec.dialect, spec.requests_per_minute, spec.at_once)


def spec_of(provider: str) -> ProviderSpec:
    """Return what is known of a provider: its row, else what the house knows. Raises Rejected with the known names."""
    try:
        row = Provider.objects.filter(name=provider, enabled=True).first()
    except DatabaseError:  # no tables yet: the doctor and the first start ask before there are any
        row = None
    if row is not None:
        return ProviderSpec(row.name, row.dialect, row.base_url, row.key_variable, row.requests_per_minute, row.at_once)
    if provider not in HOUSE:
        raise Rejected(
            f"There is no provider {provider!r}. Known are {', '.join(provider_names())}.", code="unknown_provider"
        )
    return HOUSE[provider]


def provider_names() -> list[str]:
    """Return the names that may stand before the first slash of a model's name."""
    rows = Provider.objects.filter(enabled=True).values_list("name", flat=True)
    return sorted({*HOUSE, *rows, *([LOCAL] if settings.LLM_BASE_URL else [])})


def key_in(variable: str) -> str:
    """Return the key in an environment variable, "" when it is not set."""
    given = getattr(settings, variable, None) if variable else None
    return str(given or os.environ.get(variable, "")) if variable else ""


def _at_base_url() -> Endpoint:
    url = settings.LLM_BASE_URL or ""
    theirs = urlsplit(url).hostname == urlsplit(OPENROUTER).hostname
    return Endpoint(url, settings.LLM_API_KEY or "", LOCAL, "openrouter" if theirs else "plain")
