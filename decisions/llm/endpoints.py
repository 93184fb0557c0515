"""Where models are asked: the server that stands before the first slash of a model's name, with its key."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from django.conf import settings
from django.db import DatabaseError

from decisions.domain.providers import HOUSE, KEY_OF_LOCAL, KEY_OWNERS, LOCAL, ProviderSpec, address_fault, spec_fault
from decisions.models import Provider
from vibex.lib.errors import Rejected

OPENROUTER = HOUSE["openrouter"].base_url


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


@dataclass(frozen=True, slots=True)
class Standing:
    """A provider, and why it cannot be asked, "" where it can. Never a key."""

    name: str
    dialect: str
    key_variable: str
    problem: str = ""


def standings() -> list[Standing]:
    """Return the providers that may stand before the first slash of a model's name, in order. One query."""
    at_base_url = settings.LLM_BASE_URL or ""
    specs = {**HOUSE, **_rows()}
    if at_base_url:
        specs |= {LOCAL: ProviderSpec(LOCAL, "plain", at_base_url, "")}
        specs["openrouter"] = specs[LOCAL]
    return [Standing(name, spec.dialect, spec.key_variable, _problem(spec)) for name, spec in sorted(specs.items())]


def endpoint_of(provider: str) -> Endpoint:
    """Return the server of a provider, with its key.

    Raises Rejected when there is none of that name, its key is not set, or must not go there.
    """
    if settings.LLM_BASE_URL and provider in (LOCAL, "openrouter"):
        return _at_base_url()
    spec = spec_of(provider)
    if fault := spec_fault(spec, local_url=settings.LLM_BASE_URL or ""):
        raise Rejected(f"{provider} cannot be asked: {fault}", code="model_unconfigured")
    key = key_in(spec.key_variable)
    if spec.key_variable and not key:
        raise Rejected(f"{provider} cannot be asked: set {spec.key_variable}.", code="model_unconfigured")
    return Endpoint(spec.base_url, key, provider, spec.dialect, spec.requests_per_minute, spec.at_once)


def house_endpoints() -> list[Endpoint]:
    """Return the servers that the environment alone names, without a look into the database. Raises Rejected as above."""
    local = [_at_base_url()] if settings.LLM_BASE_URL else []
    with_key = [
        Endpoint(spec.base_url, key_in(spec.key_variable), spec.name, spec.dialect)
        for spec in HOUSE.values()
        if key_in(spec.key_variable) and not (local and spec.name == "openrouter")
    ]
    return [*local, *with_key]


def spec_of(provider: str) -> ProviderSpec:
    """Return what is known of a provider: its row, else what the house knows. Raises Rejected with the known names."""
    row = _rows().get(provider)
    if row is not None:
        return row
    if provider not in HOUSE:
        raise Rejected(
            f"There is no provider {provider!r}. Known are {', '.join(provider_names())}.", code="unknown_provider"
        )
    return HOUSE[provider]


def provider_names() -> list[str]:
    """Return the names that may stand before the first slash of a model's name."""
    return sorted({*HOUSE, *_rows(), *([LOCAL] if settings.LLM_BASE_URL else [])})


def key_in(variable: str) -> str:
    """Return the key in a variable, "" when it is not set, or is none of a model server."""
    if variable in (KEY_OF_LOCAL, *KEY_OWNERS):
        return str(getattr(settings, variable) or "")
    prefix, _, name = variable.partition(f"{KEY_OF_LOCAL}_")
    return "" if prefix else str(settings.MODEL_KEYS.get(name, ""))


def key_variable_of(endpoint: Endpoint) -> str:
    """Return the variable that holds the key of a server, for a person who has to set it."""
    return KEY_OF_LOCAL if endpoint.provider == LOCAL else spec_of(endpoint.provider).key_variable


def _problem(spec: ProviderSpec) -> str:
    """Return why a provider cannot be asked."""
    if spec.name == LOCAL:
        return address_fault(spec.base_url)
    missing = bool(spec.key_variable) and not key_in(spec.key_variable)
    return spec_fault(spec, local_url=settings.LLM_BASE_URL or "") or (f"Set {spec.key_variable}." if missing else "")


def _rows() -> dict[str, ProviderSpec]:
    rows = Provider.objects.filter(enabled=True)
    try:
        return {row.name: spec_of_row(row) for row in rows}
    except DatabaseError:  # no tables yet: the doctor and the first start ask before there are any
        return {}


def spec_of_row(row: Provider) -> ProviderSpec:
    """Return a provider of the database as plain data."""
    return ProviderSpec(row.name, row.dialect, row.base_url, row.key_variable, row.requests_per_minute, row.at_once)


def _at_base_url() -> Endpoint:
    url = settings.LLM_BASE_URL or ""
    if fault := address_fault(url):
        raise Rejected(f"LLM_BASE_URL cannot be asked: {fault}", code="model_unconfigured")
    theirs = urlsplit(url).hostname == urlsplit(OPENROUTER).hostname
    return Endpoint(url, settings.LLM_API_KEY or "", LOCAL, "openrouter" if theirs else "plain")
