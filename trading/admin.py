"""Admin of the books as they are. Accounts, bots and schedules have modules of their own."""

from typing import cast

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

import trading.account_admin
import trading.bot_admin
import trading.schedule_admin  # noqa: F401 - all of them register what they hold
from accounts.access.admin_site import MoneyAdmin
from accounts.models import User
from trading.models import (
    Claim,
    EquityPoint,
    Fill,
    GuardState,
    IncomeEntry,
    Lock,
    Order,
    OrderEvent,
    PaperAccount,
    PaperIncome,
    PaperOrder,
    PaperPosition,
    PaperTrade,
    Position,
    Reconciliation,
)
from vibex.lib.admin import HistoryAdmin, HistoryInline, link_to, link_to_list
from vibex.lib.errors import Rejected


class OrdersInline(HistoryInline):
    model = Order
    fields = ("created", "role", "side", "type", "state", "quantity", "filled", "average_price", "trigger", "reason")
    ordering = ("created", "pk")


class FillsInline(HistoryInline):
    model = Fill
    fields = ("at", "side", "quantity", "price", "fee", "realised", "maker")
    ordering = ("at", "pk")


class EventsInline(HistoryInline):
    model = OrderEvent
    fields = ("sequence", "at", "kind", "state", "data")
    ordering = ("sequence",)


@admin.register(Order)
class OrderAdmin(HistoryAdmin):
    place = 3
    list_display = (
        "client_order_id",
        "created",
        link_to("account"),
        "symbol",
        "role",
        "side",
        "type",
        "state",
        "quantity",
        "filled",
        "average_price",
        "trigger",
        "reason",
        link_to("position"),
        link_to("decision"),
        link_to_list(OrderEvent, "order", "events"),
        link_to_list(Fill, "order", "fills"),
    )
    list_filter = ("state", "role", "origin", "symbol", "account")
    list_select_related = ("account", "position", "decision")
    search_fields = ("client_order_id", "exchange_id", "symbol")
    times = "created"
    inlines = (EventsInline, FillsInline)


@admin.register(OrderEvent)
class OrderEventAdmin(HistoryAdmin):
    list_display = ("at", link_to("order"), "sequence", "kind", "state", "data")
    list_filter = ("kind", "state")
    list_select_related = ("order",)
    search_fields = ("order__client_order_id",)
    times = "at"


@admin.register(Fill)
class FillAdmin(HistoryAdmin):
    place = 4
    list_display = (
        "at",
        link_to("account"),
        link_to("order"),
        link_to("position"),
        "symbol",
        "side",
        "quantity",
        "price",
        "fee",
        "realised",
        "maker",
    )
    list_filter = ("symbol", "side", "maker", "account")
    list_select_related = ("account", "order", "position")
    search_fields = ("exchange_trade_id", "order__client_order_id", "symbol")
    times = "at"


@admin.register(Position)
class PositionAdmin(HistoryAdmin):
    place = 2
    list_display = (
        "opened",
        link_to("account"),
        link_to("bot"),
        "symbol",
        "side",
        "quantity",
        "peak_quantity",
        "entry_price",
        "exit_price",
        "stop",
        "target",
        "bracket",
        "closed",
        "exit_reason",
        "realised",
        "fees",
        "funding",
        link_to("decision"),
        link_to_list(Order, "position", "orders"),
        link_to_list(Fill, "position", "fills"),
    )
    list_filter = (
        ("closed", admin.EmptyFieldListFilter),
        "exit_reason",
        "side",
        "bracket",
        "symbol",
        "account",
    )
    list_select_related = ("account", "bot__account", "decision")
    search_fields = ("symbol", "bot__name")
    times = "opened"
    inlines = (OrdersInline, FillsInline)


@admin.register(EquityPoint)
class EquityPointAdmin(HistoryAdmin):
    list_display = ("at", link_to("account"), "equity", "wallet", "unrealised", "transfers")
    list_filter = ("account",)
    list_select_related = ("account",)
    times = "at"
    ordering = ("-pk",)  # as they were written: by time there is an index for one account only


@admin.register(IncomeEntry)
class IncomeEntryAdmin(HistoryAdmin):
    list_display = ("at", link_to("account"), "kind", "symbol", "amount", "transaction_id", "trade_id")
    list_filter = ("kind", "symbol", "account")
    list_select_related = ("account",)
    search_fields = ("transaction_id", "trade_id", "symbol")
    times = "at"


