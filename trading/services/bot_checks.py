"""What cannot work of how a bot shall be, and what may not be meant: the same for the admin, for files and for the API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings

from accounts.models import Bot
from marketdata.domain.intervals import INTERVAL_MS
from marketdata.models import Instrument
from vibex.lib.errors import Rejected

ASKING: Final = (
    "model",
    "fallback_models",
    "served_models",
    "reasoning_effort",
    "temperature",
    "max_tokens",
    "deadline_seconds",
    "prompt_template",
    "prompt_version",
    "layout",
    "outside_text",
    "cost_per_day",
    "tokens_per_day",
    "ensemble_models",
    "ensemble_rule",
    "shadow_models",
    "approval",
)
"""How a bot asks its models."""
NAMING: Final = ("fallback_models", "ensemble_models", "shadow_models")
"""Lists of models, besides the model itself."""
OF_A_BOT: Final = ("name", *ASKING, "symbols", "interval", "timeframes", "capital")
"""Everything that a person decides of a bot, besides its account."""

type Values = Mapping[str, Any]
type Fault = tuple[str, str]
"""A field, and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What is to be said of how a bot shall be: what cannot work, by field, and what may be wanted all the same."""

    faults: tuple[Fault, ...] = ()
    warnings: tuple[str, ...] = ()


def bot_look(given: Values, *, market: str, bot: Bot | None = None) -> Looked:
    """Look at all that is decided of a bot (`OF_A_BOT`), each of the right type already; `bot` is what it is until now."""
    faults = (*_symbols(given, market), *_timeframes(given), *_template(given), *_deciders(given))
    return Looked(faults) if faults else _clashes(given, bot)


def _symbols(given: Values, market: str) -> Iterator[Fault]:
    known = set(Instrument.objects.filter(venue=market).values_list("symbol", flat=True))
    if unknown := sorted(set(given["symbols"]) - known):
        offered = ", ".join(sorted(known)) or "nothing yet: start the server once"
        yield "symbols", f"{', '.join(unknown)} is not traded at {market}. It has {offered}."


def _timeframes(given: Values) -> Iterator[Fault]:
    if given["timeframes"][0] != given["interval"]:
        yield "timeframes", f"The first has to be the bot's own interval, {given['interval']}."


def _template(given: Values) -> Iterator[Fault]:
    """Refuse a template, or a version of it, that is not there: a bot without one asks nothing."""
    from decisions.selectors.prompts import prompt_template_text

    name, version = given["prompt_template"], given["prompt_version"]
    if given["model"].startswith("rules/") or prompt_template_text(name, version) is not None:
        return
    if version is not None and prompt_template_text(name) is not None:
        yield "prompt_version", f"{name} has no version {version}."
    else:
        yield "prompt_template", f"There is no prompt template {name}."


def _deciders(given: Values) -> Iterator[Fault]:
    """Refuse every name under which nothing decides: no such strategy or provider, or one without its key."""
    # Deciders load NumPy and pydantic, and the admin loads this module for every command.
    from decisions.deciders.base import BotView
    from decisions.deciders.registry import decider_for
    from decisions.domain.presets import successor_of

    for field in ("model", *NAMING):
        for name in [given["model"]] if field == "model" else given[field]:
            view = BotView(given["name"], name, tuple(given["symbols"]), given["interval"], tuple(given["timeframes"]))
            try:
                decider_for(view)
            except Rejected as refusal:
                successor = successor_of(name)
                yield field, f"{refusal} It is retired: use {successor}." if successor else str(refusal)


def _clashes(given: Values, bot: Bot | None) -> Looked:
    from decisions.domain.asking_clashes import Settings, clashes
    from decisions.selectors.models_asked import model_states

    asked = Settings(
        given["model"],
        tuple(given["fallback_models"]),
        tuple(given["ensemble_models"]),
        tuple(given["shadow_models"]),
        given["reasoning_effort"],
        given["max_tokens"],
        given["deadline_seconds"],
        INTERVAL_MS[given["interval"]] // 1000,
        given["outside_text"],
        _prompt_tokens(given, bot),
    )
    states = model_states((*asked.deciding, *asked.shadows))
    found = clashes(asked, states, ensemble_on=settings.FEATURE_ENSEMBLE, outside_on=settings.FEATURE_EXTERNAL_TEXT)
    faults, warnings = [], []
    for clash in found:
        if clash.warns:
            warnings.append(clash.text)
        else:
            faults.append((clash.field, clash.text))
    return Looked(tuple(faults), tuple(dict.fromkeys(warnings)))


def _prompt_tokens(given: Values, bot: Bot | None) -> int:
    """Return how long the bot's last prompt was, or what one may be."""
    from decisions.domain.asking_clashes import prompt_estimate
    from decisions.selectors.models_asked import last_prompt_tokens

    counted = last_prompt_tokens(bot) if bot is not None and bot.pk else 0
    return counted or prompt_estimate(symbols=len(given["symbols"]), layout=given["layout"])
