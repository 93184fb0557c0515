"""Until when models know the world, as the catalogues of their providers state it."""

from __future__ import annotations

from datetime import date

from decisions.domain.presets import PRESETS
from decisions.domain.providers import RULES
from decisions.models import CatalogueModel
from decisions.selectors.catalogue import asked_provider, without_variant


def cutoff_of(model: str) -> date | None:
    """Return the last day that a model knows of, None where nobody states it. `model` is <provider>/<model>.

    Rules know nothing of the world: theirs is None as well. What a direct provider does not say is taken from the same
    model at OpenRouter, where the house knows both names.
    """
    if model.partition("/")[0] == RULES:
        return None
    for name in _names(model):
        provider, _, slug = name.partition("/")
        rows = CatalogueModel.objects.filter(provider=asked_provider(provider), cutoff__isnull=False)
        slugs = dict(rows.filter(slug__in=(slug, without_variant(slug))).values_list("slug", "cutoff"))
        if slugs:
            return slugs[max(slugs, key=len)]
    return None


def _names(model: str) -> tuple[str, ...]:
    """Return the names of a model, the one it is asked under first."""
    same = next((preset.names for preset in PRESETS.values() if model in preset.names), ())
    return tuple(dict.fromkeys((model, *same)))
