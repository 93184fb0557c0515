"""Our books. Order events are the append-only truth; orders and positions are what follows from them."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Account, Bot, User
from decisions.models import Cycle, Decision
from vibex.lib.fields import ExactDecimalField


class Position(models.Model):
    """A position from its first fill to flat. Average entry = cost ÷ quantity."""

    class Bracket(models.TextChoices):
        NONE = "none", "none"
        ARMING = "arming", "arming"
        ARMED = "armed", "armed"
        ADJUSTING = "adjusting", "adjusting"
        RELEASED = "released", "released"

    class Side(models.TextChoices):
        LONG = "long", "long"
        SHORT = "short", "short"

    class Exit(models.TextChoices):
        STOP = "stop", "stop"
        TARGET = "target", "target"
        CLOSE = "close", "decision"
        FLATTEN = "flatten", "flattened"
        LOSS = "loss", "loss limit"
        LIQUIDATION = "liquidation", "liquidation"
        ADL = "adl", "auto-deleveraging"
        EXTERNAL = "external", "outside"

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="positions")
    bot = models.ForeignKey(Bot, on_delete=models.PROTECT, null=True, blank=True, related_name="positions")
    decision = models.ForeignKey(Decision, on_delete=models.PROTECT, null=True, blank=True, related_name="positions")
    symbol = models.CharField(max_length=30)
    side = models.CharField(max_length=5, choices=Side)
    quantity = ExactDecimalField(help_text="Open quantity, zero once closed.")
    peak_quantity = ExactDecimalField(default=0)
    cost = ExactDecimalField(help_text="What the open quantity cost, in quote units.")
    bought = ExactDecimalField(default=0, help_text="Quantity ever added.")
    bought_value = ExactDecimalField(default=0, help_text="Quote units ever paid for it.")
    sold = ExactDecimalField(default=0, help_text="Quantity ever taken off.")
    sold_value = ExactDecimalField(default=0, help_text="Quote units ever received for it.")
    entry_price = ExactDecimalField(help_text="Average entry over its life.")
    exit_price = ExactDecimalField(null=True, blank=True, help_text="Average exit.")
    leverage = models.PositiveSmallIntegerField(default=1)
    stop = ExactDecimalField(null=True, blank=True)
    target = ExactDecimalField(null=True, blank=True)
    bracket = models.CharField(max_length=9, choices=Bracket, default=Bracket.NONE)
    protected_at = models.DateTimeField(null=True, blank=True, help_text="When its stop was last read back.")
    opened = models.DateTimeField()
    closed = models.DateTimeField(null=True, blank=True)
    adopted = models.DateTimeField(null=True, blank=True, help_text="When Vibex began to look after a foreign one.")
    exit_reason = models.CharField(max_length=11, choices=Exit, blank=True)
    realised = ExactDecimalField(decimal_places=8, default=0, help_text="Before fees and funding.")
    fees = ExactDecimalField(decimal_places=8, default=0)
    funding = ExactDecimalField(decimal_places=8, default=0, help_text="Received is positive.")

    class Meta:
        ordering = ["-opened"]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "symbol"],
                condition=Q(closed__isnull=True),
                name="one_open_position_per_account_and_symbol",
                violation_error_message="The account has an open position in this symbol.",
            ),
            models.CheckConstraint(
                condition=Q(closed__isnull=True, quantity__gt=0) | Q(closed__isnull=False, quantity=0),
                name="position_open_or_flat",
                violation_error_message="An open position has a quantity, a closed one has none.",
            ),
        ]
        indexes = [
            models.Index(fields=["account", "closed"], name="position_open"),
            models.Index(fields=["account", "-opened", "-id"], name="position_newest_of_account"),
            models.Index(fields=["-opened", "-id"], name="position_newest"),
            models.Index(fields=["bot", "-opened", "-id"], name="position_newest_of_bot"),
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.quantity} {self.symbol}"


class Order(models.Model):
    """Projection of the events of one order. Committed with its client id before anything is sent."""

    class State(models.TextChoices):
        PLANNED = "planned", "planned"
        DENIED = "denied", "denied"
        SENDING = "sending", "sending"
        LIVE = "live", "live"
        CANCELLING = "cancelling", "cancelling"
        UNKNOWN = "unknown", "unknown"
        DONE = "done", "done"
        ABSENT = "absent", "absent"

    class Role(models.TextChoices):
        ENTRY = "entry", "entry"
        STOP = "stop", "stop"
        TARGET = "target", "target"
        CLOSE = "close", "close"

    class Origin(models.TextChoices):
        OURS = "ours", "ours"
        EXTERNAL = "external", "external"

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="orders")
    bot = models.ForeignKey(Bot, on_delete=models.PROTECT, null=True, blank=True, related_name="orders")
    cycle = models.ForeignKey(Cycle, on_delete=models.PROTECT, null=True, blank=True, related_name="orders")
    decision = models.ForeignKey(Decision, on_delete=models.PROTECT, null=True, blank=True, related_name="orders")
    position = models.ForeignKey(Position, on_delete=models.PROTECT, null=True, blank=True, related_name="orders")
    client_order_id = models.CharField(
        max_length=60, help_text="Ours are unique everywhere, those of others per account."
    )
    origin = models.CharField(max_length=8, choices=Origin, default=Origin.OURS)
    epoch = models.PositiveBigIntegerField(default=0)
    role = models.CharField(max_length=6, choices=Role)
    symbol = models.CharField(max_length=30)
    side = models.CharField(max_length=4)
    type = models.CharField(max_length=20)
    time_in_force = models.CharField(max_length=3, blank=True)
    quantity = ExactDecimalField(null=True, blank=True, help_text="Empty with close position.")
    price = ExactDecimalField(null=True, blank=True)
    trigger = ExactDecimalField(null=True, blank=True)
    reduce_only = models.BooleanField(default=False)
    close_position = models.BooleanField(default=False)
    state = models.CharField(max_length=10, choices=State, default=State.PLANNED)
    purpose = models.CharField(max_length=20, blank=True, help_text="Why a closing order was sent: close, flatten, …")
    reason = models.CharField(max_length=300, blank=True, help_text="How it ended, or why it was denied.")
    filled = ExactDecimalField(default=0)
    average_price = ExactDecimalField(null=True, blank=True)
    exchange_id = models.CharField(max_length=60, blank=True)
    created = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True, blank=True, help_text="Wall time it left.")
    deadline = models.DateTimeField(null=True, blank=True, help_text="Wall time after which it cannot arrive any more.")
    absent_answers = models.PositiveSmallIntegerField(default=0, help_text="Clean “no such order” answers in a row.")
    updated = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-created"]
        constraints = [
            models.UniqueConstraint(fields=["account", "client_order_id"], name="order_once_per_account"),
            models.UniqueConstraint(
                fields=["client_order_id"], condition=Q(origin="ours"), name="order_of_ours_once_anywhere"
            ),
        ]
        indexes = [
            models.Index(fields=["account", "state"], name="order_state"),
            # Few, whatever the history; the guard looks for them every half minute.
            models.Index(
                fields=["account"], condition=~Q(state__in=["denied", "done", "absent"]), name="order_working"
            ),
            models.Index(fields=["account", "-created", "-id"], name="order_newest_of_account"),
            models.Index(fields=["-created", "-id"], name="order_newest"),
            models.Index(fields=["bot", "-created", "-id"], name="order_newest_of_bot"),
        ]

    def __str__(self) -> str:
        return f"{self.role} {self.side} {self.symbol} {self.client_order_id}"


class OrderEvent(models.Model):
    """Something that happened to an order. Never edited."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="events")
    sequence = models.PositiveIntegerField()
    kind = models.CharField(max_length=20)
    state = models.CharField(max_length=10, help_text="State after it.")
    data = models.JSONField(default=dict)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["order_id", "sequence"]
        constraints = [models.UniqueConstraint(fields=["order", "sequence"], name="order_event_sequence_unique")]

    def __str__(self) -> str:
        return f"{self.kind} → {self.state}"


