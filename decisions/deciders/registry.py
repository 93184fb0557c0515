"""Which decider a bot's model name stands for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from django.conf import settings

from decisions.deciders.base import BotView, Decider
from decisions.deciders.climb import TakeTurn
from decisions.deciders.model import ModelDecider, model_decider
from decisions.deciders.ports import Known, NoPurse, NothingKnown, Purse
from decisions.deciders.precedence import After, First, Precedence
from decisions.deciders.rules import RULES, rules_decider
from decisions.deciders.together import EnsembleDecider, ShadowedDecider, Unasked
from decisions.domain.providers import LOCAL
from decisions.domain.providers import RULES as PREFIX_OF_RULES
from decisions.domain.question import Asking
from decisions.llm.client import prepare
from decisions.llm.endpoints import provider_names
from decisions.llm.turns import turn
from vibex.lib.errors import Rejected

PREFIX_OF_MODELS = "openrouter"
WITHOUT_MODEL = "rules/trend"


def decider_for(bot: BotView, *, purse: Purse | None = None, known: Known | None = None, soon: bool = False) -> Decider:
    """Return what decides for the bot: rules/<strategy> or <provider>/<model>, alone or with the models beside it.

    Without a `purse` nothing limits what is spent, without anything `known` nobody's price is. Who will ask `soon` has
    what is slow the first time begun at once, so that it is not taken from the first deadline. Raises Rejected for names
    that nobody has, and when the bot's own model cannot be asked; one beside it that cannot be asked is silent.
    """
    ensemble, shadows = _others(bot), tuple(dict.fromkeys(bot.asking.shadows))
    chain = _chain(bot, ensemble)
    models = [name for name in (*chain, *ensemble) if not _is_rules(name)]
    firsts = [name for name in (bot.model, *ensemble) if not _is_rules(name)]
    precedence = Precedence(purse or NoPurse(), deciding=len(firsts), calls=len(models))
    house = _House(bot.asking, First(precedence) if shadows else precedence.purse, known or NothingKnown(), soon=soon)
    live = _together(bot, house.decider(chain), [house.beside(name) for name in ensemble])
    if not shadows:
        return live
    compared = replace(house, purse=After(precedence), turn=precedence.turn_after)
    return ShadowedDecider(live, tuple(compared.beside(name) for name in shadows), precedence)


@dataclass(frozen=True, slots=True)
class _House:
    """What every decider of one bot is made with."""

    asking: Asking
    purse: Purse
    known: Known
    turn: TakeTurn = turn
    soon: bool = False

    def decider(self, chain: Sequence[str]) -> Decider:
        """Return what asks a chain of names in their order. Raises Rejected when the first cannot be asked."""
        prefix, _, rest = chain[0].partition("/")
        if prefix == PREFIX_OF_RULES:
            return rules_decider(rest)
        try:
            made = model_decider(chain, self.asking, purse=self.purse, known=self.known)
        except Rejected as fault:
            if fault.code not in ("unknown_provider", "unknown_decider"):
                raise
            raise Rejected(
                f"Nothing decides under the name {chain[0]!r}. Known are {', '.join(known_deciders())}.",
                code="unknown_decider",
            ) from fault
        for endpoint in {link.endpoint for link in made.chain if link.endpoint and self.soon}:
            prepare(endpoint)
        return replace(made, turn=self.turn)

    def beside(self, name: str) -> Decider:
        """Return what asks one more model, which answers under its own name only.

        One that cannot be asked keeps nobody else from being asked.
        """
        try:
            return replace(self, asking=replace(self.asking, served=())).decider((name,))
        except Rejected as refusal:
            return Unasked(name, f"{refusal.code}: {refusal}")


def _together(bot: BotView, own: Decider, others: Sequence[Decider]) -> Decider:
    return EnsembleDecider(tuple(_once(own, others)), bot.asking.ensemble_rule) if others else own


def _once(own: Decider, others: Sequence[Decider]) -> Iterator[Decider]:
    """Yield who votes. Two names of one model at one server are one vote: the second stays silent, and agrees to nothing."""
    voted = set()
    for voter in (own, *others):
        place = (voter.endpoint.base_url, voter.models[0]) if isinstance(voter, ModelDecider) else None
        same = place is not None and place in voted
        yield Unasked(voter.name, "same_model: it is a model that votes already, under another name") if same else voter
        voted.add(place)


def _others(bot: BotView) -> tuple[str, ...]:
    """Return the models that decide together with the bot's own, each once: nobody has two votes."""
    return tuple(name for name in dict.fromkeys(bot.asking.ensemble) if name != bot.model)


def _chain(bot: BotView, ensemble: Sequence[str]) -> tuple[str, ...]:
    """Return the bot's model and its fallbacks, but none that has a vote of its own already."""
    return (bot.model, *(name for name in bot.fallback_models if name not in ensemble))


def _is_rules(name: str) -> bool:
    return name.partition("/")[0] == PREFIX_OF_RULES


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
            "A key or address of a model server is set, but no model. Set LLM_MODEL, for example deepseek/deepseek-v4-flash.",
            code="model_missing",
        )
    if settings.LLM_BASE_URL and settings.LLM_MODEL.startswith(f"{LOCAL}/"):
        return str(settings.LLM_MODEL)  # written as bots name the models of that server
    return f"{PREFIX_OF_MODELS}/{settings.LLM_MODEL}"
