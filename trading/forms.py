"""What a person may enter for a bot."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError

from accounts.models import Bot
from marketdata.domain.intervals import INTERVAL_MS
from trading.model_fields import LinesInput, ListField, ModelInput, ModelsField, ServedInput
from trading.services.bot_checks import ASKING, NAMING, bot_look

LISTS: Final = ("fallback_models", "served_models", "ensemble_models", "shadow_models", "symbols", "timeframes")
WITH_DEFAULT: Final = ("reasoning_effort", "max_tokens", "deadline_seconds", "layout", "ensemble_rule")
"""Left empty they are what a new bot has."""


class BotForm(forms.ModelForm):  # type: ignore[type-arg]
    """Refuses what cannot work: unknown symbols, candles and names, and settings that clash with what a model takes.

    What may be wanted all the same is in `warnings`. A retired model is never replaced unsaid: the form asks.
    """

    asks_back = True
    """Whether a person can be asked what to do about a retired model."""

    fallback_models = ModelsField(help_text=Bot._meta.get_field("fallback_models").help_text)
    served_models = ModelsField(widget=ServedInput, help_text=Bot._meta.get_field("served_models").help_text)
    ensemble_models = ModelsField(help_text=Bot._meta.get_field("ensemble_models").help_text)
    shadow_models = ModelsField(help_text=Bot._meta.get_field("shadow_models").help_text)
    symbols = ListField(
        example="BTCUSDT", widget=LinesInput, help_text="The venue's symbols it may trade, one to a line."
    )
    timeframes = ListField(
        example="15m",
        widget=LinesInput,
        help_text="Candle intervals it sees, one to a line, shortest first; the first is its own interval.",
    )
    instead = forms.ChoiceField(required=False, widget=forms.HiddenInput, label="Retired model")

    class Meta:
        model = Bot
        fields = ("account", "name", *ASKING, "symbols", "interval", "timeframes", "capital")
        widgets = {"model": ModelInput}
        # The admin writes help as markup, in which the angle brackets of the column's own help would vanish.
        help_texts = {"model": "rules/strategy, or provider/model as openrouter/x-ai/grok-4.3."}

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.warnings: list[str] = []
        for name in WITH_DEFAULT:
            if name in self.fields:
                self.fields[name].required = False
        self._successors = self._retired() if "model" in self.fields else {}
        if self._successors and self.asks_back:
            self._offer()

    def clean_timeframes(self) -> list[str]:
        timeframes: list[str] = self.cleaned_data["timeframes"]
        if unknown := [name for name in timeframes if name not in INTERVAL_MS]:
            raise ValidationError(
                f"There are no candles of {', '.join(unknown)}. Use some of {', '.join(INTERVAL_MS)}."
            )
        return timeframes

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        for name in WITH_DEFAULT:
            if name in given and given[name] in (None, ""):
                given[name] = getattr(Bot(), name)
        # A bot that runs is shown without fields, and a field in error has no value to compare.
        if given and not self.errors and "model" in given:
            self._choose(given)
        if given and not self.errors and "model" in given:
            self._look(given)
        return given

    def _look(self, given: dict[str, Any]) -> None:
        account = given.get("account") or self.instance.account
        looked = bot_look(given, market=account.market, bot=self.instance)
        for field, fault in looked.faults:
            self.add_error(field, fault)
        self.warnings = list(looked.warnings)

    def _retired(self) -> dict[str, str]:
        """Return the successors of the retired models that are named, by their names."""
        from decisions.domain.presets import successor_of

        named = [self._stated(name) for name in ("model", *NAMING)]
        names = [name for stated in named for name in ([stated] if isinstance(stated, str) else stated or [])]
        return {
            name: successor for name in names if isinstance(name, str) and (successor := successor_of(name.strip()))
        }

    def _stated(self, name: str) -> Any:
        if not self.is_bound:
            return self.get_initial_for_field(self.fields[name], name)
        value = self.fields[name].widget.value_from_datadict(self.data, self.files, self.add_prefix(name))
        try:
            return self.fields[name].to_python(value)
        except ValidationError:
            return []

    def _offer(self) -> None:
        """Let a person choose between the retired models and their successors."""
        use = "; ".join(f"{new} in place of {old}" for old, new in self._successors.items())
        keep = f"Keep {', '.join(self._successors)}"
        field = forms.ChoiceField(
            required=False,
            label="Retired model",
            widget=forms.RadioSelect,
            choices=[("use", f"Use {use}"), ("keep", keep)],
            help_text="Nothing is asked of another model unless you choose it here.",
        )
        self.fields["instead"] = field

    def _choose(self, given: dict[str, Any]) -> None:
        if not self._successors or not self.asks_back:
            return
        chosen = given.get("instead")
        if not chosen:
            old, new = next(iter(self._successors.items()))
            self.add_error("instead", f"{old} is retired. Choose: its successor {new}, or keep it all the same.")
        elif chosen == "use":
            given["model"] = self._successors.get(given["model"], given["model"])
            for name in NAMING:
                given[name] = [self._successors.get(each, each) for each in given[name]]
