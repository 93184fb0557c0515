"""Positions: to read, to close, and to move what protects them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access.acts import Act
from accounts.access.jobs import job_answer, job_of
from accounts.access.views import Rows
from accounts.models import User
from accounts.services.jobs import JobWork
from trading.api.orders import NothingIn, OrderOut
from trading.models import Position
from vibex.lib.api import Amount, Filters, given
from vibex.lib.api.inputs import Exact, Form
from vibex.lib.api.query import Moment, RowId

if TYPE_CHECKING:
    ModelOut = serializers.ModelSerializer[Position]
    Out = serializers.Serializer[Any]
else:
    ModelOut, Out = serializers.ModelSerializer, serializers.Serializer

NEWEST_ORDERS = 50


class PositionOut(ModelOut):
    """A position from its first fill to flat. Amounts in quote units; `realised` is before fees and funding."""

    badge = serializers.CharField(source="account.badge", read_only=True, help_text="paper, testnet or live.")
    open = serializers.SerializerMethodField()
    quantity = Amount()
    peak_quantity = Amount()
    entry_price = Amount()
    exit_price = Amount(allow_null=True)
    stop = Amount(allow_null=True)
    target = Amount(allow_null=True)
    realised = Amount()
    fees = Amount()
    funding = Amount()
    exit_reason = serializers.ChoiceField(
        [("", "still open"), *Position.Exit.choices], read_only=True, help_text="Why it ended; empty while it is open."
    )

    class Meta:
        model = Position
        fields: tuple[str, ...] = (
            "id",
            "account",
            "badge",
            "bot",
            "decision",
            "symbol",
            "side",
            "open",
            "quantity",
            "peak_quantity",
            "entry_price",
            "exit_price",
            "leverage",
            "stop",
            "target",
            "bracket",
            "protected_at",
            "opened",
            "closed",
            "exit_reason",
            "realised",
            "fees",
            "funding",
        )
        read_only_fields: tuple[str, ...] = fields

    def get_open(self, position: Position) -> bool:
        return position.closed is None


class PositionWithOrdersOut(PositionOut):
    """A position with its newest orders."""

    orders = serializers.SerializerMethodField()

    class Meta(PositionOut.Meta):
        fields = (*PositionOut.Meta.fields, "orders")
        read_only_fields = fields

    @extend_schema_field(OrderOut(many=True))
    def get_orders(self, position: Position) -> Any:
        return OrderOut(position.orders.order_by("-created", "-id")[:NEWEST_ORDERS], many=True).data


SHOWN = tuple(name for name in PositionOut.Meta.fields if name not in ("badge", "open"))
"""What a list reads of a position: nothing else is fetched."""


class PositionFilters(Filters):
    account = RowId(source="account_id")
    bot = RowId(source="bot_id")
    decision = RowId(source="decision_id")
    symbol = serializers.CharField(required=False)
    side = serializers.ChoiceField(Position.Side.choices, required=False)
    open = serializers.BooleanField(required=False, source="closed__isnull")
    exit_reason = serializers.ChoiceField(Position.Exit.choices, required=False)
    since = Moment(source="opened__gte", help_text="Opened at this moment or later.")
    until = Moment(source="opened__lt", help_text="Opened before this moment.")


class PriceIn(Form):
    price = Exact(min_value=Decimal("0.00000001"), help_text="Rounded to the tick of the contract.")


class ClosedOut(Out):
    """What became of a position that was to be closed."""

    already = serializers.BooleanField(help_text="Whether it was closed before.")
    position = PositionOut()


class MovedOut(Out):
    """What became of a stop or target that was to be moved."""

    moved = serializers.BooleanField(help_text="False: the price had passed it, and the position was closed.")
    position = PositionOut()


CloseJob = job_of(ClosedOut, "CloseJob")
MoveJob = job_of(MovedOut, "MoveJob")


class PositionViewSet(Rows[Position]):
    """Positions, open and closed, newest first."""

    acts: ClassVar = {"close": Act.END, "stop": Act.TRADE, "target": Act.TRADE}
    filters = PositionFilters
    order = ("-opened", "-id")
    orders: ClassVar = {"opened": ("opened", "id"), "closed": ("closed", "id")}
    csv_columns = tuple(name for name in PositionOut.Meta.fields if name not in ("badge", "open", "protected_at"))

    def rows(self) -> QuerySet[Position]:
        rows = self.seen(Position.objects.all())
        return rows.only(*SHOWN) if self.action == "list" else rows.select_related("account")

    def lines(self, rows: Iterable[Position]) -> list[Any]:
        """Return positions as they are told: few accounts stand behind many of them."""
        told, accounts = list(rows), self.accounts_seen()
        for position in told:
            if position.account_id in accounts:
                position.account = accounts[position.account_id]
        return super().lines(told)

    def get_serializer_class(self) -> type[PositionOut]:
        return PositionWithOrdersOut if self.action == "retrieve" else PositionOut

    @extend_schema(request=NothingIn, responses={200: CloseJob, 202: CloseJob})
    @action(detail=True, methods=["post"])
    def close(self, request: Request, pk: str | None = None) -> Response:
        """Close all of it at market, reduce-only, until the exchange shows it flat. Doing it twice is harmless."""
        return self._job(request, "close", NothingIn, close_work)

    @extend_schema(request=PriceIn, responses={200: MoveJob, 202: MoveJob})
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str | None = None) -> Response:
        """Move its stop; the new one stands before the old one goes. It stays between mark and liquidation price."""
        return self._job(request, "stop", PriceIn, stop_work)

    @extend_schema(request=PriceIn, responses={200: MoveJob, 202: MoveJob})
    @action(detail=True, methods=["post"])
    def target(self, request: Request, pk: str | None = None) -> Response:
        """Move its target, or give it one."""
        return self._job(request, "target", PriceIn, target_work)

    def _job(self, request: Request, kind: str, form: type[Form], work: Callable[..., dict[str, Any]]) -> Response:
        position = self.get_object()
        told = given(form, request)
        asked = {"position": position.pk} | {name: f"{value:f}" for name, value in told.items()}
        bound = partial(work, position=position, actor=self.person, **told)
        return job_answer(request, kind=kind, account=position.account, bot=position.bot, asked=asked, work=bound)


def close_work(job: JobWork, *, position: Position, actor: User) -> dict[str, Any]:
    from trading.services.by_hand import position_close

    done = position_close(position=position, actor=actor, tell=job.tell)
    return {"already": done.already, "position": position_told(done.position)}


def stop_work(job: JobWork, *, position: Position, actor: User, price: Any) -> dict[str, Any]:
    from trading.services.by_hand import position_stop_move
    from trading.services.stops import Moved

    job.tell(f"moving the stop of {position.symbol}")
    moved = position_stop_move(position=position, price=price, actor=actor)
    return {"moved": moved is Moved.MOVED, "position": position_told(position)}


def target_work(job: JobWork, *, position: Position, actor: User, price: Any) -> dict[str, Any]:
    from trading.services.by_hand import position_target_move
    from trading.services.stops import Moved

    job.tell(f"moving the target of {position.symbol}")
    moved = position_target_move(position=position, price=price, actor=actor)
    return {"moved": moved is Moved.MOVED, "position": position_told(position)}


def position_told(position: Position) -> dict[str, Any]:
    return dict(PositionOut(position).data)
