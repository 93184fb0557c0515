"""What an account may risk, in the database."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from accounts.domain.limit_clashes import LONGEST_MINUTES, MOST_ENTRIES, MOST_LOSSES, Clash, clashes
from accounts.domain.limits import DEFAULTS, LEVERAGE_CEILING, Limits
from accounts.models.account import Account
from vibex.lib.fields import ExactDecimalField


def _share(default: Decimal, help_text: str) -> ExactDecimalField:
    """Return a column for a share or a ratio: six places, 0.01 is one per cent."""
    return ExactDecimalField(max_digits=9, decimal_places=6, default=default, help_text=help_text)


class RiskLimits(models.Model):
    """What an account may risk. Shares are fractions of equity: 0.01 is one per cent."""

    class Sides(models.TextChoices):
        BOTH = "both", "long and short"
        LONG = "long", "long only"
        SHORT = "short", "short only"

    account = models.OneToOneField(Account, on_delete=models.CASCADE, related_name="limits")
    max_leverage = models.PositiveSmallIntegerField(
        default=DEFAULTS.max_leverage,
        validators=[MinValueValidator(1), MaxValueValidator(LEVERAGE_CEILING)],
        help_text="Highest leverage that may be set on the exchange, 1 to 10.",
    )
    risk_per_trade = _share(DEFAULTS.risk_per_trade, "Share of equity lost at the stop.")
    max_position = _share(DEFAULTS.max_position, "Notional of one position ÷ equity.")
    max_group = _share(DEFAULTS.max_group, "Notional of one symbol group ÷ equity.")
    max_net = _share(DEFAULTS.max_net, "|long − short| notional ÷ equity.")
    max_gross = _share(DEFAULTS.max_gross, "long + short notional ÷ equity.")
    max_positions = models.PositiveSmallIntegerField(default=DEFAULTS.max_positions, validators=[MinValueValidator(1)])
    min_stop_distance = _share(DEFAULTS.min_stop_distance, "Nearest stop ÷ price.")
    max_stop_distance = _share(DEFAULTS.max_stop_distance, "Farthest stop ÷ price.")
    max_slippage = _share(DEFAULTS.max_slippage, "How far an entry may cross the touch.")
    max_margin_use = _share(DEFAULTS.max_margin_use, "Margin in use ÷ equity.")
    margin_buffer = _share(DEFAULTS.margin_buffer, "Free margin kept back ÷ equity.")
    trailing_stop = ExactDecimalField(
        max_digits=9,
        decimal_places=6,
        null=True,
        blank=True,
        help_text="Distance ÷ mark price at which stops follow a price that goes the right way; empty: they stand still.",
    )

    sides = models.CharField(
        max_length=5, choices=Sides, default=DEFAULTS.sides, help_text="Which positions may be opened."
    )
    traditional = models.BooleanField(
        default=DEFAULTS.traditional, help_text="May open perpetuals on stocks, funds, metals and currencies."
    )
    pyramiding = models.BooleanField(default=DEFAULTS.pyramiding, help_text="May add to a position on its own side.")
    target_required = models.BooleanField(default=DEFAULTS.target_required, help_text="Every entry needs a target.")
    min_reward_risk = _share(
        DEFAULTS.min_reward_risk, "Way to the target ÷ way to the stop, after fees and funding, at least."
    )
    min_confidence = _share(DEFAULTS.min_confidence, "Confidence that an entry states at least, 0 to 1.")
    max_spread = _share(DEFAULTS.max_spread, "(Ask − bid) ÷ mid at most.")
    min_depth = _share(
        DEFAULTS.min_depth,
        "What rests within the allowed slippage ÷ notional of the order, at least; 0: not looked at.",
    )
    max_mark_gap = _share(DEFAULTS.max_mark_gap, "|Last − mark| ÷ mark at most.")
    max_funding = _share(DEFAULTS.max_funding, "Share of the notional that the next funding may cost.")
    opens_per_hour = models.PositiveIntegerField(
        default=DEFAULTS.opens_per_hour, help_text="Positions that may be opened within an hour."
    )
    opens_per_day = models.PositiveIntegerField(
        default=DEFAULTS.opens_per_day, help_text="Positions that may be opened within 24 hours."
    )
    min_hold_minutes = models.PositiveIntegerField(
        default=DEFAULTS.min_hold_minutes,
        help_text="Age at which a position may be reversed; closing is always allowed.",
    )
    cooldown_minutes = models.PositiveIntegerField(
        default=DEFAULTS.cooldown_minutes, help_text="Wait after a position before the next one on its symbol."
    )
    losing_streak = models.PositiveIntegerField(
        default=DEFAULTS.losing_streak, help_text="Losses in a row after which it pauses; 0: never."
    )
    losing_pause_minutes = models.PositiveIntegerField(
        default=DEFAULTS.losing_pause_minutes, help_text="How long it pauses then."
    )
    daily_loss = _share(DEFAULTS.daily_loss, "Share of the equity at the start of the day that may be lost.")
    max_drawdown = _share(DEFAULTS.max_drawdown, "Share that the value of a unit may fall below its peak.")
    equity_floor = ExactDecimalField(
        decimal_places=8, null=True, blank=True, help_text="Equity below which nothing is opened; empty: none."
    )
    flatten_on_loss = models.BooleanField(
        default=DEFAULTS.flatten_on_loss, help_text="Close everything when a loss limit is reached."
    )
    min_liquidation_distance = _share(
        DEFAULTS.min_liquidation_distance, "Way to liquidation ÷ mark at which you are told."
    )

    class Meta:
        verbose_name_plural = "risk limits"
        constraints = [
            models.CheckConstraint(
                condition=Q(max_leverage__gte=1, max_leverage__lte=LEVERAGE_CEILING),
                name="limits_leverage_1_to_10",
                violation_error_message="Leverage must be between 1 and 10.",
            ),
            models.CheckConstraint(
                condition=Q(
                    risk_per_trade__gt=0,
                    max_position__gt=0,
                    max_group__gt=0,
                    max_net__gt=0,
                    max_gross__gt=0,
                    max_positions__gte=1,
                    max_margin_use__gt=0,
                ),
                name="limits_positive",
                violation_error_message="Limits must be above zero.",
            ),
            models.CheckConstraint(
                condition=Q(risk_per_trade__lte=1, max_margin_use__lte=1, max_slippage__gte=0, margin_buffer__gte=0)
                & Q(max_slippage__lt=1, margin_buffer__lt=1),
                name="limits_are_shares",
                violation_error_message="Risk, margin use, slippage and buffer are shares: 0.01 is one per cent.",
            ),
            models.CheckConstraint(
                condition=Q(min_stop_distance__gt=0, max_stop_distance__lt=1)
                & Q(max_stop_distance__gt=F("min_stop_distance")),
                name="limits_stop_band",
                violation_error_message="The nearest stop must be above zero and below the farthest, which is below 1.",
            ),
            models.CheckConstraint(
                condition=Q(trailing_stop__isnull=True) | Q(trailing_stop__gte=Decimal("0.001"), trailing_stop__lt=1),
                name="limits_trailing_stop",
                violation_error_message="A trailing stop keeps a distance from 0.001 to below 1, or is empty.",
            ),
            models.CheckConstraint(
                condition=Q(daily_loss__gt=0, daily_loss__lt=1, max_drawdown__gt=0, max_drawdown__lt=1),
                name="limits_losses_are_shares",
                violation_error_message="Daily loss and drawdown are shares above 0 and below 1: 0.03 is three per cent.",
            ),
            models.CheckConstraint(
                condition=Q(equity_floor__isnull=True) | Q(equity_floor__gt=0),
                name="limits_floor_positive",
                violation_error_message="The lowest equity must be above zero, or empty.",
            ),
            models.CheckConstraint(
                condition=Q(sides__in=["both", "long", "short"]),
                name="limits_sides_known",
                violation_error_message="Sides are both, long or short.",
            ),
            models.CheckConstraint(
                condition=Q(min_confidence__gte=0, min_confidence__lte=1, min_reward_risk__gte=0, min_depth__gte=0)
                & Q(max_spread__gt=0, max_spread__lt=1, max_mark_gap__gt=0, max_mark_gap__lt=1)
                & Q(max_funding__gte=0, max_funding__lt=1)
                & Q(min_liquidation_distance__gte=0, min_liquidation_distance__lt=1),
                name="limits_of_the_market_are_shares",
                violation_error_message="Confidence lies from 0 to 1; spread, gap, funding and the way to liquidation are shares below 1.",
            ),
            models.CheckConstraint(
                condition=Q(opens_per_hour__gte=1, opens_per_day__gte=1),
                name="limits_open_something",
                violation_error_message="At least one position an hour and a day; halt the account to open none.",
            ),
            models.CheckConstraint(
                condition=Q(opens_per_hour__lte=F("opens_per_day"), opens_per_day__lte=MOST_ENTRIES),
                name="limits_hour_within_day",
                violation_error_message="An hour cannot have more entries than its day.",
            ),
            models.CheckConstraint(
                condition=Q(daily_loss__lt=F("max_drawdown")),
                name="limits_day_below_drawdown",
                violation_error_message="The loss of a day must be below the way from the peak.",
            ),
            models.CheckConstraint(
                condition=Q(
                    max_position__lte=F("max_group"), max_group__lte=F("max_gross"), max_net__lte=F("max_gross")
                ),
                name="limits_part_within_whole",
                violation_error_message="No position may be larger than its group, no group and no net larger than gross.",
            ),
            models.CheckConstraint(
                condition=Q(losing_streak=0) | Q(losing_pause_minutes__gte=1),
                name="limits_streak_pauses",
                violation_error_message="A streak of losses needs a pause, or none are counted.",
            ),
            models.CheckConstraint(
                condition=Q(
                    min_hold_minutes__lte=LONGEST_MINUTES,
                    cooldown_minutes__lte=LONGEST_MINUTES,
                    losing_pause_minutes__lte=LONGEST_MINUTES,
                    losing_streak__lte=MOST_LOSSES,
                ),
                name="limits_pauses_end",
                violation_error_message="No pause is longer than a year.",
            ),
        ]

    def __str__(self) -> str:
        return f"limits of {self.account}"

    def clean(self) -> None:
        """Refuse limits that contradict themselves, with what is wrong at the limit to change."""
        stated = self.stated()
        if stated is not None and (found := clashes(stated)):
            raise as_error(found)

    def stated(self) -> Limits | None:
        """Return the limits as plain data; None while one of them is not even a number, which its field says."""
        values = {each.name: getattr(self, each.name) for each in fields(Limits)}
        if all(_is_like(value, getattr(DEFAULTS, name)) for name, value in values.items()):
            return Limits(**values)
        return None


def as_error(found: tuple[Clash, ...]) -> ValidationError:
    """Return clashes as a validation error: each at the field that is to change first."""
    told: dict[str, list[str]] = {}
    for clash in found:
        told.setdefault(clash.fields[0], []).append(clash.text)
    return ValidationError(told)


def _is_like(value: object, default: object) -> bool:
    """Tell whether a value has the type of a limit; a limit without a default may be a decimal, or nothing."""
    if default is None:
        return value is None or isinstance(value, Decimal)
    return isinstance(value, type(default))
