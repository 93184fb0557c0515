"""What accounts, bots and models earned, from stored days."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access.views import Face
from trading.models import PerformanceDay, PerformanceState
from trading.selectors.performance import Asked, Day, Earned, OfAccount, Part, Performance, performance_of
from vibex.lib.api import Amount, Filters
from vibex.lib.api.query import RowId, query

if TYPE_CHECKING:
    Out = serializers.Serializer[Any]
else:
    Out = serializers.Serializer

type Told = dict[str, Any]

COLUMNS: Final = ("day", "net", "gross", "fees", "funding", "model_cost", "trades", "won", "turnover", "equity")


class EarnedOut(Out):
    """What was earned. Money in the quote asset, the cost of models in US dollars; null where nothing was divided by."""

    net = Amount(help_text="Realised result after fees and funding.")
    gross = Amount(help_text="Realised result before fees and funding.")
    fees = Amount(help_text="Paid is positive.")
    funding = Amount(help_text="Received is positive.")
    model_cost = Amount(help_text="US dollars that the models cost.")
    net_after_cost = Amount()
    opened = serializers.IntegerField(help_text="Positions that were opened.")
    trades = serializers.IntegerField(help_text="Positions that were closed.")
    won = serializers.IntegerField(help_text="Of those: with a gain, net.")
    hit_rate = serializers.FloatField(allow_null=True, help_text="Won ÷ trades.")
    hit_rate_low = serializers.FloatField(allow_null=True, help_text="Lower end of its 95 % interval (Wilson).")
    hit_rate_high = serializers.FloatField(allow_null=True, help_text="Upper end of its 95 % interval (Wilson).")
    profit_factor = serializers.FloatField(allow_null=True, help_text="Sum of the gains ÷ sum of the losses.")
    expectancy = Amount(allow_null=True, help_text="Net result of a trade on average.")
    turnover = Amount(help_text="Quantity × price of all fills.")
    fills = serializers.IntegerField()
    model_calls = serializers.IntegerField()
    tokens = serializers.IntegerField()
    decisions = serializers.IntegerField()


class PartOut(EarnedOut):
    """What one bot or one model earned. Both null: what no bot of ours did."""

    bot = serializers.IntegerField(allow_null=True)
    model = serializers.CharField(allow_null=True)


class OfAccountOut(Out):
    """What became of the equity of the account. `return` is the result ÷ equity at the start, net of transfers."""

    start = Amount(help_text="As stated last before the first day.")
    end = Amount()
    transfers = Amount(help_text="Net deposits.")
    max_drawdown = serializers.FloatField(help_text="Deepest fall from an earlier peak as a share, net of transfers.")

    def get_fields(self) -> dict[str, Any]:
        return {**super().get_fields(), "return": serializers.FloatField(allow_null=True)}


@extend_schema_field(
    {
        "type": "object",
        "required": ["columns", "points"],
        "properties": {
            "columns": {"type": "array", "items": {"type": "string", "enum": list(COLUMNS)}},
            "points": {
                "type": "array",
                "items": {
                    "type": "array",
                    "minItems": len(COLUMNS),
                    "maxItems": len(COLUMNS),
                    "items": {"type": ["string", "integer", "null"]},
                },
            },
        },
    }
)
class DaysOut(serializers.Field):  # type: ignore[type-arg]
    """A row a day, in the order of `columns`; `equity` (at its end) is null but for one whole account."""


class PerformanceOut(Out):
    """What was earned over the days asked for."""

    account = serializers.IntegerField(allow_null=True)
    bot = serializers.IntegerField(allow_null=True)
    model = serializers.CharField(allow_null=True)
    since = serializers.DateField(allow_null=True)
    until = serializers.DateField(allow_null=True)
    by = serializers.ChoiceField(["day", "bot", "model"], allow_null=True)
    as_of = serializers.DateTimeField(allow_null=True, help_text="Summed up to then; null: nothing is yet.")
    total = EarnedOut()
    equity = OfAccountOut(allow_null=True, help_text="Of one whole account, else null.")
    days = DaysOut(allow_null=True, help_text="With `by=day`, else null.")
    parts = PartOut(many=True, allow_null=True, help_text="With `by=bot` or `by=model`, else null.")


class OfBotFilters(Filters):
    model = serializers.CharField(required=False, max_length=120, help_text="As in a group by model.")
    since = serializers.DateField(required=False, help_text="First day, in the account's time zone.")
    until = serializers.DateField(required=False, help_text="Day before which it ends.")
    by = serializers.ChoiceField(["day", "bot", "model"], required=False, help_text="Not given: only totals.")

    def validate(self, attrs: Told) -> Told:
        if "since" in attrs and "until" in attrs and attrs["until"] <= attrs["since"]:
            raise serializers.ValidationError({"until": ["This is not after `since`."]})
        return attrs


class OfAccountFilters(OfBotFilters):
    bot = RowId()


class PerformanceFilters(OfAccountFilters):
    account = RowId()


class Performances(Face):
    """What was earned: totals, and by day, bot or model where asked for."""

    def answer(self, filters: type[Filters], **below: int) -> Response:
        """Return what was earned, as the query asks and below an account or a bot."""
        asked = Asked(**{**query(filters, self.request), **below})
        seen = self.seen(PerformanceDay.objects.all()), self.seen(PerformanceState.objects.all())
        return Response(told(asked, performance_of(*seen, asked)))


class PerformanceView(Performances):
    """What was earned: totals, and by day, bot or model where asked for."""

    @extend_schema(parameters=[PerformanceFilters], responses={200: PerformanceOut})
    def get(self, request: Request) -> Response:
        return self.answer(PerformanceFilters)


class AccountPerformanceView(Performances):
    """What an account earned: totals, and by day, bot or model."""

    @extend_schema(parameters=[OfAccountFilters], responses={200: PerformanceOut}, operation_id="account_performance")
    def get(self, request: Request, account_id: int) -> Response:
        return self.answer(OfAccountFilters, account=self.account_id(account_id))


class BotPerformanceView(Performances):
    """What a bot earned: totals, and by day or model."""

    @extend_schema(parameters=[OfBotFilters], responses={200: PerformanceOut}, operation_id="bot_performance")
    def get(self, request: Request, bot_id: int) -> Response:
        return self.answer(OfBotFilters, account=self.account_of_bot(), bot=bot_id)


def told(asked: Asked, found: Performance) -> Told:
    """Return the answer. Written by hand: a serializer takes five times as long for a year of days."""
    return {
        "account": asked.account,
        "bot": asked.bot,
        "model": asked.model,
        "since": asked.since,
        "until": asked.until,
        "by": asked.by,
        "as_of": found.as_of,
        "total": _earned(found.total),
        "equity": _of_account(found.of_account) if found.of_account else None,
        "days": {"columns": COLUMNS, "points": list(map(_point, found.days))} if asked.by == "day" else None,
        "parts": list(map(_part, found.parts)) if asked.by in ("bot", "model") else None,
    }


def _earned(one: Earned) -> Told:
    low, high = one.hit_rate_interval or (None, None)
    return {
        "net": _text(one.net),
        "gross": _text(one.sums.realised),
        "fees": _text(one.sums.fees),
        "funding": _text(one.sums.funding),
        "model_cost": _text(one.sums.cost),
        "net_after_cost": _text(one.net_after_cost),
        "opened": one.sums.opened,
        "trades": one.sums.closed,
        "won": one.sums.won,
        "hit_rate": one.hit_rate,
        "hit_rate_low": low,
        "hit_rate_high": high,
        "profit_factor": one.profit_factor,
        "expectancy": None if one.expectancy is None else _text(one.expectancy.quantize(Decimal("1e-8"))),
        "turnover": _text(one.sums.turnover),
        "fills": one.sums.fills,
        "model_calls": one.sums.calls,
        "tokens": one.sums.tokens,
        "decisions": one.sums.decisions,
    }


def _part(part: Part) -> Told:
    return {**_earned(part.earned), "bot": part.bot, "model": part.model}


def _of_account(one: OfAccount) -> Told:
    return {
        "start": _text(one.first),
        "end": _text(one.last),
        "transfers": _text(one.transfers),
        "max_drawdown": one.max_drawdown,
        "return": one.earned,
    }


def _point(day: Day) -> list[Any]:
    money = map(_text, (day.net, day.realised, day.fees, day.funding, day.cost))
    equity = None if day.equity_last is None else _text(day.equity_last)
    return [day.day.isoformat(), *money, day.closed, day.won, _text(day.turnover), equity]


def _text(amount: Decimal) -> str:
    """Return an amount as `Amount` does: without trailing zeros, and never a negative zero."""
    return f"{amount.normalize():f}" if amount else "0"