class Fill(models.Model):
    """One execution on the exchange, booked once."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="fills")
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="fills")
    position = models.ForeignKey(Position, on_delete=models.PROTECT, null=True, blank=True, related_name="fills")
    symbol = models.CharField(max_length=30)
    exchange_trade_id = models.CharField(max_length=60)
    side = models.CharField(max_length=4)
    quantity = ExactDecimalField()
    price = ExactDecimalField()
    fee = ExactDecimalField(decimal_places=8, help_text="In its own asset; paid is positive.")
    fee_asset = models.CharField(max_length=20, default="USDT")
    realised = ExactDecimalField(decimal_places=8, default=0)
    maker = models.BooleanField(default=False)
    at = models.DateTimeField()

    class Meta:
        ordering = ["-at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["account", "symbol", "exchange_trade_id"], name="fill_booked_once"),
            models.CheckConstraint(condition=Q(quantity__gt=0, price__gt=0), name="fill_positive"),
        ]
        indexes = [
            models.Index(fields=["account", "-at", "-id"], name="fill_newest_of_account"),
            models.Index(fields=["-at", "-id"], name="fill_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.quantity} {self.symbol} at {self.price}"


class IncomeEntry(models.Model):
    """A line of the exchange's own ledger of the wallet, copied once."""

    # Without an index of its own: two below begin with it, and beside a third PostgreSQL reads a whole ledger by that one.
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="income", db_index=False)
    kind = models.CharField(max_length=20)
    transaction_id = models.CharField(max_length=60)
    symbol = models.CharField(max_length=30, blank=True)
    amount = ExactDecimalField(decimal_places=8)
    asset = models.CharField(max_length=20, default="USDT")
    trade_id = models.CharField(max_length=60, blank=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["-at", "-id"]
        verbose_name_plural = "income entries"
        constraints = [
            models.UniqueConstraint(
                fields=["account", "kind", "transaction_id", "symbol", "asset"], name="income_booked_once"
            )
        ]
        indexes = [models.Index(fields=["account", "at"], name="income_at")]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount}"


