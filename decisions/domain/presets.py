"""Models that are worth a try, what they cost, and what took the place of those that are gone. Pure data.

Prices are list prices in US dollars per million tokens: the table of litellm 1.106.2 (21 October 2026), read for providers
whose own catalogues name no price. The catalogue of a provider goes before them wherever it names one. No name was tried
against a live server; whether a name still holds is said by the catalogue, as soon as it has been read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from decisions.domain.money import Price
from decisions.domain.providers import HOUSE

OPENROUTER: Final = "openrouter"
WITHOUT_PROVIDER: Final = ("x-ai", "google")
"""Authors at OpenRouter that are no providers: a name that begins with them was written without its provider."""
SOURCE: Final = "list price in litellm 1.106.2, October 2026"


@dataclass(frozen=True, slots=True)
class Preset:
    """A model with settings under which it answers within a deadline of 30 s, as far as that is known."""

    key: str
    family: str
    title: str
    slug: str
    """At OpenRouter."""
    provider: str
    """Who serves it directly."""
    direct: str
    """Its name there."""
    price: Price
    """At the direct provider. That of OpenRouter stands in its catalogue."""
    effort: str = "low"
    max_tokens: int = 4_000
    note: str = ""

    @property
    def names(self) -> tuple[str, str]:
        """Under which names a bot may ask it: through OpenRouter, and directly."""
        return f"{OPENROUTER}/{self.slug}", f"{self.provider}/{self.direct}"


@dataclass(frozen=True, slots=True)
class Retired:
    """A name that is gone or about to go, and the preset that took its place."""

    name: str
    successor: str
    """Key of a preset."""
    since: date
    """When it was, or will be, switched off."""
    note: str
    """Who says so, and how sure that is."""

    def successor_at(self, provider: str) -> str:
        """Return the successor's name at the same provider; at OpenRouter where that provider does not serve it."""
        preset = PRESETS[self.successor]
        return preset.names[1] if provider == preset.provider else preset.names[0]


def _price(prompt: str, reply: str) -> Price:
    return Price(Decimal(prompt), Decimal(reply))


PRESETS: Final[Mapping[str, Preset]] = {
    preset.key: preset
    for preset in (
        Preset(
            "claude-sonnet-5", "Claude", "Claude Sonnet 5", "anthropic/claude-sonnet-5", "anthropic", "claude-sonnet-5",
            _price("2", "10"), note="Takes the place of Sonnet 4.5 and 4.",
        ),
        Preset(
            "claude-haiku-4.5", "Claude", "Claude Haiku 4.5", "anthropic/claude-haiku-4.5", "anthropic",
            "claude-haiku-4-5", _price("1", "5"), effort="none", max_tokens=3_000,
            note="The quick one. Context 200,000.",
        ),
        Preset(
            "claude-opus-5", "Claude", "Claude Opus 5", "anthropic/claude-opus-5", "anthropic", "claude-opus-5",
            _price("5", "25"), note="The dearest here; whether it answers within 30 s is not verified.",
        ),
        Preset(
            "gpt-5.6-luna", "GPT", "GPT-5.6 Luna", "openai/gpt-5.6-luna", "openai", "gpt-5.6-luna",
            _price("0.2", "1.2"), note="The small one of its family.",
        ),
        Preset(
            "gpt-5.6-terra", "GPT", "GPT-5.6 Terra", "openai/gpt-5.6-terra", "openai", "gpt-5.6-terra",
            _price("2", "12"), note="Takes the place of GPT-4.",
        ),
        Preset(
            "deepseek-v4-flash", "DeepSeek", "DeepSeek V4 Flash", "deepseek/deepseek-v4-flash", "deepseek",
            "deepseek-v4-flash", _price("0.3", "1.2"),
            note="Thinks by default: 69.6 s at its own effort against 21.0 s at low (third party, 14 August 2026).",
        ),
        Preset(
            "deepseek-v4-pro", "DeepSeek", "DeepSeek V4 Pro", "deepseek/deepseek-v4-pro", "deepseek",
            "deepseek-v4-pro", _price("1.32", "3.96"), note="Its own server takes no JSON schema.",
        ),
        Preset(
            "gemini-3.8-flash", "Gemini", "Gemini 3.8 Flash", "google/gemini-3.8-flash", "gemini", "gemini-3.8-flash",
            _price("0.75", "3.75"), note="Where the Gemini API sends what is asked of Gemini 2.5 Pro.",
        ),
        Preset(
            "grok-4.3", "Grok", "Grok 4.3", "x-ai/grok-4.3", "xai", "grok-4.3", _price("1.25", "2.5"),
            note="Takes the place of Grok 4. 4.0 s at minimal effort (third party, 14 August 2026).",
        ),
        Preset(
            "grok-4.7", "Grok", "Grok 4.7", "x-ai/grok-4.7", "xai", "grok-4.7", _price("2", "6"),
            note="Always reasons: the effort none is refused.",
        ),
    )
}  # fmt: skip

