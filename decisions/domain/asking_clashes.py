"""What does not go together in how a bot asks its models. Pure: what is known of them is handed in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from decisions.domain.model_state import ModelState, short
from decisions.domain.providers import RULES

SYSTEM_TOKENS: Final = 2_400
"""About what rules, limits and the schema of a reply take in a prompt."""
TOKENS_PER_SYMBOL: Final = {"arena": 900, "compact": 450}
"""About what market, account and feedback take for one symbol with three timeframes (research: llm.md 5.1, 5.2)."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a bot asks."""

    model: str
    fallbacks: tuple[str, ...] = ()
    ensemble: tuple[str, ...] = ()
    shadows: tuple[str, ...] = ()
    effort: str = "low"
    max_tokens: int = 4_000
    deadline_seconds: int = 30
    interval_seconds: int = 180
    outside_text: bool = False
    prompt_tokens: int = 0
    """About how long its prompt is."""

    @property
    def deciding(self) -> tuple[str, ...]:
        """Every model whose reply may be traded."""
        return tuple(dict.fromkeys((self.model, *self.fallbacks, *self.ensemble)))


@dataclass(frozen=True, slots=True)
class Clash:
    """Two things that do not go together, at a field. One that only warns may be wanted all the same."""

    field: str
    text: str
    warns: bool = False


def clashes(
    given: Settings, states: Mapping[str, ModelState], *, ensemble_on: bool, outside_on: bool
) -> Iterator[Clash]:
    """Yield everything that clashes. `states` holds what is known of each model that is named."""
    yield from _twice(given)
    yield from _switched_off(given, ensemble_on=ensemble_on, outside_on=outside_on)
    if given.deadline_seconds > given.interval_seconds / 2:
        half = given.interval_seconds // 2
        yield Clash("deadline_seconds", f"A decision must be over before half of the interval is: at most {half} s.")
    for field, names in _fields(given):
        for name in names:
            yield from _of_name(field, name)
            if name in states:
                yield from _of_model(given, field, states[name])


def prompt_estimate(*, symbols: int, layout: str) -> int:
    """Return about how many tokens a prompt has that nobody has counted yet."""
    return SYSTEM_TOKENS + symbols * TOKENS_PER_SYMBOL.get(layout, TOKENS_PER_SYMBOL["arena"])


def _fields(given: Settings) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "model", (given.model,)
    yield "fallback_models", given.fallbacks
    yield "ensemble_models", given.ensemble
    yield "shadow_models", given.shadows


def _twice(given: Settings) -> Iterator[Clash]:
    for field, names in _fields(given):
        beside = () if field == "model" else (given.model,)
        count = Counter((*beside, *names))
        if twice := sorted(name for name, times in count.items() if times > 1):
            yield Clash(field, f"{', '.join(twice)} is named twice: each model is asked once.")


def _switched_off(given: Settings, *, ensemble_on: bool, outside_on: bool) -> Iterator[Clash]:
    if given.ensemble and not ensemble_on:
        yield Clash("ensemble_models", "Several models decide together only with FEATURE_ENSEMBLE=yes.")
    if given.outside_text and not outside_on:
        yield Clash("outside_text", "Texts from outside enter prompts only with FEATURE_EXTERNAL_TEXT=yes.")


def _of_name(field: str, name: str) -> Iterator[Clash]:
    if name.startswith(f"{RULES}/") and field == "fallback_models":
        yield Clash(field, f"{name} never fails to answer, and would trade in a model's place: leave it out.")


def _of_model(given: Settings, field: str, state: ModelState) -> Iterator[Clash]:
    if state.warns:
        yield Clash(field, state.words, warns=True)
    facts = state.facts
    if facts is None:
        return
    name, warns = state.name, field == "shadow_models"  # what only compares may fail without harm
    if facts.efforts and given.effort not in facts.efforts:
        yield Clash("reasoning_effort", f"{name} takes {_list(facts.efforts)}, not {given.effort}.", warns)
    if facts.max_output and given.max_tokens > facts.max_output:
        yield Clash("max_tokens", f"{name} writes {facts.max_output:,} tokens at most.", warns)
    if facts.context and given.prompt_tokens + given.max_tokens > facts.context:
        told = f"{given.prompt_tokens:,} of the prompt and {given.max_tokens:,} of the reply"
        yield Clash("max_tokens", f"{name} has room for {short(facts.context)} tokens; {told} do not fit.", warns)
    if state.schema is False:
        yield Clash(field, f"{name} takes no schema: its replies are asked for by the prompt alone.", warns=True)


def _list(words: tuple[str, ...]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
