"""The models that can be named, as a table and as the choices of a form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from django.db.models import Q
from django.utils import timezone

from decisions.domain.model_state import Facts, ModelState, described, judge
from decisions.domain.presets import OPENROUTER, PRESETS, preset_of
from decisions.domain.providers import LOCAL
from decisions.models import CatalogueModel
from decisions.selectors.catalogue import asked_provider
from decisions.selectors.models_asked import facts_of

MOST_CHOICES = 1_500
"""Of a form: so many lines are still a quick page."""


@dataclass(frozen=True, slots=True)
class ModelLine:
    """One model with everything that is known of it."""

    state: ModelState
    title: str
    read: bool
    """Whether a catalogue lists it; else it is a preset that has not been compared with one."""

    @property
    def name(self) -> str:
        return self.state.name

    @property
    def note(self) -> str:
        """What to know of it: what warns, else what the preset says."""
        if self.state.words and self.read:
            return self.state.words
        preset = preset_of(self.name)
        unread = "" if self.read else "Not read from a catalogue. "
        return f"{unread}{preset.note}".strip() if preset else ""

    @property
    def choice(self) -> str:
        """What a form shows beside the name: price, context, end and schema."""
        return " · ".join(part for part in (described(self.state.facts), self.state.words) if part) or self.title


def model_lines(
    *, provider: str = "", search: str = "", gone: bool = False, today: date | None = None
) -> list[ModelLine]:
    """Return the models of all catalogues, or of one provider's, and presets of providers that none was read of."""
    today = today or timezone.now().date()
    rows = CatalogueModel.objects.all() if gone else CatalogueModel.objects.filter(gone_at=None)
    if provider:
        rows = rows.filter(provider=asked_provider(provider))
    for word in search.split():
        rows = rows.filter(Q(slug__icontains=word) | Q(title__icontains=word) | Q(provider__icontains=word))
    listed = list(_listed(rows.order_by("provider", "slug"), today))
    read = set(CatalogueModel.objects.values_list("provider", flat=True).distinct())
    wanted = [line for line in _presets(read, today) if _fits(line, provider, search)]
    return sorted([*listed, *wanted], key=lambda line: line.name)


def choices(*, today: date | None = None) -> list[tuple[str, str]]:
    """Return the models that a form offers, name and description: presets first, then everything else by name."""
    lines = model_lines(today=today)
    first = [line for line in lines if preset_of(line.name) and not line.state.warns]
    names = {line.name for line in first}
    return [(line.name, line.choice) for line in [*first, *(line for line in lines if line.name not in names)]][
        :MOST_CHOICES
    ]


def _listed(rows: Iterable[CatalogueModel], today: date) -> Iterator[ModelLine]:
    for row in rows:
        state = judge(str(row), facts_of(row), read_at=row.seen_at, today=today)
        yield ModelLine(state, row.title, read=True)


def _presets(read: set[str], today: date) -> Iterator[ModelLine]:
    for preset in PRESETS.values():
        for name in preset.names:
            provider = name.partition("/")[0]
            if asked_provider(provider) in {*read, LOCAL}:
                continue
            # What OpenRouter takes is known from its catalogue only; the list price is that of the direct provider.
            direct = provider != OPENROUTER
            price = preset.price if direct else None
            facts = Facts(input_price=price.prompt, output_price=price.reply) if price else None
            yield ModelLine(judge(name, facts or Facts(), read_at=None, today=today), preset.title, read=False)


def _fits(line: ModelLine, provider: str, search: str) -> bool:
    of_provider = not provider or line.name.partition("/")[0] == provider
    return of_provider and all(word.lower() in f"{line.name} {line.title}".lower() for word in search.split())
