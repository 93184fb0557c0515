"""Trading agents."""

from __future__ import annotations

from django.db import models
from django.db.models import Q, Value
from django.utils import timezone

from accounts.models.account import Account
from vibex.lib.fields import ExactDecimalField


class Bot(models.Model):
    """A trading agent on one account."""

    class Status(models.TextChoices):
        STOPPED = "stopped", "stopped"
        RUNNING = "running", "running"
        PAUSED = "paused", "paused"

    class Interval(models.TextChoices):
        M3 = "3m", "3 minutes"
        M5 = "5m", "5 minutes"
        M15 = "15m", "15 minutes"
        H1 = "1h", "1 hour"
        H4 = "4h", "4 hours"
        D1 = "1d", "1 day"

    class Effort(models.TextChoices):
        NONE = "none", "none"
        MINIMAL = "minimal", "minimal"
        LOW = "low", "low"
        MEDIUM = "medium", "medium"
        HIGH = "high", "high"
        XHIGH = "xhigh", "very high"
        MAX = "max", "maximal"

    class Layout(models.TextChoices):
        ARENA = "arena", "Arena"
        COMPACT = "compact", "compact"

    class EnsembleRule(models.TextChoices):
        MAJORITY = "majority", "more than half"
        UNANIMOUS = "unanimous", "all of them"

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="bots")
    name = models.SlugField(max_length=40)
    model = models.CharField(
        max_length=120,
        default="rules/trend",
        help_text="rules/<strategy>, or <provider>/<model> as openrouter/x-ai/grok-4.3.",
    )
    fallback_models = models.JSONField(
        default=list, blank=True, help_text="Asked in this order when the model gives no usable reply in time."
    )
    served_models = models.JSONField(
        default=list,
        blank=True,
        db_default=Value([], models.JSONField()),
        help_text="Other names under which the model may answer; every other one is refused.",
    )
    reasoning_effort = models.CharField(
        max_length=7,
        choices=Effort,
        default=Effort.LOW,
        db_default=Effort.LOW,
        help_text="Always sent: a provider's own default may be slower than the deadline.",
    )
    temperature = models.DecimalField(
        max_digits=3, decimal_places=2, null=True, blank=True, help_text="From 0 to 2; empty: the model's own."
    )
    max_tokens = models.PositiveIntegerField(
        default=4000,
        db_default=4000,
        help_text="Of reasoning and reply together. Too few cut the reply, which then holds.",
    )
    deadline_seconds = models.PositiveSmallIntegerField(
        default=30,
        db_default=30,
        help_text="For everything from the first question to the last fallback. What comes later is not used.",
    )
    symbols = models.JSONField(help_text="The venue's symbols it may trade, for example BTCUSDT.")
    interval = models.CharField(max_length=3, choices=Interval, default=Interval.M3)
    timeframes = models.JSONField(help_text="Candle intervals it sees, shortest first; the first is its own interval.")
    capital = ExactDecimalField(
        decimal_places=8, null=True, blank=True, help_text="Bounds its sizing; empty: the account's equity."
    )
    prompt_template = models.CharField(max_length=60, default="arena", help_text="Name of the prompt template.")
    prompt_version = models.PositiveIntegerField(null=True, blank=True, help_text="Empty: always the newest.")
    layout = models.CharField(
        max_length=7,
        choices=Layout,
        default=Layout.ARENA,
        db_default=Layout.ARENA,
        help_text="How the market is written down. Compact costs about half of the tokens.",
    )
    outside_text = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Texts from outside (notes, news) enter the prompt: capped, fenced, and labelled as not to be trusted.",
    )
    ensemble_models = models.JSONField(
        default=list,
        blank=True,
        db_default=Value([], models.JSONField()),
        help_text="Asked at once together with the model. Entries need the agreement below, any close counts.",
    )
    ensemble_rule = models.CharField(
        max_length=9, choices=EnsembleRule, default=EnsembleRule.MAJORITY, db_default=EnsembleRule.MAJORITY
    )
    shadow_models = models.JSONField(
        default=list,
        blank=True,
        db_default=Value([], models.JSONField()),
        help_text="Asked the same and only recorded: nothing of theirs is traded.",
    )
    approval = models.BooleanField(
        default=False, help_text="Entries wait for a person until the next decision is due; closes never wait."
    )
    cost_per_day = ExactDecimalField(
        max_digits=12,
        decimal_places=6,
        null=True,
        blank=True,
        help_text="US dollars that its model may cost in a day; when they are used it holds. Empty: no limit.",
    )
    tokens_per_day = models.PositiveBigIntegerField(
        null=True,
        blank=True,
        help_text="Tokens of prompts and replies that its model may use in a day. Empty: no limit.",
    )
    status = models.CharField(max_length=7, choices=Status, default=Status.STOPPED)
    status_reason = models.CharField(max_length=300, blank=True)
    created = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "name"],
                name="bot_name_unique_per_account",
                violation_error_message="The account has a bot of this name.",
            ),
            models.UniqueConstraint(
                fields=["account"],
                condition=Q(status="running"),
                name="one_running_bot_per_account",
                violation_error_message="Another bot is running on this account: stop it first.",
            ),
            models.CheckConstraint(
                condition=Q(capital__isnull=True) | Q(capital__gt=0),
                name="bot_capital_positive",
                violation_error_message="Capital must be above zero, or empty.",
            ),
            models.CheckConstraint(
                condition=Q(cost_per_day__isnull=True) | Q(cost_per_day__gte=0),
                name="bot_cost_per_day_not_negative",
                violation_error_message="The cost of a day must not be negative.",
            ),
            models.CheckConstraint(
                condition=Q(temperature__isnull=True) | Q(temperature__gte=0, temperature__lte=2),
                name="bot_temperature_0_to_2",
                violation_error_message="Temperature must be between 0 and 2, or empty.",
            ),
            models.CheckConstraint(
                condition=Q(max_tokens__gte=256, max_tokens__lte=200_000),
                name="bot_max_tokens_sane",
                violation_error_message="Maximum tokens must be between 256 and 200,000.",
            ),
            models.CheckConstraint(
                condition=Q(deadline_seconds__gte=1, deadline_seconds__lte=60),
                name="bot_deadline_1_to_60",
                violation_error_message="The deadline must be between 1 and 60 seconds.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} on {self.account}"
