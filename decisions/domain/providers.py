"""Servers that can be asked, and how their models are named: <provider>/<model>. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from vibex.lib.errors import Rejected

RULES: Final = "rules"
LOCAL: Final = "local"
"""The provider at LLM_BASE_URL."""
KEY_OF_LOCAL: Final = "LLM_API_KEY"
TAKEN: Final = (RULES, LOCAL)
"""Names that mean something else, and that no row may have."""
_NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_INSIDE: Final = (".localhost", ".local", ".internal", ".lan", ".home.arpa")
"""Ends of names that no public server has."""


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """A server that speaks the chat API of OpenAI."""

    name: str
    dialect: str
    """How it differs: openrouter, openai, anthropic, deepseek, xai, gemini or plain."""
    base_url: str
    key_variable: str
    """Environment variable that holds the key; "" when it wants none."""
    requests_per_minute: int | None = None
    """To one model; None: the house's own figure."""
    at_once: int | None = None
    """Requests under way; None: the house's own figure."""


HOUSE: Final[Mapping[str, ProviderSpec]] = {
    spec.name: spec
    for spec in (
        ProviderSpec("openrouter", "openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
        ProviderSpec("openai", "openai", "https://api.openai.com/v1", "OPENAI_API_KEY"),
        ProviderSpec("anthropic", "anthropic", "https://api.anthropic.com/v1", "ANTHROPIC_API_KEY"),
        ProviderSpec("deepseek", "deepseek", "https://api.deepseek.com", "DEEPSEEK_API_KEY"),
        ProviderSpec("xai", "xai", "https://api.x.ai/v1", "XAI_API_KEY"),
        ProviderSpec("gemini", "gemini", "https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY"),
    )
}
"""Those that need no row in the database. What is at LLM_BASE_URL is named local, and answers for openrouter, too."""
KEY_OWNERS: Final[Mapping[str, str]] = {
    spec.key_variable: urlsplit(spec.base_url).hostname or "" for spec in HOUSE.values()
}
"""Which host each key of the house belongs to: it is sent to no other."""


def split_name(model: str) -> tuple[str, str]:
    """Return provider and model of a name like openrouter/x-ai/grok-4.3. Raises Rejected for one without both."""
    provider, _, rest = model.partition("/")
    if not provider or not rest:
        raise Rejected(
            f"{model!r} names no model. Write <provider>/<model>, for example openrouter/x-ai/grok-4.3, or rules/trend.",
            code="unknown_decider",
        )
    return provider, rest


def own_key_variable(name: str) -> str:
    """Return the variable that holds the key of a provider which the house does not know."""
    return f"{KEY_OF_LOCAL}_{name.upper().replace('-', '_')}"


def name_fault(name: str) -> str:
    """Return what is wrong with the name of a provider, "" when nothing is."""
    if name in TAKEN:
        return f"{name} is taken: it names {'strategies' if name == RULES else 'the server at LLM_BASE_URL'}."
    if not _NAME.fullmatch(name):
        return "Use small letters, digits and single dashes between them."
    return ""


def address_fault(url: str) -> str:
    """Return what is wrong with the address of a server, "" when nothing is. Only at home it may do without TLS."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError when it is none
    except ValueError:
        return "This is no address."
    if parts.scheme not in ("https", "http") or not parts.hostname:
        return "Write an address such as https://api.example/v1."
    if parts.username or parts.password:
        return "A key does not stand in the address: name the variable that holds it."
    if parts.query or parts.fragment:
        return "Leave out what follows the path."
    if parts.scheme == "http" and not is_at_home(parts.hostname):
        return "A server that is not in your own network is asked by https only: the key would go out in the clear."
    return ""


def is_at_home(host: str) -> bool:
    """Tell whether a host is this machine, or a name or address of a private network."""
    try:
        address = ip_address(host)
    except ValueError:
        # A name without a dot is one that only the own network knows: localhost, or a container beside this one.
        return "." not in host or host.endswith(_INSIDE)
    return address.is_loopback or (address.is_private and not address.is_unspecified)


def key_fault(spec: ProviderSpec, *, local_url: str = "") -> str:
    """Return why a provider must not be given the key in its variable, "" when it may.

    The variable is one of a short list, so that no other secret can be named; and each key belongs to one server: those
    of the house to their hosts, LLM_API_KEY to that of LLM_BASE_URL (`local_url`), LLM_API_KEY_<NAME> to <name>.
    """
    variable = spec.key_variable
    if not variable or variable == own_key_variable(spec.name):
        return ""
    own = own_key_variable(spec.name)
    owner = KEY_OWNERS.get(variable, "")
    if variable == KEY_OF_LOCAL:
        owner = urlsplit(local_url).hostname or ""
        if not owner:
            return f"{variable} belongs to the server at LLM_BASE_URL, which is not set: use {own}."
    if not owner:
        return f"Use {own}: no other secret is sent to a model server."
    if urlsplit(spec.base_url).hostname != owner:
        return f"{variable} belongs to {owner} and is sent to no other server: use {own}."
    return ""


def spec_fault(spec: ProviderSpec, *, local_url: str = "") -> str:
    """Return the first thing that is wrong with a provider, "" when nothing is."""
    return name_fault(spec.name) or address_fault(spec.base_url) or key_fault(spec, local_url=local_url)
