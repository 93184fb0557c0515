"""Orders: to read with what became of each, and to cancel what may open or take profit."""

from __future__ import annotations

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
from trading.domain.orders import FINAL
from trading.models import Order, OrderEvent
from vibex.lib.api import Amount, Filters, given
from vibex.lib.api.inputs import Form
from vibex.lib.api.query import Moment, RowId

if TYPE_CHECKING:
    ModelOut = serializers.ModelSerializer[Order]
    EventsOut = serializers.ModelSerializer[OrderEvent]
    Out = serializers.Serializer[Any]
    BooleanField = serializers.BooleanField
else:
    ModelOut = EventsOut = serializers.ModelSerializer
    Out, BooleanField = serializers.Serializer, serializers.BooleanField

MOST_EVENTS = 200
OVER = [state.value for state in FINAL]
OPEN = [state.value for state in Order.State if state.value not in OVER]


class OrderOut(ModelOut):
    """An order. `quantity` is null where it closes whatever is there; `reason` says how it ended."""

    open = serializers.SerializerMethodField(help_text="Whether it may still do something.")
    quantity = Amount(allow_null=True)
    price = Amount(allow_null=True)
    trigger = Amount(allow_null=True)
    filled = Amount()
    average_price = Amount(allow_null=True)

    class Meta:
        model = Order
        fields: tuple[str, ...] = (
            "id",
            "account",
            "bot",
            "cycle",
            "decision",
            "position",
            "client_order_id",
            "origin",
            "role",
            "symbol",
            "side",
            "type",
            "quantity",
            "price",
            "trigger",
            "reduce_only",
            "close_position",
            "state",
            "open",
            "purpose",
            "reason",
            "filled",
            "average_price",
            "created",
            "sent_at",
            "updated",
        )
        read_only_fields: tuple[str, ...] = fields

    def get_open(self, order: Order) -> bool:
        return order.state not in OVER


class OrderEventOut(EventsOut):
    """Something that happened to an order."""

    filled = serializers.SerializerMethodField(help_text="Filled quantity after it.")
    reason = serializers.SerializerMethodField()

    class Meta:
        model = OrderEvent
        fields = ("sequence", "at", "kind", "state", "filled", "reason")
        read_only_fields = fields

    def get_filled(self, event: OrderEvent) -> str:
        return str(event.data.get("filled", "0"))

    def get_reason(self, event: OrderEvent) -> str:
        return str(event.data.get("reason", ""))


class OrderWithEventsOut(OrderOut):
    """An order with everything that happened to it, oldest first."""

    events = serializers.SerializerMethodField()

    class Meta(OrderOut.Meta):
        fields = (*OrderOut.Meta.fields, "events")
        read_only_fields = fields

    @extend_schema_field(OrderEventOut(many=True))
    def get_events(self, order: Order) -> Any:
        return OrderEventOut(order.events.order_by("sequence")[:MOST_EVENTS], many=True).data


class IsOpen(BooleanField):
    """Whether orders that may still do something are wanted, or those that are over."""

    def to_internal_value(self, data: Any) -> Any:
        return OPEN if super().to_internal_value(data) else OVER


class OrderFilters(Filters):
    account = RowId(source="account_id")
    bot = RowId(source="bot_id")
    position = RowId(source="position_id")
    decision = RowId(source="decision_id")
    cycle = RowId(source="cycle_id")
    symbol = serializers.CharField(required=False)
    side = serializers.ChoiceField(["BUY", "SELL"], required=False)
    role = serializers.ChoiceField(Order.Role.choices, required=False)
    state = serializers.ChoiceField(Order.State.choices, required=False)
    origin = serializers.ChoiceField(Order.Origin.choices, required=False)
    open = IsOpen(required=False, source="state__in")
    since = Moment(source="created__gte", help_text="Made at this moment or later.")
    until = Moment(source="created__lt", help_text="Made before this moment.")


class NothingIn(Form):
    """A call that takes nothing."""


class CancelledOut(Out):
    """What became of an order that was to be cancelled."""

    cancelled = serializers.BooleanField(help_text="Whether it is over without having been filled whole.")
    already = serializers.BooleanField(help_text="Whether it was over before.")
    order = OrderOut()


CancelJob = job_of(CancelledOut, "CancelJob")


class OrderViewSet(Rows[Order]):
    """Orders, newest first: yours, and those of others that Vibex has seen on your accounts."""

    acts: ClassVar = {"cancel": Act.END}
    filters = OrderFilters
    order = ("-created", "-id")
    orders: ClassVar = {"created": ("created", "id")}
    csv_columns = tuple(name for name in OrderOut.Meta.fields if name not in ("open", "sent_at", "updated"))

    def rows(self) -> QuerySet[Order]:
        rows = self.seen(Order.objects.all())
        return rows.select_related("account", "bot") if self.action == "cancel" else rows

    def get_serializer_class(self) -> type[OrderOut]:
        return OrderWithEventsOut if self.action == "retrieve" else OrderOut

    @extend_schema(request=NothingIn, responses={200: CancelJob, 202: CancelJob})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str | None = None) -> Response:
        """Cancel an entry or a target. What protects a position is not cancelled: 409 says what to do instead.

        A position whose target was cancelled has none from then on. An order that is over stays as it is.
        """
        order = self.get_object()
        given(NothingIn, request)
        asked = {"order": order.pk}
        work = partial(cancel_work, order, self.person)
        return job_answer(request, kind="cancel", account=order.account, bot=order.bot, asked=asked, work=work)


def cancel_work(order: Order, actor: User, job: JobWork) -> dict[str, Any]:
    from trading.services.by_hand import order_cancel

    job.tell(f"cancelling {order.client_order_id}")
    already = order.state in OVER
    over = order_cancel(order=order, actor=actor)
    filled = over.reason == "filled"
    return {"cancelled": not filled, "already": already, "order": dict(OrderOut(over).data)}
