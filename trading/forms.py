"""What a person may enter for a bot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from accounts.models import Bot
from marketdata.domain.intervals import INTERVAL_MS
from marketdata.models import Instrument
from vibex.lib.errors import Rejected


class BotForm(forms.ModelForm):  # type: ignore[type-arg]
    """Refuses symbols that the venue does not have, candles that do not exist and names under which nothing decides."""

    class Meta:
        model = Bot
        fields = (
            "account",
            "name",
            "model",
            "fallback_models",
            "symbols",
            "interval",
            "timeframes",
            "capital",
            "prompt_template",
            "approval",
            "cost_per_day",
        )

    def clean_symbols(self) -> list[str]:
        return _texts(self.cleaned_data["symbols"], "BTCUSDT")

    def clean_fallback_models(self) -> list[str]:
        return _texts(self.cleaned_data["fallback_models"] or [], "openrouter/some/model", empty=True)

    def clean_timeframes(self) -> list[str]:
        timeframes = _texts(self.cleaned_data["timeframes"], "15m")
        if unknown := [name for name in timeframes if name not in INTERVAL_MS]:
            raise ValidationError(
                f"There are no candles of {', '.join(unknown)}. Use some of {', '.join(INTERVAL_MS)}."
            )
        return timeframes

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        # A bot that runs is shown without fields, and a field in error has no value to compare.
        if given and not self.errors:
            for field, fault in [*self._symbols(given), *_timeframes(given), *_model(given)]:
                self.add_error(field, fault)
        return given

    def _symbols(self, given: dict[str, Any]) -> Iterator[tuple[str, str]]:
        venue = given["account"].market if "account" in given else self.instance.account.market
        known = set(Instrument.objects.filter(venue=venue).values_list("symbol", flat=True))
        if unknown := sorted(set(given["symbols"]) - known):
            offered = ", ".join(sorted(known)) or "nothing yet: start the server once"
            yield "symbols", f"{', '.join(unknown)} is not traded at {venue}. It has {offered}."


def _timeframes(given: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if given["timeframes"][0] != given["interval"]:
        yield "timeframes", f"The first has to be the bot's own interval, {given['interval']}."


def _model(given: dict[str, Any]) -> Iterator[tuple[str, str]]:
    # Deciders load NumPy and pydantic, and the admin loads this module for every command.
    from decisions.deciders.base import BotView
    from decisions.deciders.registry import decider_for

    view = BotView(
        name=given["name"],
        model=given["model"],
        symbols=tuple(given["symbols"]),
        interval=given["interval"],
        timeframes=tuple(given["timeframes"]),
        fallback_models=tuple(given["fallback_models"]),
    )
    try:
        decider_for(view)
    except Rejected as refusal:
        yield "model", str(refusal)


def _texts(value: Any, example: str, *, empty: bool = False) -> list[str]:
    """Return a list of texts. Raises ValidationError that shows what one looks like."""
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value) or not (value or empty):
        raise ValidationError(f'Write a list of texts, such as ["{example}"].')
    return value
