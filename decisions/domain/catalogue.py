"""What the catalogues of providers say of their models, read from their bytes. Pure.

Sources: docs of OpenRouter (guides/overview/models, August 2026), of Anthropic (Models API), of xAI (list language
models) and of DeepSeek (list models). Every other server is read by the list of OpenAI, which gives names only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from vibex.lib.errors import Rejected

LONGEST_SLUG: Final = 120
MOST_MODELS: Final = 5_000
MOST_TOKENS: Final = 2_000_000_000
DEAREST: Final = Decimal(100_000)
"""US dollars per million tokens; more is no price but a mistake."""
MILLION: Final = Decimal(1_000_000)
XAI_UNIT: Final = Decimal(10_000)
"""xAI states US cents per 100 million tokens: so many are a dollar per million."""
STRUCTURED: Final = frozenset({"structured_outputs", "response_format"})
EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_SLUG: Final = re.compile(r"[!-~]+")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")

type Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Listed:
    """A model as its provider's catalogue describes it. Nothing is known that is None, or empty."""

    slug: str
    canonical: str = ""
    title: str = ""
    context: int | None = None
    max_output: int | None = None
    input_price: Decimal | None = None
    """US dollars per million tokens, at the dearest hour."""
    output_price: Decimal | None = None
    supported: tuple[str, ...] = ()
    efforts: tuple[str, ...] = ()
    cutoff: date | None = None
    expires: date | None = None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What one reading gave."""

    models: tuple[Listed, ...]
    whole: bool = True
    """Whether these are all: only then is one that is missing gone."""
    skipped: int = 0
    """Entries that could not be read."""
    next: str = ""
    """Where the next page is, "" when there is none."""


class NoCatalogue(Rejected):
    """What a server sent is no list of models."""


def read_catalogue(raw: bytes, dialect: str) -> Catalogue:
    """Return what a catalogue says. Raises NoCatalogue for a body that is none; entries that make no sense are left out."""
    try:
        body = json.loads(raw, parse_float=Decimal, parse_constant=lambda name: None)
    except (ValueError, RecursionError):
        raise NoCatalogue("what it sent is not JSON", code="no_catalogue") from None
    rows = _rows(body)
    if rows is None:
        raise NoCatalogue("what it sent is no list of models", code="no_catalogue")
    read = [_listed(row, dialect) for row in rows[:MOST_MODELS]]
    models = {model.slug: model for model in read if model is not None}
    total = _count(body.get("total_count"))
    after = _next(body)
    whole = not after and len(rows) <= MOST_MODELS and (total is None or len(rows) >= total)
    return Catalogue(tuple(models.values()), whole, len(rows) - len(models), after)


def takes_schema(supported: tuple[str, ...] | list[str]) -> bool | None:
    """Tell whether a model takes a JSON schema for its reply; None when its catalogue does not say what it takes."""
    return set(supported) >= STRUCTURED if supported else None


def _rows(body: Any) -> list[Any] | None:
    if not isinstance(body, dict):
        return None
    rows = body.get("data") if isinstance(body.get("data"), list) else body.get("models")
    return rows if isinstance(rows, list) else None


def _next(body: Body) -> str:
    links = body.get("links")
    after = links.get("next") if isinstance(links, dict) else None
    if isinstance(after, str):
        return after
    last = body.get("last_id")
    return f"?limit=1000&after_id={last}" if body.get("has_more") is True and _is_slug(last) else ""


def _listed(row: Any, dialect: str) -> Listed | None:
    if not isinstance(row, dict):
        return None
    slug = row.get("id")
    if dialect == "gemini" and isinstance(slug, str):
        slug = slug.removeprefix("models/")  # its list has a prefix that its questions do without
    if not _is_slug(slug):
        return None
    canonical = row.get("canonical_slug")
    prices = {"openrouter": _openrouter_prices, "xai": _xai_prices}.get(dialect, _openrouter_prices)(row)
    return Listed(
        slug=str(slug),
        canonical=str(canonical) if _is_slug(canonical) else "",
        title=_title(row),
        context=_first(row, "context_length", "context_window", "max_input_tokens", "max_prompt_length"),
        max_output=_max_output(row),
        input_price=prices[0],
        output_price=prices[1],
        supported=tuple(sorted(_supported(row))),
        efforts=_efforts(row),
        cutoff=_date(row.get("knowledge_cutoff")),
        expires=_date(row.get("expiration_date")),
    )


def _is_slug(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST_SLUG and _SLUG.fullmatch(value) is not None


def _title(row: Body) -> str:
    given = next((row[name] for name in ("name", "display_name") if isinstance(row.get(name), str)), "")
    return "".join(sign for sign in given if sign.isprintable())[:160]


def _max_output(row: Body) -> int | None:
    top = row.get("top_provider")
    stated = _count(top.get("max_completion_tokens")) if isinstance(top, dict) else None
    return stated or _first(row, "max_output_tokens", "max_tokens")


def _first(row: Body, *names: str) -> int | None:
    return next((count for name in names if (count := _count(row.get(name)))), None)


def _count(value: Any) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool)
    return value if is_count and 0 <= value <= MOST_TOKENS else None


def _openrouter_prices(row: Body) -> tuple[Decimal | None, Decimal | None]:
    """Return the prices at the dearest hour: a budget must not run out because a peak began.

    Dearer rates of longer prompts are left out: no prompt here comes near where they begin (200,000 tokens).
    """
    pricing = row.get("pricing")
    if not isinstance(pricing, dict):
        return None, None
    rates: list[Body] = [pricing]
    overrides = pricing.get("overrides")
    if isinstance(overrides, list):
        rates += [rate for rate in overrides if isinstance(rate, dict) and _of_time(rate)]
    return _dearest(rates, "prompt"), _dearest(rates, "completion")


def _of_time(rate: Body) -> bool:
    """Tell whether a rate depends on the time alone. Those with conditions that nobody knows here do not count."""
    prices = {"prompt", "completion", "request", "image", "web_search", "internal_reasoning", "audio"}
    conditions = {name for name in rate if name not in prices and not name.startswith("input_")}
    return conditions <= {"utc_start", "utc_end", "utc_days"}


def _dearest(rates: list[Body], name: str) -> Decimal | None:
    """Return US dollars per million tokens. A base price that is none makes all of them none: -1 means that it varies."""
    if _price(rates[0].get(name), MILLION) is None:
        return None
    return max(price for rate in rates if (price := _price(rate.get(name), MILLION)) is not None)


def _xai_prices(row: Body) -> tuple[Decimal | None, Decimal | None]:
    names = ("prompt_text_token_price", "completion_text_token_price")
    return tuple(_price(row.get(name), 1 / XAI_UNIT) for name in names)  # type: ignore[return-value]


def _price(value: Any, factor: Decimal) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal) or len(str(value)) > 40:
        return None
    try:
        price = Decimal(value) * factor
        if not 0 <= price <= DEAREST:
            return None
        return price.quantize(Decimal("1e-8"))
    except ArithmeticError:
        return None


def _supported(row: Body) -> Iterator[str]:
    stated = row.get("supported_parameters")
    if isinstance(stated, list):
        yield from (name for name in stated[:100] if isinstance(name, str) and len(name) <= 40)
    capabilities = row.get("capabilities")
    if isinstance(capabilities, dict) and isinstance(capabilities.get("structured_outputs"), dict):
        yield "max_tokens"
        if _is_supported(capabilities["structured_outputs"]):
            yield from STRUCTURED


def _efforts(row: Body) -> tuple[str, ...]:
    """Return the efforts of reasoning that it takes, in their order; empty when it does not say.

    Lists name levels of reasoning. Not to reason at all is taken, too, unless reasoning is said to be mandatory.
    """
    stated: Any = []
    for name, part in (("reasoning", "supported_efforts"), ("effort", "supported_levels")):
        of = row.get(name)
        if isinstance(of, dict) and isinstance(of.get(part), list):
            stated = of[part]
    capabilities = row.get("capabilities")
    effort = capabilities.get("effort") if isinstance(capabilities, dict) else None
    if isinstance(effort, dict):
        stated = [name for name in EFFORTS if _is_supported(effort.get(name))]
    reasoning = row.get("reasoning")
    mandatory = isinstance(reasoning, dict) and reasoning.get("mandatory") is True
    taken = {name for name in stated if isinstance(name, str)} | (set() if mandatory else {"none"})
    return tuple(name for name in EFFORTS if name in taken) if stated else ()


def _is_supported(value: Any) -> bool:
    return isinstance(value, dict) and value.get("supported") is True


def _date(value: Any) -> date | None:
    """Return the day of a date, or of a time, as texts of it begin; None for anything else."""
    found = _DATE.match(value) if isinstance(value, str) else None
    try:
        return date.fromisoformat(found[0]) if found else None
    except ValueError:
        return None