class EquityPoint(models.Model):
    """Equity of an account at a moment: wallet + unrealised, as the exchange stated it."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="equity")
    at = models.DateTimeField(help_text="Market time.")
    wallet = ExactDecimalField(decimal_places=8)
    unrealised = ExactDecimalField(decimal_places=8)
    equity = ExactDecimalField(decimal_places=8)
    transfers = ExactDecimalField(
        decimal_places=8, default=0, help_text="Net deposits so far, the opening one included."
    )

    class Meta:
        ordering = ["account_id", "at"]
        constraints = [models.UniqueConstraint(fields=["account", "at"], name="equity_point_once")]

    def __str__(self) -> str:
        return f"{self.at:%F %T} {self.equity}"


class Reconciliation(models.Model):
    """One comparison of our books with the exchange, and what it mended."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="reconciliations")
    at = models.DateTimeField(default=timezone.now)
    trigger = models.CharField(max_length=30)
    agreed = models.BooleanField(help_text="Whether nothing was left for a person.")
    mended = models.JSONField(default=list)
    left = models.JSONField(default=list, help_text="What needs a person.")
    seconds = models.FloatField(null=True, blank=True, help_text="How long it took.")

    class Meta:
        ordering = ["-at"]
        indexes = [models.Index(fields=["account", "-at", "-id"], name="reconciliation_newest")]

    def __str__(self) -> str:
        return f"{self.account_id} {self.at:%F %T} {'agreed' if self.agreed else 'open'}"


class Claim(models.Model):
    """Who may write to the exchange for a symbol of an account right now. Taken over once it has run out."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="claims")
    symbol = models.CharField(max_length=30)
    holder = models.CharField(max_length=60)
    until = models.DateTimeField(help_text="Wall time.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "symbol"], name="one_claim_per_account_and_symbol")]

    def __str__(self) -> str:
        return f"{self.symbol} held by {self.holder}"


class Lock(models.Model):
    """A limit that fired: no entries on this symbol (or any, when empty) until it expires or is lifted."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="locks")
    symbol = models.CharField(max_length=30, blank=True)
    side = models.CharField(max_length=5, blank=True)
    kind = models.SlugField(max_length=40, blank=True, help_text="The rule that fired; empty: something else.")
    reason = models.CharField(max_length=300)
    data = models.JSONField(default=dict, blank=True, help_text="The numbers it fired on.")
    since = models.DateTimeField(default=timezone.now)
    until = models.DateTimeField(null=True, blank=True)
    lifted = models.DateTimeField(null=True, blank=True)
    lifted_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["-since"]

    def __str__(self) -> str:
        return f"{self.symbol or 'all symbols'}: {self.reason}"


class AccountTerms(models.Model):
    """What an account itself pays and may hold of a symbol, as the venue told it: read at start and daily."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="terms")
    symbol = models.CharField(max_length=30)
    maker_fee = ExactDecimalField(help_text="Fraction of the notional.")
    taker_fee = ExactDecimalField(help_text="Fraction of the notional.")
    max_leverage = models.PositiveSmallIntegerField()
    brackets = models.JSONField(default=list, help_text="Steps of the maintenance margin, smallest notional first.")
    read_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "account terms"
        constraints = [models.UniqueConstraint(fields=["account", "symbol"], name="terms_once_per_symbol")]

    def __str__(self) -> str:
        return f"{self.symbol}: taker {self.taker_fee}"


class UserStreamState(models.Model):
    """Whether an account's own events are being heard, for pages and for the guard."""

    account = models.OneToOneField(Account, on_delete=models.CASCADE, related_name="user_stream")
    connected_at = models.DateTimeField(null=True, blank=True)
    heard_at = models.DateTimeField(null=True, blank=True, help_text="Wall time of the last event or sign of life.")
    caught_up_at = models.DateTimeField(null=True, blank=True, help_text="When REST last made up for a gap.")
    problem = models.CharField(max_length=300, blank=True)

    def __str__(self) -> str:
        return f"user stream of {self.account_id}"
