"""Accounts: money at one venue, on paper or live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access.acts import Act
from accounts.access.views import Rows
from accounts.forms import OF_PAPER
from accounts.models import Account
from accounts.services import account_change, account_create, account_delete
from vibex.lib.account_keys import VENUES
from vibex.lib.api import Amount, Filters, given
from vibex.lib.api.inputs import Exact, Form

if TYPE_CHECKING:
    ModelOut = serializers.ModelSerializer[Account]
else:
    ModelOut = serializers.ModelSerializer


class AccountOut(ModelOut):
    """An account. `badge` says what its money is: paper, live or testnet. `owner` is an e-mail address."""

    owner = serializers.EmailField(source="owner.email")
    badge = serializers.CharField()
    starting_balance = Amount()

    class Meta:
        model = Account
        fields = (
            "id",
            "name",
            "owner",
            "venue",
            "mode",
            "network",
            "badge",
            "promoted_from",
            "starting_balance",
            "time_zone",
            "foreign_positions",
            "state",
            "state_reason",
            "state_since",
            "created",
        )
        read_only_fields = fields


class AccountIn(Form):
    """A new account. Its owner is who makes it; its limits are the defaults until they are changed."""

    name = serializers.SlugField(max_length=40, help_text="Short, yours alone; letters, digits, - and _.")
    venue = serializers.ChoiceField([*VENUES, *OF_PAPER], help_text="Where prices, rules and orders are.")
    mode = serializers.ChoiceField(
        Account.Mode.choices, required=False, help_text="Decided once. Live is to be had on a testnet here."
    )
    network = serializers.ChoiceField(Account.Network.choices, required=False)
    starting_balance = Exact(min_value=1, required=False, help_text="Quote currency; of an account on paper.")
    time_zone = serializers.CharField(max_length=64, required=False, help_text="Where its trading day begins.")
    foreign_positions = serializers.ChoiceField(
        Account.Foreign.choices, required=False, help_text="What becomes of a position that Vibex did not open."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        mainnet = attrs.get("network", Account.Network.MAINNET) == Account.Network.MAINNET
        if attrs.get("mode") == Account.Mode.LIVE and mainnet:
            text = "An account with real money is made out of one on paper: POST accounts/<id>/promote/ of that one."
            raise serializers.ValidationError({"mode": [text]})
        return attrs


class AccountChangeIn(Form):
    """What may become another. The name only while it trades on paper: variables of keys end with it."""

    name = serializers.SlugField(max_length=40)
    time_zone = serializers.CharField(max_length=64)
    foreign_positions = serializers.ChoiceField(Account.Foreign.choices)


class PromoteIn(Form):
    name = serializers.SlugField(max_length=40, help_text="Of the live account.")


class AccountFilters(Filters):
    venue = serializers.CharField(required=False)
    mode = serializers.ChoiceField(Account.Mode.choices, required=False)
    network = serializers.ChoiceField(Account.Network.choices, required=False)
    state = serializers.ChoiceField(Account.State.choices, required=False)


class AccountViewSet(Rows[Account]):
    """Your accounts; staff who may see any see all. Another's account is not found.

    Whether an account may trade with real money is decided in the admin and nowhere else.
    """

    acts: ClassVar = {
        "create": Act.MANAGE,
        "partial_update": Act.MANAGE,
        "destroy": Act.MANAGE,
        "promote": Act.MANAGE,
    }
    slow = True
    serializer_class = AccountOut
    filters = AccountFilters
    order = ("id",)
    orders: ClassVar = {"id": ("id",), "name": ("name", "id"), "created": ("created", "id")}

    def rows(self) -> QuerySet[Account]:
        return self.seen(Account.objects.select_related("owner"), "id")

    @extend_schema(request=AccountIn, responses={201: AccountOut})
    def create(self, request: Request) -> Response:
        """Make an account: on paper anywhere, live on a testnet. One with real money is made by `promote`."""
        made = account_create(owner=self.person, actor=self.person, **given(AccountIn, request))
        return Response(AccountOut(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=AccountChangeIn, responses=AccountOut)
    def partial_update(self, request: Request, pk: str | None = None) -> Response:
        """Change name, time zone, or what becomes of foreign positions. A new time zone counts from the next day."""
        values = given(AccountChangeIn, request, partial=True)
        return Response(AccountOut(account_change(account=self.get_object(), actor=self.person, **values)).data)

    @extend_schema(request=None, responses={204: None})
    def destroy(self, request: Request, pk: str | None = None) -> Response:
        """Delete an account on which nothing was ever done, with its limits and keys. One with a history stays: 409."""
        account_delete(account=self.get_object(), actor=self.person)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=PromoteIn, responses={201: AccountOut})
    @action(detail=True, methods=["post"])
    def promote(self, request: Request, pk: str | None = None) -> Response:
        """Make the live account of a paper account, with a copy of its limits.

        It opens nothing yet: keys and limits come next, and a person opens its gate in the admin.
        """
        from accounts.services.promotion import account_promote

        paper, name = self.get_object(), given(PromoteIn, request)["name"]
        # What comes of it has real money: the rules of such an account hold already.
        coming = Account(owner=paper.owner, venue=paper.venue, network=paper.network, mode=Account.Mode.LIVE)
        self.check_object_permissions(request, coming)
        made = account_promote(paper=paper, name=name, actor=self.person)
        return Response(AccountOut(made).data, status=status.HTTP_201_CREATED)
