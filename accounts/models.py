"""Who trades, and within which limits."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.domain.limits import DEFAULTS, LEVERAGE_CEILING
from vibex.lib.account_keys import VENUES as LIVE_VENUES
from vibex.lib.fields import ExactDecimalField

TESTNET = "_testnet"
"""Ends the name of the market that accounts on a testnet trade on: it has prices of its own."""


class UserManager(BaseUserManager["User"]):
    """Users are known by their e-mail address."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.full_clean(exclude=["password"])
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email__iexact=username)


class User(AbstractBaseUser, PermissionsMixin):
    """A person. Signs in with the e-mail address."""

    email = models.EmailField(unique=True, error_messages={"unique": "This e-mail address is taken."})
    time_zone = models.CharField(max_length=64, default="UTC", help_text="Times on the pages are shown in this zone.")
    is_staff = models.BooleanField(default=False, help_text="May open the admin.")
    is_active = models.BooleanField(default=True, help_text="Switch off instead of deleting: history stays readable.")
    created = models.DateTimeField(default=timezone.now, editable=False)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects = UserManager()

    def __str__(self) -> str:
        return self.email


class Account(models.Model):
    """Money at one venue. Paper or live is decided once, when it is made."""

    class Mode(models.TextChoices):
        PAPER = "paper", "paper"
        LIVE = "live", "live"

    class Network(models.TextChoices):
        MAINNET = "mainnet", "mainnet"
        TESTNET = "testnet", "testnet"

    class State(models.TextChoices):
        ACTIVE = "active", "active"
        REDUCING = "reducing", "reducing only"
        HALTED = "halted", "halted"

    class Foreign(models.TextChoices):
        ADOPT = "adopt", "give it a stop and look after it"
        FLATTEN = "flatten", "close it"
        FLAG = "flag", "leave it alone and tell a person"

    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="accounts")
    name = models.SlugField(max_length=40, help_text="Short name; also part of the names of its variables.")
    venue = models.CharField(max_length=20, help_text="Where prices and rules come from: aster, sim, recorded, …")
    mode = models.CharField(max_length=5, choices=Mode, default=Mode.PAPER)
    network = models.CharField(max_length=7, choices=Network, default=Network.MAINNET)
    promoted_from = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="promotions"
    )
    starting_balance = ExactDecimalField(decimal_places=8, default=10_000, validators=[MinValueValidator(1)])
    time_zone = models.CharField(max_length=64, default="UTC", help_text="Where its trading day begins.")
    foreign_positions = models.CharField(
        max_length=7,
        choices=Foreign,
        default=Foreign.ADOPT,
        help_text="What becomes of a position that Vibex did not open.",
    )
    state = models.CharField(max_length=8, choices=State, default=State.ACTIVE)
    state_reason = models.CharField(max_length=300, blank=True)
    state_since = models.DateTimeField(default=timezone.now)
    epoch = models.PositiveBigIntegerField(
        default=0, editable=False, help_text="Raised by a halt: orders decided under an older epoch are void."
    )
    halted_at = models.DateTimeField(null=True, blank=True, editable=False)
    created = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "name"],
                name="account_name_unique_per_owner",
                violation_error_message="You have an account of this name.",
            ),
            models.CheckConstraint(
                condition=Q(starting_balance__gt=0),
                name="account_starting_balance_positive",
                violation_error_message="The starting balance must be above zero.",
            ),
            models.CheckConstraint(
                condition=Q(promoted_from__isnull=True) | Q(mode="live"),
                name="account_only_live_is_promoted",
                violation_error_message="Only a live account can name the paper account it was promoted from.",
            ),
            models.CheckConstraint(
                condition=Q(mode="paper") | Q(network="testnet") | Q(promoted_from__isnull=False),
                name="account_live_on_mainnet_is_promoted",
                violation_error_message="A live account on mainnet names the paper account it was promoted from.",
            ),
        ]
        permissions = [("trade_live", "May let an account trade with real money")]

    def __str__(self) -> str:
        return f"{self.name} ({self.badge})"

    def clean(self) -> None:
        """Refuse an unknown time zone, a testnet that is named as a venue, and a live account that venue or paper account do not allow.

        Whether money is real must be told by the network alone.
        """
        if self.venue.endswith(TESTNET):
            name = self.venue.removesuffix(TESTNET)
            raise ValidationError({"venue": f"Write {name} here and choose the network testnet."})
        try:
            ZoneInfo(self.time_zone)
        except (KeyError, ValueError, OSError):
            raise ValidationError({"time_zone": "There is no such time zone; write one like Europe/Berlin."}) from None
        if self._state.adding and self.live:
            if self.venue not in LIVE_VENUES:
                raise ValidationError({"venue": f"An account can be live at {', '.join(LIVE_VENUES)}, nowhere else."})
            if wrong := self._wrong_promotion():
                raise ValidationError({"promoted_from": wrong})

    def _wrong_promotion(self) -> str:
        paper = self.promoted_from
        if paper is None:
            return "Name the paper account that it was promoted from." if self.real else ""
        if paper.live or paper.owner_id != self.owner_id or paper.venue != self.venue:
            return f"This has to be a paper account of the same owner at {self.venue}."
        if self.real and paper.network != self.Network.MAINNET:
            return "This has to be a paper account on the prices of the mainnet."
        return ""

    @property
    def live(self) -> bool:
        """Whether its orders go to a venue, with real money or with a testnet's."""
        return self.mode == self.Mode.LIVE

    @property
    def real(self) -> bool:
        """Whether real money is at stake: a testnet never counts as live."""
        return self.live and self.network == self.Network.MAINNET

    @property
    def badge(self) -> str:
        """What a page shows beside the name: paper, live or testnet."""
        return str(self.Network.TESTNET.value) if self.live and not self.real else self.mode

    @property
    def market(self) -> str:
        """Name of the market that its prices and rules come from: a testnet has prices of its own."""
        return self.venue if self.network == self.Network.MAINNET else f"{self.venue}{TESTNET}"