_SONNET, _GPT, _DEEPSEEK, _GEMINI, _GROK = (
    (date(2026, 11, 30), "claude-sonnet-5", "Anthropic; price table of litellm 1.106.2"),
    (date(2026, 10, 23), "gpt-5.6-terra", "OpenAI; price table of litellm 1.106.2"),
    (date(2026, 7, 24), "deepseek-v4-flash", "DeepSeek's own name of it; V3 at other hosts: not verified"),
    (date(2026, 12, 1), "gemini-3.8-flash", "Gemini API; secondary source"),
    (date(2026, 5, 15), "grok-4.3", "xAI; secondary source; at OpenRouter not verified"),
)
RETIRED: Final[Mapping[str, Retired]] = {
    name: Retired(name, successor, since, note)
    for names, (since, successor, note) in (
        (("claude-4.5-sonnet", "claude-sonnet-4.5", "claude-sonnet-4-5"), _SONNET),
        (("gpt-4",), _GPT),
        (("deepseek-v3", "deepseek-chat", "deepseek-reasoner"), _DEEPSEEK),
        (("gemini-2.5-pro",), _GEMINI),
        (("grok-4", "grok-4-fast", "grok-4-latest"), _GROK),
    )
    for name in names
}
"""By the last part of a name, without a date or a variant."""

_DATED: Final = re.compile(r"-(\d{8}|\d{4}-\d\d-\d\d|\d{4})$")
_PRICES: Final[Mapping[str, Price]] = {
    f"{provider}/{name}": _price(prompt, reply)
    for provider, prompt, reply, names in (
        ("anthropic", "1", "5", "claude-haiku-4-5"),
        ("anthropic", "0.1", "0.5", "claude-haiku-5-5"),
        ("anthropic", "2", "10", "claude-sonnet-5 claude-sonnet-5-5"),
        ("anthropic", "3", "15", "claude-sonnet-4-5 claude-sonnet-4-6"),
        ("anthropic", "4", "20", "claude-opus-5-5"),
        ("anthropic", "5", "25", "claude-opus-4-5 claude-opus-4-6 claude-opus-4-7 claude-opus-4-8 claude-opus-5"),
        ("openai", "0.2", "1.2", "gpt-5.6-luna"),
        ("openai", "0.2", "1.25", "gpt-5.4-nano"),
        ("openai", "0.75", "4.5", "gpt-5.4-mini"),
        ("openai", "1.25", "10", "gpt-5"),
        ("openai", "2", "12", "gpt-5.6-terra"),
        ("openai", "2.5", "15", "gpt-5.4"),
        ("openai", "4", "20", "gpt-5.6 gpt-5.6-sol"),
        ("openai", "5", "30", "gpt-5.5"),
        ("deepseek", "0.3", "1.2", "deepseek-flash deepseek-v4-flash"),
        ("deepseek", "1.32", "3.96", "deepseek-v4-pro"),
        ("gemini", "0.25", "1.5", "gemini-3.1-flash-lite"),
        ("gemini", "0.3", "2.5", "gemini-2.5-flash gemini-3.5-flash-lite"),
        ("gemini", "0.75", "3.75", "gemini-3.6-flash gemini-3.7-flash gemini-3.8-flash"),
        ("gemini", "1.25", "10", "gemini-2.5-pro"),
        ("gemini", "1.5", "9", "gemini-3.5-flash"),
        ("gemini", "2", "12", "gemini-3.1-pro-preview"),
        ("xai", "1.25", "2.5", "grok-4.3 grok-4.20"),
        ("xai", "2", "6", "grok-4.5 grok-4.6 grok-4.7"),
    )
    for name in names.split()
}


def list_price(provider: str, model: str) -> Price | None:
    """Return the list price of a model at a direct provider; None where it is not known.

    For a preset at OpenRouter it is that of the direct provider, as long as no catalogue of OpenRouter has been read.
    """
    known = _PRICES.get(f"{provider}/{model}") or _PRICES.get(f"{provider}/{undated(model)}")
    if known is None and provider == OPENROUTER:
        slug = undated(model)
        return next((preset.price for preset in PRESETS.values() if preset.slug == slug), None)
    return known


def undated(model: str) -> str:
    """Return a model's name without the variant behind a colon and without a date."""
    return _DATED.sub("", model.partition(":")[0])


def retired(name: str) -> Retired | None:
    """Return what is known of a name that is gone, with its provider or without.

    A server of one's own may serve anything under any name, so nothing there is retired.
    """
    provider, slash, _ = name.partition("/")
    if slash and provider not in (*HOUSE, *WITHOUT_PROVIDER):
        return None
    return RETIRED.get(undated(name.rpartition("/")[2].lower()))


def successor_of(name: str) -> str | None:
    """Return the full name of the model that took the place of a retired one; None for a name that is not retired."""
    gone = retired(name)
    if gone is None:
        return None
    provider, slash, _ = name.partition("/")
    return gone.successor_at(provider if slash else OPENROUTER)


def preset_of(name: str) -> Preset | None:
    """Return the preset that a full name stands for."""
    return next((preset for preset in PRESETS.values() if name in preset.names), None)
