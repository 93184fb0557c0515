"""Bots: to read, make, change and delete, and whether they run."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar, Final

from django.db.models import QuerySet
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access.acts import Act
from accounts.access.views import Rows
from accounts.models import Account, Bot
from marketdata.domain.intervals import INTERVAL_MS
from vibex.lib.api import Amount, Filters, given
from vibex.lib.api.inputs import Exact, Form
from vibex.lib.api.query import RowId

if TYPE_CHECKING:
    from trading.services.bot_making import Made

    ModelOut = serializers.ModelSerializer[Bot]
else:
    ModelOut = serializers.ModelSerializer

MOST_SYMBOLS: Final = 100
MOST_MODELS: Final = 20
LARGEST_32: Final = 2**31 - 1
LARGEST_64: Final = 2**63 - 1


def _told_list() -> serializers.ListField:
    return serializers.ListField(child=serializers.CharField(), read_only=True)


class BotRowOut(ModelOut):
    """A bot in a list."""

    badge = serializers.CharField(source="account.badge", read_only=True)
    symbols = _told_list()
    timeframes = _told_list()
    fallback_models = _told_list()
    capital = Amount(allow_null=True)
    cost_per_day = Amount(allow_null=True)

    class Meta:
        model = Bot
        fields: tuple[str, ...] = (
            "id",
            "account",
            "badge",
            "name",
            "model",
            "fallback_models",
            "symbols",
            "interval",
            "timeframes",
            "capital",
            "prompt_template",
            "approval",
            "cost_per_day",
            "status",
            "status_reason",
            "created",
        )
        read_only_fields: tuple[str, ...] = fields


class BotOut(BotRowOut):
    """A bot with everything that was decided of it."""

    served_models = _told_list()
    ensemble_models = _told_list()
    shadow_models = _told_list()
    temperature = Amount(allow_null=True)

    class Meta(BotRowOut.Meta):
        fields = (
            *BotRowOut.Meta.fields,
            "served_models",
            "reasoning_effort",
            "temperature",
            "max_tokens",
            "deadline_seconds",
            "prompt_version",
            "layout",
            "outside_text",
            "tokens_per_day",
            "ensemble_models",
            "ensemble_rule",
            "shadow_models",
        )
        read_only_fields = fields


class BotSavedOut(BotOut):
    """A bot as it was stored, and what may not have been meant."""

    warnings = serializers.ListField(child=serializers.CharField())

    class Meta(BotOut.Meta):
        fields = (*BotOut.Meta.fields, "warnings")
        read_only_fields = fields


def _help(name: str) -> str:
    return str(getattr(Bot._meta.get_field(name), "help_text", ""))


def _models(name: str) -> serializers.ListField:
    child = serializers.CharField(max_length=120)
    return serializers.ListField(child=child, max_length=MOST_MODELS, required=False, help_text=_help(name))


class BotChangeIn(Form):
    """What may be decided of a bot; what is not named stays as it is."""

    name = serializers.SlugField(max_length=40)
    model = serializers.CharField(max_length=120, help_text=_help("model"))
    fallback_models = _models("fallback_models")
    served_models = _models("served_models")
    reasoning_effort = serializers.ChoiceField(Bot.Effort.choices, required=False, help_text=_help("reasoning_effort"))
    temperature = Exact(
        max_digits=3,
        decimal_places=2,
        min_value=0,
        max_value=2,
        required=False,
        allow_null=True,
        help_text=_help("temperature"),
    )
    max_tokens = serializers.IntegerField(
        min_value=256, max_value=200_000, required=False, help_text=_help("max_tokens")
    )
    deadline_seconds = serializers.IntegerField(
        min_value=1, max_value=60, required=False, help_text=_help("deadline_seconds")
    )
    symbols = serializers.ListField(
        child=serializers.CharField(max_length=40),
        allow_empty=False,
        max_length=MOST_SYMBOLS,
        help_text=_help("symbols"),
    )
    interval = serializers.ChoiceField(Bot.Interval.choices, required=False)
    timeframes = serializers.ListField(
        child=serializers.ChoiceField([*INTERVAL_MS]),
        allow_empty=False,
        max_length=len(INTERVAL_MS),
        required=False,
        help_text=f"{_help('timeframes')} Without them they follow from the interval.",
    )
    capital = Exact(min_value=Decimal("0.00000001"), required=False, allow_null=True, help_text=_help("capital"))
    prompt_template = serializers.CharField(max_length=60, required=False, help_text=_help("prompt_template"))
    prompt_version = serializers.IntegerField(
        min_value=1, max_value=LARGEST_32, required=False, allow_null=True, help_text=_help("prompt_version")
    )
    layout = serializers.ChoiceField(Bot.Layout.choices, required=False, help_text=_help("layout"))
    outside_text = serializers.BooleanField(required=False, help_text=_help("outside_text"))
    ensemble_models = _models("ensemble_models")
    ensemble_rule = serializers.ChoiceField(Bot.EnsembleRule.choices, required=False)
    shadow_models = _models("shadow_models")
    approval = serializers.BooleanField(required=False, help_text=_help("approval"))
    cost_per_day = Exact(
        max_digits=12,
        decimal_places=6,
        min_value=0,
        required=False,
        allow_null=True,
        help_text=_help("cost_per_day"),
    )
    tokens_per_day = serializers.IntegerField(
        min_value=0, max_value=LARGEST_64, required=False, allow_null=True, help_text=_help("tokens_per_day")
    )


class BotIn(BotChangeIn):
    """A new bot. What is not named is as a new bot has it."""

    account = RowId(required=True, help_text="One of yours; it stays there.")


class ReasonIn(Form):
    reason = serializers.CharField(
        required=False, allow_blank=True, max_length=300, help_text="Stays on record, and in the diary of the bot."
    )


class BotFilters(Filters):
    account = RowId(source="account_id")
    status = serializers.ChoiceField(Bot.Status.choices, required=False)
    model = serializers.CharField(required=False)
    interval = serializers.ChoiceField(Bot.Interval.choices, required=False)


class BotViewSet(Rows[Bot]):
    """The bots on your accounts; staff who may see any see all."""

    acts: ClassVar = {
        "create": Act.MANAGE,
        "partial_update": Act.MANAGE,
        "destroy": Act.MANAGE,
        "start": Act.TRADE,
        "pause": Act.END,
        "stop": Act.END,
    }
    slow = True
    filters = BotFilters
    order = ("id",)
    orders: ClassVar = {"id": ("id",), "name": ("name", "id"), "created": ("created", "id")}

    def rows(self) -> QuerySet[Bot]:
        return self.seen(Bot.objects.select_related("account"))

    def get_serializer_class(self) -> type[BotRowOut]:
        return BotRowOut if self.action == "list" else BotOut

    @extend_schema(request=BotIn, responses={201: BotSavedOut})
    def create(self, request: Request) -> Response:
        """Make a stopped bot on one of your accounts. What cannot work is refused, as in the admin."""
        from trading.services.bot_making import bot_make

        values = given(BotIn, request)
        account = self._own(values.pop("account"))
        return _saved(bot_make(account=account, actor=self.person, **values), status.HTTP_201_CREATED)

    @extend_schema(request=BotChangeIn, responses=BotSavedOut)
    def partial_update(self, request: Request, pk: str | None = None) -> Response:
        """Change a stopped bot (409 while it is not); the interval alone also while it runs.

        Without timeframes a new interval brings those that belong to it.
        """
        from trading.services.bot_making import bot_alter

        values = given(BotChangeIn, request, partial=True)
        return _saved(bot_alter(bot=self.get_object(), actor=self.person, **values), status.HTTP_200_OK)

    @extend_schema(request=None, responses={204: None})
    def destroy(self, request: Request, pk: str | None = None) -> Response:
        """Delete a stopped bot that has never been started. One with a history stays: 409."""
        from trading.services.bot_making import bot_remove

        bot_remove(bot=self.get_object(), actor=self.person)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=ReasonIn, responses=BotOut)
    @action(detail=True, methods=["post"])
    def start(self, request: Request, pk: str | None = None) -> Response:
        """Let it decide from now on; at once while its latest candle is fresh. 409 where it may not run."""
        from trading.services.schedule import bot_start

        return self._moved(bot_start)

    @extend_schema(request=ReasonIn, responses=BotOut)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: str | None = None) -> Response:
        """Let a running bot decide no more. What is open stays protected."""
        from trading.services.schedule import bot_pause

        return self._moved(bot_pause)

    @extend_schema(request=ReasonIn, responses=BotOut)
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str | None = None) -> Response:
        """End its work. What is open stays protected; a decision that has begun still ends."""
        from trading.services.schedule import bot_stop

        return self._moved(bot_stop)

    def _moved(self, move: Callable[..., Bot]) -> Response:
        bot = move(bot=self.get_object(), actor=self.person, **given(ReasonIn, self.request))
        return Response(BotOut(bot).data)

    def _own(self, account_id: int) -> Account:
        """Return the account that the body names. Raises ValidationError (400) for one that the person may not see."""
        try:
            return self.account(account_id)
        except Http404:
            raise serializers.ValidationError({"account": ["You have no such account."]}) from None


def _saved(made: Made, code: int) -> Response:
    return Response(BotOut(made.bot).data | {"warnings": list(made.warnings)}, status=code)
