"""What was asked, answered and decided. History: rows are added, never edited."""

from __future__ import annotations

from django.db import models
from django.db.models import Q, Value
from django.utils import timezone

from accounts.models import Account, Bot, User
from vibex.lib.fields import ExactDecimalField


class Cycle(models.Model):
    """One run of the nine steps for one bot. The running row is the lock, its key the fencing token."""

    class Status(models.TextChoices):
        RUNNING = "running", "running"
        DONE = "done", "done"
        FAILED = "failed", "failed"
        SKIPPED = "skipped", "skipped"
        ABANDONED = "abandoned", "abandoned"
        AWAITING = "awaiting", "awaiting approval"

    bot = models.ForeignKey(Bot, on_delete=models.PROTECT, related_name="cycles")
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="cycles")
    scheduled_for = models.DateTimeField(help_text="Close of the candle it decides on (market time).")
    status = models.CharField(max_length=9, choices=Status, default=Status.RUNNING)
    stage = models.CharField(max_length=20, blank=True, help_text="The step it is in, or ended in.")
    epoch = models.PositiveBigIntegerField(default=0, help_text="Epoch of the account when it began.")
    lease_until = models.DateTimeField(help_text="Wall time.")
    began = models.DateTimeField(default=timezone.now)
    ended = models.DateTimeField(null=True, blank=True)
    digest = models.CharField(
        max_length=64, blank=True, db_default="", help_text="Hash of all it saw; equal for two that saw the same."
    )
    seen = models.JSONField(
        default=dict,
        blank=True,
        db_default=Value({}, models.JSONField()),
        help_text="By symbol: price, age and problem, and the digest of the stored snapshot.",
    )
    kept = models.JSONField(
        default=dict,
        blank=True,
        db_default=Value({}, models.JSONField()),
        help_text="What it decided in: portfolio, limits, what barred entries, settings of the bot. A replay needs it.",
    )
    error = models.TextField(blank=True)
    timings = models.JSONField(default=dict, blank=True, help_text="Milliseconds per step.")

    stored: dict[str, object] | None = None
    """What of it has been committed since it began, as far as it changes while it runs. Not a column."""

    class Meta:
        ordering = ["-began"]
        constraints = [
            models.UniqueConstraint(
                fields=["bot", "scheduled_for"],
                name="one_cycle_per_bot_and_candle",
                violation_error_message="The bot has decided on this candle already.",
            ),
            models.UniqueConstraint(
                fields=["account"],
                condition=Q(status="running"),
                name="one_running_cycle_per_account",
                violation_error_message="A cycle of this account is already running.",
            ),
        ]
        indexes = [
            models.Index(fields=["bot", "-scheduled_for"], name="cycle_newest_of_bot"),
            # Few, whatever the history; they are looked for every half minute.
            models.Index(fields=["account"], condition=Q(status="awaiting"), name="cycle_awaiting"),
        ]

    def __str__(self) -> str:
        return f"cycle {self.pk} of {self.bot_id} for {self.scheduled_for:%F %T}"


