"""Servers that can be asked, and how their models are named: <provider>/<model>. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from vibex.lib.errors import Rejected

RULES: Final = "rules"


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


def split_name(model: str) -> tuple[str, str]:
    """Return provider and model of a name like openrouter/x-ai/grok-4.3. Raises Rejected for one without both."""
    provider, _, rest = model.partition("/")
    if not provider or not rest:
        raise Rejected(
            f"{model!r} names no model. Write <provider>/<model>, for example openrouter/x-ai/grok-4.3, or rules/trend.",
            code="unknown_decider",
        )
    return provider, rest
