"""Accounts, their keys, and who let them trade with real money."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models.people import User
from vibex.lib.account_keys import VENUES as LIVE_VENUES
from vibex.lib.fields import ExactDecimalField

TESTNET = "_testnet"
"""Ends the name of the market that accounts on a testnet trade on: it has prices of its own."""


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
    halt_keeps_positions = models.BooleanField(
        default=False, editable=False, help_text="The halt left positions, with what protects them, as they were."
    )
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
        permissions = [
            ("trade", "May act on money and change accounts and bots of their own"),
            ("view_any", "May see the accounts of other people"),
            ("read_logs", "May read the log over the API"),
            ("trade_live", "May let an account trade with real money"),
            ("resume_account", "May lift a halt, or let an account open positions again"),
        ]

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