@admin.register(Reconciliation)
class ReconciliationAdmin(HistoryAdmin):
    group = "Operations"
    list_display = ("at", link_to("account"), "trigger", "agreed", "mended", "left")
    list_filter = ("agreed", "trigger", "account")
    list_select_related = ("account",)
    ordering = ("-pk",)
    times = "at"


@admin.register(GuardState)
class GuardStateAdmin(HistoryAdmin):
    group = "Operations"
    list_display = (link_to("account"), "at", "full_at", "well", "text", "seconds", "since")
    list_filter = ("well", "account")
    list_select_related = ("account",)


@admin.register(Lock)
class LockAdmin(MoneyAdmin, HistoryAdmin):
    place = 5
    list_display = (
        "since", link_to("account"), "symbol", "side", "kind", "reason", "until", "lifted", link_to("lifted_by"),
    )  # fmt: skip
    list_filter = (("lifted", admin.EmptyFieldListFilter), "kind", "symbol", "account")
    list_select_related = ("account", "lifted_by")
    search_fields = ("reason", "symbol")
    times = "since"
    actions = ("lift",)

    def has_lift_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("trading.change_lock")

    @admin.action(description="Lift: positions may be opened again", permissions=["lift"])
    def lift(self, request: HttpRequest, locks: QuerySet[Lock]) -> None:
        from trading.services.standing import lock_lift

        lifted = 0
        for lock in locks:
            try:
                lifted += lock_lift(lock=lock, actor=cast("User", request.user))
            except Rejected as refusal:
                self.message_user(request, f"{lock}: {refusal}", messages.ERROR)
        anew = any(lock.kind.startswith("loss.") for lock in locks)
        self.message_user(
            request, f"{lifted} lifted.{' Their loss limits count anew from now.' if lifted and anew else ''}"
        )


@admin.register(Claim)
class ClaimAdmin(HistoryAdmin):
    group = "Operations"
    list_display = ("symbol", link_to("account"), "holder", "until")
    list_filter = ("symbol", "account")
    list_select_related = ("account",)
    search_fields = ("symbol", "holder")


@admin.register(PaperAccount)
class PaperAccountAdmin(HistoryAdmin):
    group = "Paper venue"
    list_display = (
        link_to("account"),
        "wallet",
        "version",
        "opened",
        link_to_list(PaperPosition, "paper", "positions"),
        link_to_list(PaperOrder, "paper", "orders"),
        link_to_list(PaperTrade, "paper", "trades"),
        link_to_list(PaperIncome, "paper", "income"),
    )
    list_display_links = ("wallet",)
    list_select_related = ("account",)


@admin.register(PaperPosition)
class PaperPositionAdmin(HistoryAdmin):
    group = "Paper venue"
    list_display = ("symbol", link_to("paper"), "quantity", "cost", "margin", "leverage", "opened")
    list_filter = ("symbol",)
    list_select_related = ("paper",)
    search_fields = ("symbol",)


@admin.register(PaperOrder)
class PaperOrderAdmin(HistoryAdmin):
    group = "Paper venue"
    list_display = (
        "exchange_id",
        "client_order_id",
        link_to("paper"),
        "symbol",
        "side",
        "type",
        "status",
        "quantity",
        "filled",
        "price",
        "trigger",
        "created",
    )
    list_filter = ("status", "type", "symbol")
    list_select_related = ("paper",)
    search_fields = ("client_order_id", "exchange_id", "symbol")
    times = "created"


@admin.register(PaperTrade)
class PaperTradeAdmin(HistoryAdmin):
    group = "Paper venue"
    list_display = ("at", link_to("paper"), "symbol", "side", "quantity", "price", "fee", "realised", "client_order_id")
    list_filter = ("symbol", "side", "maker")
    list_select_related = ("paper",)
    search_fields = ("client_order_id", "trade_id", "symbol")
    times = "at"


@admin.register(PaperIncome)
class PaperIncomeAdmin(HistoryAdmin):
    group = "Paper venue"
    list_display = ("at", link_to("paper"), "kind", "symbol", "amount", "transaction_id", "trade_id")
    list_filter = ("kind", "symbol")
    list_select_related = ("paper",)
    search_fields = ("transaction_id", "trade_id", "symbol")
    times = "at"