class Credentials(models.Model):
    """What a live account signs with. The secret part is sealed (`accounts/services/credentials.py`), never shown."""

    class Kind(models.TextChoices):
        ASTER_V3 = "aster_v3", "AsterDEX API wallet (V3)"
        ASTER_V1 = "aster_v1", "AsterDEX key and secret (V1)"
        API_KEY = "api_key", "API key and secret"
        WALLET = "wallet", "Wallet address and private key"

    account = models.OneToOneField(Account, on_delete=models.CASCADE, related_name="credentials")
    kind = models.CharField(max_length=8, choices=Kind)
    public = models.JSONField(default=dict, help_text="What may be shown: addresses, the end of a key.")
    sealed = models.TextField(help_text="The secret part, encrypted.")
    updated = models.DateTimeField(default=timezone.now)
    updated_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        verbose_name_plural = "credentials"

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.account}"


class LiveApproval(models.Model):
    """That a person let an account trade with real money: who, when, and what the gate saw. Never edited."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="approvals")
    actor = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)
    evidence = models.JSONField(default=dict, help_text="Days and decisions on paper, limits, incidents.")
    revoked = models.DateTimeField(null=True, blank=True)
    revoked_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["-at"]
        constraints = [
            models.UniqueConstraint(
                fields=["account"],
                condition=Q(revoked__isnull=True),
                name="one_approval_per_account",
                violation_error_message="The account is approved already.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.account_id} by {self.actor_id} at {self.at:%F %T}"


class RiskLimits(models.Model):
    """What an account may risk. Shares are fractions of equity: 0.01 is one per cent."""

    account = models.OneToOneField(Account, on_delete=models.CASCADE, related_name="limits")
    max_leverage = models.PositiveSmallIntegerField(
        default=DEFAULTS.max_leverage,
        validators=[MinValueValidator(1), MaxValueValidator(LEVERAGE_CEILING)],
        help_text="Highest leverage that may be set on the exchange, 1 to 10.",
    )
    risk_per_trade = ExactDecimalField(
        max_digits=9, decimal_places=6, default=DEFAULTS.risk_per_trade, help_text="Share of equity lost at the stop."
    )
    max_position = ExactDecimalField(
        max_digits=9, decimal_places=6, default=DEFAULTS.max_position, help_text="Notional of one position ÷ equity."
    )
    max_group = ExactDecimalField(
        max_digits=9, decimal_places=6, default=DEFAULTS.max_group, help_text="Notional of one symbol group ÷ equity."
    )
    max_net = ExactDecimalField(
        max_digits=9, decimal_places=6, default=DEFAULTS.max_net, help_text="|long − short| notional ÷ equity."
    )
    max_gross = ExactDecimalField(
        max_digits=9, decimal_places=6, default=DEFAULTS.max_gross, help_text="long + short notional ÷ equity."
    )
    max_positions = models.PositiveSmallIntegerField(default=DEFAULTS.max_positions, validators=[MinValueValidator(1)])
    min_stop_distance = ExactDecimalField(
        max_digits=9, decimal_places=6, default=DEFAULTS.min_stop_distance, help_text="Nearest stop ÷ price."
    )
    max_stop_distance = ExactDecimalField(
        max_digits=9, decimal_places=6, default=DEFAULTS.max_stop_distance, help_text="Farthest stop ÷ price."
    )
    max_slippage = ExactDecimalField(
        max_digits=9, decimal_places=6, default=DEFAULTS.max_slippage, help_text="How far an entry may cross the touch."
    )
    max_margin_use = ExactDecimalField(
        max_digits=9, decimal_places=6, default=DEFAULTS.max_margin_use, help_text="Margin in use ÷ equity."
    )
    margin_buffer = ExactDecimalField(
        max_digits=9, decimal_places=6, default=DEFAULTS.margin_buffer, help_text="Free margin kept back ÷ equity."
    )
    trailing_stop = ExactDecimalField(
        max_digits=9,
        decimal_places=6,
        null=True,
        blank=True,
        help_text="Distance ÷ mark price at which stops follow a price that goes the right way; empty: they stand still.",
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
        ]

    def __str__(self) -> str:
        return f"limits of {self.account}"


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

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="bots")
    name = models.SlugField(max_length=40)
    model = models.CharField(max_length=120, default="rules/trend", help_text="rules/<strategy> or openrouter/<model>.")
    fallback_models = models.JSONField(default=list, blank=True)
    symbols = models.JSONField(help_text="The venue's symbols it may trade, for example BTCUSDT.")
    interval = models.CharField(max_length=3, choices=Interval, default=Interval.M3)
    timeframes = models.JSONField(help_text="Candle intervals it sees, shortest first; the first is its own interval.")
    capital = ExactDecimalField(
        decimal_places=8, null=True, blank=True, help_text="Bounds its sizing; empty: the account's equity."
    )
    prompt_template = models.CharField(max_length=60, default="arena", help_text="Name of the prompt template.")
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
        ]

    def __str__(self) -> str:
        return f"{self.name} on {self.account}"


class Incident(models.Model):
    """Something that should not happen. Open until a person or proof resolves it."""

    class Severity(models.TextChoices):
        WARNING = "warning", "warning"
        ERROR = "error", "error"
        CRITICAL = "critical", "critical"

    account = models.ForeignKey(Account, on_delete=models.PROTECT, null=True, blank=True, related_name="incidents")
    kind = models.SlugField(max_length=60)
    severity = models.CharField(max_length=8, choices=Severity, default=Severity.ERROR)
    text = models.TextField()
    data = models.JSONField(default=dict, blank=True)
    opened = models.DateTimeField(default=timezone.now)
    resolved = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-opened"]
        indexes = [models.Index(fields=["account", "resolved"], name="incident_open")]

    def __str__(self) -> str:
        return f"{self.kind}: {self.text[:80]}"


class AuditEntry(models.Model):
    """Who did what to which object, with the state before and after. Never edited."""

    actor = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    action = models.SlugField(max_length=60)
    object_type = models.CharField(max_length=60)
    object_id = models.CharField(max_length=60)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-at"]
        verbose_name_plural = "audit entries"
        indexes = [models.Index(fields=["object_type", "object_id"], name="audit_object")]

    def __str__(self) -> str:
        return f"{self.action} {self.object_type} {self.object_id}"
