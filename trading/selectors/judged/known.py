"""Whether a model could have known the days that it is judged by: they lie before its knowledge cut-off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from django.db.models import Q

from decisions.models import CatalogueModel
from decisions.selectors.catalogue import asked_provider, without_variant
from marketdata.models import Feed
from trading.selectors.judged.subject import Subject

CLEAN: Final = "clean"
CONTAMINATED: Final = "contaminated"
UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Stamp:
    """What may have been known. `state`: clean, contaminated, or unknown; `words` say why."""

    state: str
    words: str


def stamp_of(subject: Subject, days: Sequence[date]) -> Stamp:
    """Return whether its models could have known these days. One query on a recorded market, none on another."""
    if not subject.models:
        return Stamp(CLEAN, "Rules decide: they know nothing but what they are shown.")
    kind = subject.feed.kind if subject.feed else ""
    if kind == Feed.Kind.LIVE:
        return Stamp(
            CLEAN, "The days were lived: a model was asked before they happened, so that it could not know them."
        )
    if kind == Feed.Kind.SIMULATED:
        return Stamp(CLEAN, "Prices are made up: no model can have read them anywhere.")
    if not days:
        return Stamp(UNKNOWN, "No day is judged yet.")
    return _recorded(subject.models, days[0])


def _recorded(models: Sequence[str], first: date) -> Stamp:
    """Return what is known of a replay: its days are past, and judged by the time of the market."""
    cutoffs = _cutoffs(models)
    knew = [(name, at) for name in models if (at := cutoffs.get(name)) and first <= at]
    if knew:
        told = "; ".join(f"{name} knows the world until {at:%-d %b %Y}" for name, at in knew)
        return Stamp(
            CONTAMINATED,
            f"Recorded days from {first:%-d %b %Y} on, and {told}: it may have read how they went. A result on them proves "
            "nothing.",
        )
    untold = [name for name in models if name not in cutoffs]
    if untold:
        return Stamp(
            UNKNOWN,
            f"Recorded days, and no knowledge cut-off is on record for {', '.join(untold)}: it may have read how they went.",
        )
    return Stamp(CLEAN, f"Recorded days from {first:%-d %b %Y} on, after the knowledge cut-off of every model.")


def _cutoffs(models: Sequence[str]) -> dict[str, date]:
    """Return until when models know the world, of those whose catalogue says so."""
    wanted, named = Q(pk__in=[]), dict[str, tuple[str, str, str]]()
    for full in models:
        provider, _, model = full.partition("/")
        named[full] = (asked_provider(provider), model, without_variant(model))
        wanted |= Q(provider=named[full][0], slug__in=named[full][1:])
    rows = CatalogueModel.objects.filter(wanted, cutoff__isnull=False).values_list("provider", "slug", "cutoff")
    found = {(provider, slug): cutoff for provider, slug, cutoff in rows}
    told = {full: found.get((at, model)) or found.get((at, plain)) for full, (at, model, plain) in named.items()}
    return {full: cutoff for full, cutoff in told.items() if cutoff}
