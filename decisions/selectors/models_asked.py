"""Which models bots name, and what is known of each of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime

from django.conf import settings
from django.utils import timezone

from accounts.models import Bot
from decisions.domain.model_state import Facts, ModelState, judge
from decisions.domain.presets import list_price
from decisions.domain.providers import HOUSE, LOCAL, RULES
from decisions.models import CatalogueModel, CatalogueRead, Interaction, Provider
from decisions.selectors.catalogue import asked_provider, without_variant

type Key = tuple[str, str]


def model_state(name: str, *, today: date | None = None) -> ModelState:
    """Return what is known of one model, named <provider>/<model>."""
    return model_states([name], today=today)[name]


def model_states(names: Iterable[str], *, today: date | None = None) -> dict[str, ModelState]:
    """Return what is known of models, by their names. Two queries, however many there are."""
    wanted = list(dict.fromkeys(names))
    providers = {asked_provider(name.partition("/")[0]) for name in wanted}
    rows = _rows(wanted, providers)
    read = dict(CatalogueRead.objects.filter(provider__in=providers).values_list("provider", "at"))
    return {name: _state(name, rows, read, today or timezone.now().date()) for name in wanted}


def models_of(bot: Bot) -> list[str]:
    """Return the models that a bot names, each once, its own first."""
    lists = (bot.fallback_models, bot.ensemble_models, bot.shadow_models)
    return list(dict.fromkeys([bot.model, *(name for names in lists for name in names)]))


def bots_by_model() -> dict[str, list[Bot]]:
    """Return the bots that are not stopped, by each model that they ask."""
    asking: dict[str, list[Bot]] = {}
    for bot in Bot.objects.exclude(status=Bot.Status.STOPPED).select_related("account").order_by("pk"):
        for name in models_of(bot):
            asking.setdefault(name, []).append(bot)
    return asking


def providers_in_use() -> set[str]:
    """Return whose servers the bots ask that are not stopped."""
    return {asked_provider(name.partition("/")[0]) for name in bots_by_model()} - {RULES}


def providers_with_key() -> set[str]:
    """Return the providers that could be asked: those of the house with a key, that at LLM_BASE_URL, and the rows."""
    rows = set(Provider.objects.filter(enabled=True).values_list("name", flat=True))
    house = {spec.name for spec in HOUSE.values() if getattr(settings, spec.key_variable)}
    local = {LOCAL} if settings.LLM_BASE_URL else set()
    return {asked_provider(name) for name in house | rows | local}


def facts_of(row: CatalogueModel) -> Facts:
    """Return a row of a catalogue as plain data, with the list price where the catalogue names none."""
    listed = None if row.input_price is not None else list_price(row.provider, row.slug)
    return Facts(
        row.context,
        row.max_output,
        listed.prompt if listed else row.input_price,
        listed.reply if listed else row.output_price,
        tuple(row.supported),
        tuple(row.efforts),
        row.expires,
        row.gone_at,
    )


def _rows(names: list[str], providers: set[str]) -> dict[Key, Facts]:
    slugs = {slug for name in names for slug in _slugs(name)}
    listed = CatalogueModel.objects.filter(provider__in=providers, slug__in=slugs)
    return {(row.provider, row.slug): facts_of(row) for row in listed}


def _slugs(name: str) -> tuple[str, str]:
    model = name.partition("/")[2]
    return model, without_variant(model)


def _state(name: str, rows: dict[Key, Facts], read: dict[str, datetime | None], today: date) -> ModelState:
    provider = asked_provider(name.partition("/")[0])
    facts = next((rows[provider, slug] for slug in _slugs(name) if (provider, slug) in rows), None)
    return judge(name, facts, read_at=read.get(provider), today=today)


def last_prompt_tokens(bot: Bot) -> int:
    """Return how many tokens the last prompt had that a bot asked its own model with, 0 when nobody counted any."""
    asked = Interaction.objects.filter(bot=bot, model_requested=bot.model.partition("/")[2], prompt_tokens__gt=0)
    return asked.order_by("-at").values_list("prompt_tokens", flat=True).first() or 0
