"""What a person may enter for a bot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError

from accounts.models import Bot
from marketdata.domain.intervals import INTERVAL_MS
from marketdata.models import Instrument
from trading.model_fields import LinesInput, ListField, ModelInput, ModelsField, ServedInput
from vibex.lib.errors import Rejected

ASKING: Final = (
    "model",
    "fallback_models",
    "served_models",
    "reasoning_effort",
    "temperature",
    "max_tokens",
    "deadline_seconds",
    "prompt_template",
    "prompt_version",
    "layout",
    "outside_text",
    "cost_per_day",
    "tokens_per_day",
    "ensemble_models",
    "ensemble_rule",
    "shadow_models",
    "approval",
)
"""How a bot asks its models."""
LISTS: Final = ("fallback_models", "served_models", "ensemble_models", "shadow_models", "symbols", "timeframes")
NAMING: Final = ("fallback_models", "ensemble_models", "shadow_models")
"""Lists of models, besides the model itself."""
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
            for field, fault in [*self._symbols(given), *_timeframes(given), *_template(given), *_deciders(given)]:
                self.add_error(field, fault)
        if given and not self.errors and "model" in given:
            self._clashes(given)
        return given

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

    def _symbols(self, given: dict[str, Any]) -> Iterator[tuple[str, str]]:
        venue = given["account"].market if "account" in given else self.instance.account.market
        known = set(Instrument.objects.filter(venue=venue).values_list("symbol", flat=True))
        if unknown := sorted(set(given["symbols"]) - known):
            offered = ", ".join(sorted(known)) or "nothing yet: start the server once"
            yield "symbols", f"{', '.join(unknown)} is not traded at {venue}. It has {offered}."

    def _clashes(self, given: dict[str, Any]) -> None:
        from decisions.domain.asking_clashes import Settings, clashes
        from decisions.selectors.models_asked import model_states

        asked = Settings(
            given["model"],
            tuple(given["fallback_models"]),
            tuple(given["ensemble_models"]),
            tuple(given["shadow_models"]),
            given["reasoning_effort"],
            given["max_tokens"],
            given["deadline_seconds"],
            INTERVAL_MS[given["interval"]] // 1000,
            given["outside_text"],
            self._prompt_tokens(given),
        )
        states = model_states((*asked.deciding, *asked.shadows))
        found = clashes(asked, states, ensemble_on=settings.FEATURE_ENSEMBLE, outside_on=settings.FEATURE_EXTERNAL_TEXT)
        for clash in list(found):
            if clash.warns:
                self.warnings.append(clash.text)
            else:
                self.add_error(clash.field, clash.text)
        self.warnings = list(dict.fromkeys(self.warnings))

    def _prompt_tokens(self, given: dict[str, Any]) -> int:
        """Return how long the bot's last prompt was, or what one may be."""
        from decisions.domain.asking_clashes import prompt_estimate
        from decisions.selectors.models_asked import last_prompt_tokens

        counted = last_prompt_tokens(self.instance) if self.instance.pk else 0
        return counted or prompt_estimate(symbols=len(given["symbols"]), layout=given["layout"])


def _timeframes(given: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if given["timeframes"][0] != given["interval"]:
        yield "timeframes", f"The first has to be the bot's own interval, {given['interval']}."


def _template(given: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Refuse a template, or a version of it, that is not there: a bot without one asks nothing."""
    from decisions.selectors.prompts import prompt_template_text

    name, version = given["prompt_template"], given["prompt_version"]
    if given["model"].startswith("rules/") or prompt_template_text(name, version) is not None:
        return
    if version is not None and prompt_template_text(name) is not None:
        yield "prompt_version", f"{name} has no version {version}."
    else:
        yield "prompt_template", f"There is no prompt template {name}."


def _deciders(given: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Refuse every name under which nothing decides: no such strategy or provider, or one without its key."""
    # Deciders load NumPy and pydantic, and the admin loads this module for every command.
    from decisions.deciders.base import BotView
    from decisions.deciders.registry import decider_for
    from decisions.domain.presets import successor_of

    for field in ("model", *NAMING):
        for name in [given["model"]] if field == "model" else given[field]:
            view = BotView(given["name"], name, tuple(given["symbols"]), given["interval"], tuple(given["timeframes"]))
            try:
                decider_for(view)
            except Rejected as refusal:
                successor = successor_of(name)
                yield field, f"{refusal} It is retired: use {successor}." if successor else str(refusal)
