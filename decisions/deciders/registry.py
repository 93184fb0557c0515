"""Which decider a bot's model name stands for."""

from __future__ import annotations

from django.conf import settings

from decisions.deciders.base import BotView, Decider
from decisions.deciders.model import ModelDecider
from decisions.deciders.ports import Known, NoPurse, NothingKnown, Purse
from decisions.deciders.rules import RULES, rules_decider
from decisions.domain.providers import RULES as PREFIX_OF_RULES
from decisions.domain.providers import split_name
from decisions.llm.endpoints import endpoint_of, provider_names
from vibex.lib.errors import Rejected

PREFIX_OF_MODELS = "openrouter"
WITHOUT_MODEL = "rules/trend"


def decider_for(bot: BotView, *, purse: Purse | None = None, known: Known | None = None) -> Decider:
    """Return what decides for the bot: rules/<strategy> or <provider>/<model>. Raises Rejected for other names.

    Without a `purse` nothing limits what is spent, without anything `known` nobody's price is.
    """
    prefix, _, rest = bot.model.partition("/")
    if prefix == PREFIX_OF_RULES:
        return rules_decider(rest)
    if prefix not in provider_names() or not rest:
        raise Rejected(
            f"Nothing decides under the name {bot.model!r}. Known are {', '.join(known_deciders())}.",
            code="unknown_decider",
        )
    purse, known = purse or NoPurse(), known or NothingKnown()
    provider, model = split_name(bot.model)
    fallbacks = (name.removeprefix(f"{provider}/") for name in bot.fallback_models)
    return ModelDecider(models=(model, *fallbacks), endpoint=endpoint_of(provider))


def known_deciders() -> tuple[str, ...]:
    """Return the names that a bot may use, for messages and choices."""
    return (*(f"rules/{name}" for name in RULES), *(f"{name}/<model>" for name in provider_names()))


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
