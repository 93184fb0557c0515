"""What is known of models: from the catalogues of their providers, from the house's list, and from their last answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from threading import Lock
from typing import Any, Final

from django.conf import settings
from django.db.models import Q

from decisions.domain.money import Price
from decisions.domain.presets import list_price
from decisions.domain.providers import LOCAL
from decisions.domain.question import Outcome
from decisions.models import CatalogueModel, Interaction

KEPT_SECONDS: Final = 60.0
"""How long a process believes what it has read."""
LAST_ANSWERS: Final = 50


@dataclass(slots=True)
class CatalogueKnown:
    """The port `Known`, read from the database: each thing with at most one query, remembered for a minute."""

    _kept: dict[tuple[str, str, str], tuple[float, Any]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def price(self, provider: str, model: str) -> Price | None:
        """Return the catalogue's price of a model, else its list price, None where nobody knows it."""
        return self._row(provider, model)[0] or list_price(provider, model)

    def canonical(self, provider: str, model: str) -> str:
        """Return the name under which a model says that it answers, "" where its catalogue does not say."""
        return self._row(provider, model)[1]

    def usual_seconds(self, provider: str, model: str) -> float:
        """Return the median time of the model's last 50 answers, late ones among them, in seconds; 0.0 without any."""
        seconds: float = self._once("seconds", provider, model, _usual_seconds)
        return seconds

    def forget(self) -> None:
        """Read everything anew: a catalogue was read."""
        with self._lock:
            self._kept.clear()

    def _row(self, provider: str, model: str) -> tuple[Price | None, str]:
        row: tuple[Price | None, str] = self._once("row", provider, model, _row)
        return row

    def _once(self, what: str, provider: str, model: str, read: Callable[[str, str], Any]) -> Any:
        key, now = (what, provider, model), time.monotonic()
        with self._lock:
            until, value = self._kept.get(key, (0.0, None))
        if now < until:
            return value
        value = read(provider, model)
        with self._lock:
            self._kept[key] = (now + KEPT_SECONDS, value)
        return value


_known: Final = CatalogueKnown()


def catalogue_known() -> CatalogueKnown:
    """Return what this process knows of models: an implementation of the port `Known`."""
    return _known


def asked_provider(provider: str) -> str:
    """Return whose server answers: what is asked of OpenRouter goes to LLM_BASE_URL where that is set."""
    return LOCAL if settings.LLM_BASE_URL and provider == "openrouter" else provider


def without_variant(model: str) -> str:
    """Return a model's name without the routing behind its colon, which no catalogue lists: `:nitro`, `:floor`."""
    return model.partition(":")[0]


def _row(provider: str, model: str) -> tuple[Price | None, str]:
    rows = CatalogueModel.objects.filter(provider=asked_provider(provider), slug__in=(model, without_variant(model)))
    row = max(rows, key=lambda row: len(row.slug), default=None)
    if row is None:
        return None, ""
    if row.input_price is None or row.output_price is None:
        return None, row.canonical_slug
    return Price(row.input_price, row.output_price), row.canonical_slug


def _usual_seconds(provider: str, model: str) -> float:
    providers = {provider, asked_provider(provider)}
    answers = Interaction.objects.filter(provider__in=providers, model_requested=model).filter(
        Q(used=True, outcome=Outcome.ANSWERED.value) | Q(late_of__isnull=False)
    )
    taken = list(answers.order_by("-at").values_list("latency_ms", flat=True)[:LAST_ANSWERS])
    return median(taken) / 1000 if taken else 0.0
