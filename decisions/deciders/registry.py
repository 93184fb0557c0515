"""Which decider a bot's model name stands for."""

from __future__ import annotations

from django.conf import settings

from decisions.deciders.base import BotView, Decider
from decisions.deciders.openrouter import OpenRouterDecider
from decisions.deciders.rules import RULES, rules_decider
from decisions.llm.client import endpoint_from_settings
from vibex.lib.errors import Rejected

PREFIX_OF_MODELS = "openrouter"
WITHOUT_MODEL = "rules/trend"


def decider_for(bot: BotView) -> Decider:
    """Return what decides for the bot: rules/<strategy> or openrouter/<model>. Raises Rejected for other names."""
    prefix, _, rest = bot.model.partition("/")
    if prefix == "rules":
        return rules_decider(rest)
    if prefix == PREFIX_OF_MODELS and rest:
        return OpenRouterDecider(
            models=(rest, *map(_without_prefix, bot.fallback_models)), endpoint=endpoint_from_settings()
        )
    raise Rejected(
        f"Nothing decides under the name {bot.model!r}. Known are {', '.join(known_deciders())}.",
        code="unknown_decider",
    )


def known_deciders() -> tuple[str, ...]:
    """Return the names that a bot may use, for messages and choices."""
    return (*(f"rules/{name}" for name in RULES), f"{PREFIX_OF_MODELS}/<model>")


def default_model() -> str:
    """Return the decider of the first bot: the configured model where one can be asked, else rules.

    Raises Rejected when a key or an address is set but no model is named: rules must not trade in its place unsaid.
    """
    if not (settings.OPENROUTER_API_KEY or settings.LLM_BASE_URL):
        return WITHOUT_MODEL
    if not settings.LLM_MODEL:
        raise Rejected(
            "A key or address of a model server is set, but no model. Set LLM_MODEL, for example deepseek/deepseek-chat-v3.1.",
            code="model_missing",
        )
    return f"{PREFIX_OF_MODELS}/{settings.LLM_MODEL}"


def _without_prefix(model: str) -> str:
    return model.removeprefix(f"{PREFIX_OF_MODELS}/")
