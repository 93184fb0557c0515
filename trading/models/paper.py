"""The paper venue's own tables: what "the exchange" knows. Our books never read them except through the Exchange port."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from accounts.models import Account
from vibex.lib.fields import ExactDecimalField


class PaperAccount(models.Model):
    """An account at the paper venue. `version` rises with every commit: writers compare and swap on it."""

    account = models.OneToOneField(Account, on_delete=models.PROTECT, related_name="paper")
    wallet = ExactDecimalField(decimal_places=8)
    leverages = models.JSONField(default=dict, help_text="Leverage by symbol.")
    matched_until = models.JSONField(
        default=dict, help_text="Per symbol, the market time up to which prices were used."
    )
    next_id = models.PositiveBigIntegerField(default=1, help_text="Source of order, trade and transaction ids.")
    version = models.PositiveBigIntegerField(default=0)
    opened = models.DateTimeField(help_text="Market time.")

    def __str__(self) -> str:
        return f"paper venue: {self.account_id}"


class PaperPosition(models.Model):
    """A position at the paper venue. `quantity` is negative for a short."""

    paper = models.ForeignKey(PaperAccount, on_delete=models.CASCADE, related_name="positions")
    symbol = models.CharField(max_length=30)
    quantity = ExactDecimalField()
    cost = ExactDecimalField(help_text="Signed like the quantity, in quote units.")
    margin = ExactDecimalField(decimal_places=8, help_text="Isolated margin.")
    leverage = models.PositiveSmallIntegerField()
    opened = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["paper", "symbol"], name="paper_position_unique")]

    def __str__(self) -> str:
        return f"{self.quantity} {self.symbol}"


class PaperOrder(models.Model):
    """An order at the paper venue."""

    paper = models.ForeignKey(PaperAccount, on_delete=models.CASCADE, related_name="orders")
    exchange_id = models.PositiveBigIntegerField()
    client_order_id = models.CharField(max_length=36)
    symbol = models.CharField(max_length=30)
    side = models.CharField(max_length=4)
    type = models.CharField(max_length=20)
    time_in_force = models.CharField(max_length=3, blank=True)
    status = models.CharField(max_length=16)
    quantity = ExactDecimalField()
    price = ExactDecimalField(null=True)
    trigger = ExactDecimalField(null=True)
    reduce_only = models.BooleanField(default=False)
    close_position = models.BooleanField(default=False)
    filled = ExactDecimalField(default=0)
    filled_cost = ExactDecimalField(default=0)
    created = models.DateTimeField()
    updated = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["paper", "exchange_id"], name="paper_order_unique"),
            models.UniqueConstraint(
                fields=["paper", "client_order_id"],
                condition=Q(status__in=["NEW", "PARTIALLY_FILLED"]),
                name="paper_client_id_unique_while_open",
            ),
        ]
        indexes = [models.Index(fields=["paper", "client_order_id"], name="paper_order_by_client_id")]

    def __str__(self) -> str:
        return f"{self.client_order_id} {self.status}"


class PaperTrade(models.Model):
    """An execution at the paper venue."""

    paper = models.ForeignKey(PaperAccount, on_delete=models.CASCADE, related_name="trades")
    trade_id = models.PositiveBigIntegerField()
    exchange_id = models.PositiveBigIntegerField()
    client_order_id = models.CharField(max_length=36)
    symbol = models.CharField(max_length=30)
    side = models.CharField(max_length=4)
    quantity = ExactDecimalField()
    price = ExactDecimalField()
    fee = ExactDecimalField(decimal_places=8)
    realised = ExactDecimalField(decimal_places=8)
    maker = models.BooleanField()
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["paper", "trade_id"], name="paper_trade_unique")]
        indexes = [models.Index(fields=["paper", "symbol", "at"], name="paper_trades_since")]

    def __str__(self) -> str:
        return f"{self.side} {self.quantity} {self.symbol}"


class PaperIncome(models.Model):
    """A change of the wallet at the paper venue. The sum of all is the wallet."""

    paper = models.ForeignKey(PaperAccount, on_delete=models.CASCADE, related_name="income")
    transaction_id = models.PositiveBigIntegerField()
    kind = models.CharField(max_length=20)
    symbol = models.CharField(max_length=30, blank=True)
    amount = ExactDecimalField(decimal_places=8)
    trade_id = models.CharField(max_length=60, blank=True)
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["paper", "transaction_id"], name="paper_income_unique")]
        indexes = [models.Index(fields=["paper", "at"], name="paper_income_since")]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount}"