class Interaction(models.Model):
    """One model call, kept whole: prompt, raw reply, tokens, money, time and what became of it."""

    class Purpose(models.TextChoices):
        CYCLE = "cycle", "to decide"
        ENSEMBLE = "ensemble", "to decide together"
        SHADOW = "shadow", "to compare"
        DRY_RUN = "dry_run", "dry run"
        REPLAY = "replay", "replay"

    bot = models.ForeignKey(Bot, on_delete=models.PROTECT, related_name="interactions")
    cycle = models.ForeignKey(
        Cycle,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="interactions",
        help_text="Empty for a question that no cycle asked.",
    )
    purpose = models.CharField(max_length=8, choices=Purpose, default=Purpose.CYCLE, db_default=Purpose.CYCLE)
    attempt = models.PositiveSmallIntegerField(
        default=0,
        db_default=0,
        help_text="Place in the ladder of its question, from 0: what was tried first, then next.",
    )
    used = models.BooleanField(
        default=True, db_default=True, help_text="Whether its reply is the one that was read for the decision."
    )
    late_of = models.OneToOneField(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="late",
        help_text="The call that was given up at its deadline, and of which this is the reply that came later.",
    )
    provider = models.CharField(max_length=40, blank=True, db_default="")
    parameters = models.JSONField(
        default=dict,
        blank=True,
        db_default=Value({}, models.JSONField()),
        help_text="What was sent besides the prompt: format, effort, temperature, maximum tokens, layout.",
    )
    model_requested = models.CharField(max_length=120)
    model_served = models.CharField(max_length=120, blank=True)
    template = models.CharField(max_length=80, blank=True)
    prompt_digest = models.CharField(max_length=64, blank=True)
    system_prompt = models.TextField(blank=True)
    user_prompt = models.TextField(blank=True)
    reply = models.TextField(blank=True, help_text="The raw body; bytes that are no UTF-8 are escaped.")
    reasoning = models.TextField(blank=True, db_default="", help_text="What the model let be read of its reasoning.")
    http_status = models.PositiveSmallIntegerField(null=True, blank=True, help_text="Empty when there was no answer.")
    generation_id = models.CharField(
        max_length=80, blank=True, db_default="", help_text="The provider's own name of it."
    )
    finish_reason = models.CharField(max_length=40, blank=True)
    prompt_tokens = models.PositiveIntegerField(default=0)
    completion_tokens = models.PositiveIntegerField(default=0)
    reasoning_tokens = models.PositiveIntegerField(default=0, db_default=0, help_text="Among those of the reply.")
    cached_tokens = models.PositiveIntegerField(default=0, db_default=0, help_text="Among those of the prompt.")
    cost = ExactDecimalField(null=True, blank=True, help_text="US dollars; empty when nobody said.")
    estimate = ExactDecimalField(
        null=True, blank=True, help_text="US dollars that it counts as while nobody said its cost."
    )
    latency_ms = models.PositiveIntegerField(default=0)
    outcome = models.CharField(max_length=20)
    reason = models.CharField(max_length=300, blank=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-at"]
        indexes = [
            models.Index(fields=["bot", "-at", "-id"], name="interaction_newest_of_bot"),
            models.Index(fields=["-at", "-id"], name="interaction_newest"),
            models.Index(fields=["model_requested", "-at"], name="interaction_newest_of_model"),
        ]

    def __str__(self) -> str:
        return f"{self.model_requested} for {self.cycle_id}: {self.outcome}"


class Decision(models.Model):
    """A proposal and its ruling."""

    class Kind(models.TextChoices):
        LIVE = "live", "acted on"
        SHADOW = "shadow", "only recorded"
        VOTE = "vote", "a vote of several"

    cycle = models.ForeignKey(Cycle, on_delete=models.PROTECT, related_name="decisions")
    interaction = models.ForeignKey(
        Interaction, on_delete=models.PROTECT, null=True, blank=True, related_name="decisions"
    )
    bot = models.ForeignKey(Bot, on_delete=models.PROTECT, related_name="decisions")
    kind = models.CharField(max_length=6, choices=Kind, default=Kind.LIVE)
    sequence = models.PositiveSmallIntegerField(help_text="Order in the reply.")
    symbol = models.CharField(max_length=30)
    action = models.CharField(max_length=16)
    asked_quantity = ExactDecimalField(null=True, blank=True)
    asked_leverage = models.PositiveSmallIntegerField(null=True, blank=True)
    stop_loss = ExactDecimalField(null=True, blank=True)
    profit_target = ExactDecimalField(null=True, blank=True)
    risk_usd = ExactDecimalField(null=True, blank=True)
    confidence = models.FloatField(null=True, blank=True)
    invalidation_condition = models.TextField(blank=True)
    justification = models.TextField(blank=True)
    agrees = models.BooleanField(
        null=True, blank=True, help_text="Whether a shadow or a vote asks for the same as what was decided."
    )
    verdict = models.CharField(max_length=8, blank=True, help_text="Empty for a vote: only what is decided is ruled.")
    quantity = ExactDecimalField(null=True, blank=True, help_text="What was allowed.")
    leverage = models.PositiveSmallIntegerField(null=True, blank=True)
    rule_ids = models.JSONField(default=list)
    hits = models.JSONField(default=list, help_text="Every rule that spoke, with its numbers.")
    at = models.DateTimeField(help_text="Market time.")

    class Meta:
        ordering = ["-at", "sequence"]
        constraints = [
            models.UniqueConstraint(
                fields=["cycle", "sequence"], condition=Q(kind="live"), name="decision_live_sequence_unique"
            ),
            models.UniqueConstraint(
                fields=["interaction", "sequence"], condition=~Q(kind="live"), name="decision_other_sequence_unique"
            ),
            models.CheckConstraint(
                condition=Q(leverage__isnull=True) | Q(leverage__gte=1, leverage__lte=10),
                name="decision_leverage_1_to_10",
                violation_error_message="Leverage must be between 1 and 10.",
            ),
        ]
        indexes = [
            models.Index(fields=["bot", "-at", "-id"], name="decision_newest_of_bot"),
            models.Index(fields=["-at", "-id"], name="decision_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.symbol}: {self.verdict}"


class Approval(models.Model):
    """That an entry waits for a person, and what the person said. Used once; approving rules again at the live price."""

    class State(models.TextChoices):
        AWAITING = "awaiting", "awaiting"
        APPROVED = "approved", "approved"
        REJECTED = "rejected", "rejected"
        EXPIRED = "expired", "expired"
        VOID = "void", "void"

    decision = models.OneToOneField(Decision, on_delete=models.PROTECT, related_name="approval")
    state = models.CharField(max_length=8, choices=State, default=State.AWAITING)
    until = models.DateTimeField(help_text="Market time at which it is too late: the next decision is due.")
    created = models.DateTimeField(default=timezone.now)
    by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    at = models.DateTimeField(null=True, blank=True, help_text="When it was answered, or ended by itself.")
    reason = models.CharField(max_length=300, blank=True)
    ruled_again = models.OneToOneField(
        Decision,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="approved_from",
        help_text="The decision that the approval was ruled into, at the price of that moment.",
    )

    class Meta:
        ordering = ["-created"]
        indexes = [models.Index(fields=["state", "until"], name="approval_awaiting")]

    def __str__(self) -> str:
        return f"{self.decision_id}: {self.state}"


class DiaryEntry(models.Model):
    """A line of the readable account of what a bot saw, thought and did."""

    class Kind(models.TextChoices):
        DECISION = "decision", "decision"
        TRADE = "trade", "trade"
        HOLD = "hold", "hold"
        ERROR = "error", "error"
        STATE = "state", "state"
        NOTE = "note", "note"

    bot = models.ForeignKey(Bot, on_delete=models.PROTECT, related_name="diary")
    cycle = models.ForeignKey(Cycle, on_delete=models.PROTECT, null=True, blank=True, related_name="diary")
    at = models.DateTimeField(help_text="Market time.")
    kind = models.CharField(max_length=8, choices=Kind)
    symbol = models.CharField(max_length=30, blank=True)
    text = models.TextField()
    data = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["-at", "-id"]
        verbose_name_plural = "diary entries"
        indexes = [
            models.Index(fields=["bot", "-at", "-id"], name="diary_newest_of_bot"),
            models.Index(fields=["-at", "-id"], name="diary_newest"),
        ]

    def __str__(self) -> str:
        return self.text[:80]


class Afterwards(models.Model):
    """What the market did after an entry that was asked for, had it been opened as asked: an estimate from candles."""

    class End(models.TextChoices):
        STOP = "stop", "stop"
        TARGET = "target", "target"
        OPEN = "open", "still open"

    decision = models.OneToOneField(Decision, on_delete=models.CASCADE, related_name="afterwards")
    end = models.CharField(max_length=6, choices=End)
    entry_price = ExactDecimalField(help_text="Price at the decision.")
    exit_price = ExactDecimalField(help_text="Stop, target, or the last close that was looked at.")
    until = models.DateTimeField(help_text="Market time of the end, or of the last candle that was looked at.")
    net = ExactDecimalField(help_text="Of the quantity asked for, in the quote asset, after taker fees on both sides.")
    multiple = models.FloatField(help_text="Result ÷ what is lost at the stop, before fees.")
    best = models.FloatField(help_text="Farthest move in its favour, as the same multiple.")
    worst = models.FloatField(help_text="Farthest move against it, as the same multiple.")

    class Meta:
        verbose_name_plural = "afterwards"

    def __str__(self) -> str:
        return f"{self.decision_id}: {self.end} {self.multiple:+.2f}"
