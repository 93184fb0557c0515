"""What a person enters for the first account. Nothing secret: keys come from the environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from django import forms
from django.conf import settings
from django.core.validators import validate_slug

from accounts.domain.limit_presets import PRESETS
from accounts.models import Bot
from trading.domain.schedule import at_least
from trading.selectors.setting_up import Deciders, MarketChoice

USUAL_SYMBOLS: Final = 4
FIELDS: Final[Mapping[str, str]] = {
    "name": "bot_name",
    "model": "decider",
    "venue": "market",
    "network": "market",
    "timeframes": "interval",
}
"""Which field of the form a refusal is about that names a field of account or bot."""


class SetupForm(forms.Form):
    name = forms.CharField(
        label="Name of the account",
        initial="paper",
        max_length=40,
        validators=[validate_slug],
        help_text="Letters, digits, - and _.",
    )
    market = forms.ChoiceField(label="Prices come from")
    starting_balance = forms.DecimalField(
        label="Starting balance, USDT",
        initial=10_000,
        min_value=Decimal(10),
        max_value=Decimal(100_000_000),
        max_digits=17,
        decimal_places=8,
        help_text="Play money. Results are shown beside it.",
    )
    decider = forms.ChoiceField(label="Who decides")
    other = forms.CharField(
        label="Another model",
        required=False,
        max_length=120,
        help_text="Written provider/model, as openrouter/x-ai/grok-4.3. Goes before the choice above.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    limits = forms.ChoiceField(
        choices=[(preset.key, preset.title) for preset in PRESETS.values()],
        initial="careful",
        widget=forms.RadioSelect,
        label="Risk limits",
    )
    bot_name = forms.CharField(
        label="Name of the bot",
        initial="first",
        max_length=40,
        validators=[validate_slug],
        help_text="Letters, digits, - and _.",
    )
    symbols = forms.MultipleChoiceField(required=False, widget=forms.CheckboxSelectMultiple, label="Symbols")
    more_symbols = forms.CharField(
        required=False,
        max_length=400,
        label="More symbols",
        help_text="As the market writes them, with spaces between: DOGEUSDT LINKUSDT.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    interval = forms.ChoiceField(
        choices=Bot.Interval.choices, label="Decides", help_text="At the close of each candle of this length."
    )

    def __init__(
        self, *args: Any, markets: Sequence[MarketChoice], symbols: Sequence[str], known: Deciders, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self._base = {market.name: market.base for market in markets}
        self._choices("market", [(market.name, market.title) for market in markets])
        models = [("Models", list(known.models))] if known.models else []
        self._choices("decider", [("Rules", list(known.rules)), *models])
        self._choices("symbols", [(name, name) for name in symbols])
        self.initial.setdefault("decider", known.usual)
        self.initial.setdefault("symbols", list(symbols[:USUAL_SYMBOLS]))
        base = markets[0].base if markets else "1m"
        self.initial.setdefault("interval", at_least(settings.INTERVAL, base))

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        typed = [name.strip(",;").upper() for name in given.get("more_symbols", "").split()]
        given["symbols"] = list(dict.fromkeys([*given.get("symbols", []), *filter(None, typed)]))
        if not given["symbols"] and "symbols" not in self.errors:
            self.add_error("symbols", "Choose at least one.")
        base = self._base.get(given.get("market", ""), "")
        if base and (interval := given.get("interval")) and at_least(interval, base) != interval:
            self.add_error("interval", f"This market has no candles shorter than {base}.")
        return given

    def values(self) -> dict[str, Any]:
        """Return what the service takes."""
        given = self.cleaned_data
        names = ("name", "market", "starting_balance", "limits", "bot_name", "symbols", "interval")
        return {name: given[name] for name in names} | {"model": given["other"].strip() or given["decider"]}

    def refuse(self, text: str, errors: Mapping[str, Sequence[str]]) -> None:
        """Take over what the service refused, each at the field where it was entered."""
        for name, said in errors.items():
            field = FIELDS.get(name, name)
            if field == "decider" and self.cleaned_data.get("other"):
                field = "other"
            self.add_error(field if field in self.fields else None, list(said))
        if not errors:
            self.add_error(None, text)

    def _choices(self, name: str, choices: Sequence[Any]) -> None:
        field: Any = self.fields[name]
        field.choices = choices
