"""Limits in the admin with what the rules make of them: beside each the value in words, the default, and who reads it.

It stands over the admin of accounts, which knows of no rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from accounts.admin import LimitsForm, LimitsInline
from accounts.domain.limit_clashes import floor_clash
from accounts.domain.limit_words import KINDS, Kind, words
from accounts.domain.limits import DEFAULTS
from trading.domain.risk import rules_of_limit
from trading.selectors.equity import equity_of

SAID: Final = frozenset({Kind.SHARE, Kind.TIMES, Kind.MINUTES})
"""Kinds whose raw number is not what people write."""
OTHERS: Final = {
    "trailing_stop": "the guard, which moves stops",
    "daily_loss": "the loss limits",
    "max_drawdown": "the loss limits",
    "equity_floor": "the loss limits",
    "flatten_on_loss": "the loss limits",
    "min_liquidation_distance": "the guard, which tells you",
}
"""Who looks at the limits that no rule of entries looks at."""


class RuledLimitsForm(LimitsForm):
    """Limits with generated help; decimals without the zeros behind them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rules = rules_of_limit()
        for name in [name for name in KINDS if name in self.fields]:
            value = self.initial.get(name)
            if isinstance(value, Decimal):
                self.initial[name] = Decimal(f"{value.normalize():f}")
            field = self.fields[name]
            field.help_text = format_html(
                "{} {}", field.help_text, format_html_join(" ", "{}", ((each,) for each in _help(name, value, rules)))
            )

    def clean_equity_floor(self) -> Decimal | None:
        """Refuse a new floor that lies above what the account has now: it would fire at once."""
        floor: Decimal | None = self.cleaned_data["equity_floor"]
        if "equity_floor" in self.changed_data and self.instance.account_id:
            flattens = self.data.get(self.add_prefix("flatten_on_loss")) is not None
            if clash := floor_clash(floor, equity_of(self.instance.account_id), flattens=flattens):
                raise ValidationError(clash.text)
        return floor


class RuledLimitsInline(LimitsInline):
    form = RuledLimitsForm


def _help(name: str, value: Any, rules: Any) -> Iterator[SafeString]:
    default = getattr(DEFAULTS, name)
    if KINDS[name] in SAID and value is not None:
        yield format_html("<b>Now {}.</b>", words(name, value))
    yield format_html("Default: {}.", _default(name, default))
    if looked := rules[name]:
        ids = format_html_join(", ", '<code title="{}">{}</code>', ((_plain(rule.doc), rule.id) for rule in looked))
        yield format_html("Read by {}.", ids)
    elif name in OTHERS:
        yield format_html("Read by {}.", OTHERS[name])


def _default(name: str, default: Any) -> str:
    raw = f"{default.normalize():f}" if isinstance(default, Decimal) else ""
    said = words(name, default)
    return f"{raw}, which is {said}" if KINDS[name] is Kind.SHARE and raw else said


def _plain(doc: str) -> str:
    return doc.replace("`", "")
