"""The catalogues of providers as rows: read, compared with what was there, and told when a model of a bot goes away."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.utils import timezone

from accounts.domain.alerts import EventType, Severity
from accounts.models import Alert, Bot
from accounts.services import alert_raise
from decisions.domain.catalogue import Catalogue, Listed
from decisions.domain.model_state import Kind, ModelState
from decisions.llm.catalogue import Unread, catalogue_fetch, key_fetch
from decisions.llm.endpoints import endpoint_of
from decisions.models import CatalogueModel, CatalogueRead
from decisions.selectors.catalogue import asked_provider, catalogue_known
from decisions.selectors.models_asked import bots_by_model, model_states, providers_in_use, providers_with_key
from vibex.lib.errors import Rejected

USED_EVERY: Final = timedelta(minutes=50)
"""How old the catalogue of a provider that bots ask may become; the task runs each hour."""
OTHERS_EVERY: Final = timedelta(hours=23)
SHRUNK: Final = 2
"""A catalogue that lists less than one in so many of what it listed before is not believed to be whole."""
FIELDS: Final = (
    "canonical_slug", "title", "context", "max_output", "input_price", "output_price", "supported", "efforts", "cutoff",
    "expires", "seen_at", "gone_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What reading one catalogue gave."""

    provider: str
    models: int = 0
    new: int = 0
    gone: int = 0
    fault: str = ""
    """Why it could not be read; what was there stays."""


@dataclass(frozen=True, slots=True)
class Checked:
    """Whether a provider can be asked, in words."""

    ok: bool
    text: str


def catalogue_refresh(*, provider: str) -> Refreshed:
    """Read the catalogue of a provider and store it. Never raises for what a server does: that is the `fault`."""
    name = asked_provider(provider)
    try:
        # On the network, and so outside of any transaction.
        catalogue = catalogue_fetch(endpoint_of(name))
        if not catalogue.models:
            raise Unread(f"no_list: {name} lists no model that can be read")
    except (Unread, Rejected) as fault:
        told = str(fault)[:300]
        CatalogueRead.objects.update_or_create(provider=name, defaults={"tried_at": timezone.now(), "fault": told})
        return Refreshed(name, fault=told)
    refreshed = _store(name, catalogue, timezone.now())
    catalogue_known().forget()
    return refreshed


def provider_check(*, provider: str) -> Checked:
    """Ask a provider for its list, and OpenRouter for what is left on the key, too. Costs nothing, never raises."""
    done = catalogue_refresh(provider=provider)
    if done.fault:
        return Checked(False, f"{provider}: {done.fault}")
    text = f"{provider} lists {done.models} models, {done.new} of them new."
    endpoint = endpoint_of(done.provider)
    if not (endpoint.is_openrouter and endpoint.key):
        return Checked(True, text)
    try:
        left = key_fetch(endpoint).remaining
    except Unread as fault:
        # Its list is open to everybody: only this says whether the key is any good.
        return Checked(False, f"{text} But {fault}")
    return Checked(True, text if left is None else f"{text} The key has {left:.2f} US dollars left.")


def catalogues_keep() -> list[Refreshed]:
    """Read each catalogue that is due: hourly those that bots ask, daily the others that have a key. Then tell."""
    used = providers_in_use()
    due = [
        name
        for name in sorted(used | providers_with_key())
        if _is_due(name, USED_EVERY if name in used else OTHERS_EVERY)
    ]
    refreshed = [catalogue_refresh(provider=name) for name in due]
    models_watch()
    return refreshed


def models_watch(*, now: datetime | None = None) -> list[ModelState]:
    """Tell the owner of each bot whose model is not listed, ends soon or is gone: once a day for a model."""
    now = now or timezone.now()
    asking = bots_by_model()
    states = model_states(asking, today=now.date())
    worrying = [states[name] for name in asking if states[name].warns]
    for state in worrying:
        _tell(state, asking[state.name], now)
    return worrying


def _is_due(provider: str, every: timedelta) -> bool:
    tried = CatalogueRead.objects.filter(provider=provider).values_list("tried_at", flat=True).first()
    return tried is None or timezone.now() - tried >= every


def _store(provider: str, catalogue: Catalogue, now: datetime) -> Refreshed:
    rows = [_row(provider, model, now) for model in catalogue.models]
    with transaction.atomic():
        present = CatalogueModel.objects.filter(provider=provider, gone_at=None)
        before = set(present.values_list("slug", flat=True))
        CatalogueModel.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["provider", "slug"], update_fields=FIELDS, batch_size=50
        )
        listed = {row.slug for row in rows}
        gone = 0
        if catalogue.whole and len(listed) * SHRUNK >= len(before):
            gone = present.filter(slug__in=before - listed).update(gone_at=now)
        CatalogueRead.objects.update_or_create(provider=provider, defaults={"at": now, "tried_at": now, "fault": ""})
    return Refreshed(provider, len(listed), len(listed - before), gone)


def _row(provider: str, model: Listed, now: datetime) -> CatalogueModel:
    return CatalogueModel(
        provider=provider,
        slug=model.slug,
        canonical_slug=model.canonical,
        title=model.title,
        context=model.context,
        max_output=model.max_output,
        input_price=model.input_price,
        output_price=model.output_price,
        supported=list(model.supported),
        efforts=list(model.efforts),
        cutoff=model.cutoff,
        expires=model.expires,
        seen_at=now,
        gone_at=None,
    )


def _tell(state: ModelState, bots: Iterable[Bot], now: datetime) -> None:
    """Raise one alert per account, model and day: a model that ends in a week is no news every hour."""
    by_account = {bot.account_id: bot for bot in bots}
    for bot in by_account.values():
        lately = Alert.objects.filter(
            account=bot.account, type=EventType.MODEL_FAILING, subject=_subject(state), last__gt=now - timedelta(days=1)
        )
        if not lately.exists():
            alert_raise(
                account=bot.account,
                bot=bot,
                type=EventType.MODEL_FAILING,
                severity=Severity.WARNING,
                subject=_subject(state),
                message=f"{bot.name}: {state.words}",
            )


def _subject(state: ModelState) -> str:
    return f"{state.name} {Kind(state.kind).value}"[:120]
