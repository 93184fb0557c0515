"""Backtests over stored candles, as jobs of their own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access.acts import Act
from accounts.access.jobs import job_answer, job_of
from accounts.access.views import Face
from accounts.domain.limits import DEFAULTS, LEVERAGE_CEILING
from marketdata.domain.intervals import INTERVAL_MS
from marketdata.models import Feed
from vibex.lib.api import given
from vibex.lib.api.inputs import Exact, Form
from vibex.lib.api.query import Moment
from vibex.lib.errors import Rejected

if TYPE_CHECKING:
    Out = serializers.Serializer[Any]
else:
    Out = serializers.Serializer

MOST_SYMBOLS: Final = 20
MOST_CYCLES: Final = 200_000
EARLIEST: Final = datetime(2010, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)
SYMBOL: Final = r"^[A-Z0-9]{2,30}\Z"


class BacktestIn(Form):
    """What is tested: rules over a window of stored candles, [from, to)."""

    symbols = serializers.ListField(
        child=serializers.RegexField(SYMBOL), min_length=1, max_length=MOST_SYMBOLS, help_text="BTCUSDT, …"
    )
    venue = serializers.CharField(
        max_length=20, required=False, help_text="Market whose stored candles are taken; without it the only one."
    )
    interval = serializers.ChoiceField(list(INTERVAL_MS), default="1h", help_text="How often it decides.")
    timeframes = serializers.ListField(
        child=serializers.ChoiceField(list(INTERVAL_MS)),
        min_length=1,
        max_length=8,
        required=False,
        help_text="What it sees; without it the interval and the next ones.",
    )
    decider = serializers.CharField(
        default="rules/trend", max_length=120, help_text="rules/<strategy>, or rules/<strategy>:<number>=<value>,…"
    )
    capital = Exact(default=Decimal(10_000), min_value=Decimal(1), max_value=Decimal(10**12))
    max_leverage = serializers.IntegerField(required=False, min_value=1, max_value=LEVERAGE_CEILING)
    max_stop = Exact(
        required=False,
        min_value=DEFAULTS.min_stop_distance,
        max_value=Decimal("0.99"),
        help_text="Farthest stop as a share of the price.",
    )
    approval = serializers.BooleanField(default=False, help_text="As a bot that asks first, approved at once.")

    def get_fields(self) -> dict[str, Any]:
        """Add the two names that Python has words for."""
        window = {
            "from": Moment(required=True, help_text="Included."),
            "to": Moment(required=True, help_text="Not included."),
        }
        return super().get_fields() | window

    def validate_symbols(self, symbols: list[str]) -> list[str]:
        if len(set(symbols)) != len(symbols):
            raise serializers.ValidationError("Name each once.")
        return symbols

    def validate_decider(self, decider: str) -> str:
        from decisions.deciders.rules import strategy_of

        prefix, _, name = decider.partition("/")
        if prefix != "rules":
            raise serializers.ValidationError("Name rules/<strategy>: models are asked by `manage.py backtest` alone.")
        try:
            strategy_of(name)
        except Rejected as fault:
            raise serializers.ValidationError(str(fault)) from None
        return decider

    def validate(self, told: dict[str, Any]) -> dict[str, Any]:
        markets = list(Feed.objects.order_by("venue").values_list("venue", flat=True))
        if "venue" not in told and len(markets) == 1:
            told["venue"] = markets[0]
        if told.get("venue") not in markets:
            raise serializers.ValidationError({"venue": [f"There is {', '.join(markets) or 'none'}."]})
        if told["from"] < EARLIEST or told["to"] > LATEST:
            raise serializers.ValidationError({"from": [f"Between {EARLIEST:%F} and {LATEST:%F}."]})
        if told["from"] >= told["to"]:
            raise serializers.ValidationError({"to": ["It has to be later than from."]})
        length = INTERVAL_MS[told["interval"]] / 1000
        if (told["to"] - told["from"]).total_seconds() / length > MOST_CYCLES:
            raise serializers.ValidationError({"to": [f"That is more than {MOST_CYCLES:,} decisions."]})
        return told


class BacktestEquityOut(Out):
    start = serializers.CharField()
    end = serializers.CharField()
    max_drawdown = serializers.CharField()

    def get_fields(self) -> dict[str, Any]:
        return super().get_fields() | {"return": serializers.CharField(help_text="A fraction.")}


class BacktestOut(Out):
    """The report, as `manage.py backtest --json` prints it; long series are thinned. Amounts as text, in quote units."""

    plan = serializers.DictField()
    market = serializers.CharField()
    equity = BacktestEquityOut()
    totals = serializers.DictField(child=serializers.CharField())
    counts = serializers.DictField()
    rulings = serializers.DictField()
    trades = serializers.ListField(child=serializers.DictField())
    open = serializers.ListField(child=serializers.DictField())
    incidents = serializers.ListField(child=serializers.CharField())
    notes = serializers.ListField(child=serializers.CharField())
    series = serializers.ListField(
        child=serializers.ListField(child=serializers.CharField()), help_text="[time, equity], oldest first."
    )


BacktestJob = job_of(BacktestOut, "BacktestJob")


class BacktestView(Face):
    """A test of rules over stored candles."""

    acts: ClassVar = {"post": Act.OWN}

    @extend_schema(request=BacktestIn, responses={200: BacktestJob, 202: BacktestJob})
    def post(self, request: Request) -> Response:
        """Run it beside the server, one at a time for each person. `DELETE` on the job breaks it off."""
        from trading.services.backtest.job import KIND, backtest_refuse_second, backtest_work

        arguments = list(_arguments(given(BacktestIn, request)))
        asked = {"arguments": arguments}
        backtest_refuse_second(owner=self.person, asked=asked)
        return job_answer(request, kind=KIND, asked=asked, work=partial(backtest_work, arguments=arguments))


def _arguments(told: dict[str, Any]) -> Iterator[str]:
    """Yield what the command takes."""
    yield from (f"--venue={told['venue']}", f"--symbols={','.join(told['symbols'])}")
    yield from (f"--{name}={told[name].astimezone(UTC).isoformat()}" for name in ("from", "to"))
    yield from (f"--interval={told['interval']}", f"--decider={told['decider']}", f"--capital={told['capital']:f}")
    if "timeframes" in told:
        yield f"--timeframes={','.join(dict.fromkeys(told['timeframes']))}"
    if "max_leverage" in told:
        yield f"--max-leverage={told['max_leverage']}"
    if "max_stop" in told:
        yield f"--max-stop={told['max_stop']:f}"
    if told["approval"]:
        yield "--approval"
