"""What results are worth: figures with their proof, beside baselines, and where they came from.

An address of its own: what `performance/` tells is summed and answers in milliseconds, this is computed and answers in tenths
of a second; who asks for sums does not wait for a bootstrap, and neither answer changes its shape by a parameter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access.views import Face
from accounts.models import Account
from accounts.selectors import accounts_of
from trading.api.judged_told import BY, told
from trading.api.performance import Told
from trading.selectors.judged.all import judged_all
from trading.selectors.judged.subject import Asked, subject_of, with_bots
from trading.selectors.judged.trials import MOST
from vibex.lib.api import Amount, Filters
from vibex.lib.api.query import RowId, query

if TYPE_CHECKING:
    Out = serializers.Serializer[Any]
else:
    Out = serializers.Serializer

STATES: Final = ("clean", "contaminated", "unknown")


class SpreadOut(Out):
    """A figure with its bootstrap interval."""

    value = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()
    above_zero = serializers.FloatField(help_text="Share of the draws above 0.")
    draws = serializers.IntegerField()
    block = serializers.FloatField(help_text="Mean length of the blocks that are drawn, in days.")


class JudgedOfOut(Out):
    """Who is judged."""

    kind = serializers.ChoiceField(["account", "bot", "model"])
    key = serializers.CharField(help_text="As on the page: `/performance/?of=<key>`.")
    name = serializers.CharField()
    market = serializers.CharField()
    accounts = serializers.ListField(child=serializers.IntegerField())
    bots = serializers.ListField(child=serializers.IntegerField())
    model = serializers.CharField(help_text="Empty where no model is judged.")


class JudgedDaysOut(Out):
    """The days that are judged: whole ones, in the time zone of the account."""

    first = serializers.DateField(allow_null=True)
    last = serializers.DateField(allow_null=True)
    count = serializers.IntegerField()
    missing = serializers.IntegerField(help_text="Days in between of which no equity is known.")
    of_equity = serializers.BooleanField(help_text="Whether returns are those of equity; else of booked results.")
    basis = serializers.CharField(help_text="The same in words.")


class BookedOut(Out):
    """What the days come to. Money in the quote asset, the cost of models in US dollars."""

    net = Amount()
    gross = Amount(help_text="Realised result before fees and funding.")
    fees = Amount()
    funding = Amount()
    model_cost = Amount()
    net_after_cost = Amount()
    turnover = Amount()
    trades = serializers.IntegerField()
    won = serializers.IntegerField()


class FiguresOut(Out):
    """Figures of the series of days; a share is a fraction, a ratio is of a year of 365 days. `missing` says why one is null."""

    periods = serializers.IntegerField()
    cagr = serializers.FloatField(allow_null=True)
    volatility = serializers.FloatField(allow_null=True)
    sharpe = serializers.FloatField(allow_null=True)
    sortino = serializers.FloatField(allow_null=True)
    calmar = serializers.FloatField(allow_null=True)
    downside_risk = serializers.FloatField(allow_null=True)
    omega = serializers.FloatField(allow_null=True)
    tail_ratio = serializers.FloatField(allow_null=True)
    stability = serializers.FloatField(allow_null=True)
    max_drawdown = serializers.FloatField(allow_null=True)
    under_water = serializers.FloatField(allow_null=True)
    longest_under_water = serializers.IntegerField(help_text="Days.")
    turnover = serializers.FloatField(allow_null=True, help_text="Value of all fills ÷ mean equity.")
    exposure = serializers.FloatField(allow_null=True)
    time_in_market = serializers.FloatField(allow_null=True)
    missing = serializers.DictField(child=serializers.CharField())
    convention = serializers.CharField()

    def get_fields(self) -> dict[str, Any]:
        return {**super().get_fields(), "return": serializers.FloatField(allow_null=True)}


class ProofOut(Out):
    """What the Sharpe ratio proves."""

    error = serializers.FloatField(help_text="Standard error of the ratio of a year.")
    psr = serializers.FloatField(help_text="Probability that the true ratio is above 0.")
    dsr = serializers.FloatField(help_text="The same with the trials counted.")
    by_chance = serializers.FloatField(help_text="Ratio that the best of so many trials without skill would show.")
    needed = serializers.IntegerField(allow_null=True, help_text="Days still needed; null: no number would prove it.")


class TrialsOut(Out):
    number = serializers.IntegerField()
    counted = serializers.IntegerField(help_text="Different settings, by the audit log.")
    words = serializers.CharField()


class RepeatsOut(Out):
    """The same bot on other accounts, over the days that all have; null where there is no repeat."""

    bots = serializers.ListField(child=serializers.IntegerField())
    days = serializers.IntegerField()
    returns = serializers.ListField(child=serializers.FloatField())
    mean = serializers.FloatField(allow_null=True)
    error = serializers.FloatField(allow_null=True, help_text="Standard error of the mean.")


class StampOut(Out):
    state = serializers.ChoiceField(STATES)
    words = serializers.CharField()


class BaselineOut(Out):
    """A baseline over the same days, on closes of the market."""

    name = serializers.CharField()
    words = serializers.CharField()
    max_drawdown = serializers.FloatField()
    sharpe = serializers.FloatField(allow_null=True)
    above = SpreadOut(allow_null=True, help_text="Return above it, paired by day; null below 30 days.")
    verdict = serializers.CharField()

    def get_fields(self) -> dict[str, Any]:
        return {**super().get_fields(), "return": serializers.FloatField()}


class RandomOut(Out):
    draws = serializers.IntegerField()
    above = serializers.FloatField(help_text="Share of the draws that the result is above.")


class AttributionLineOut(Out):
    """A group of closed trades."""

    key = serializers.CharField()
    trades = serializers.IntegerField()
    won = serializers.IntegerField()
    gross = Amount()
    fees = Amount()
    funding = Amount()
    model_cost = Amount()
    net_after_cost = Amount()
    share = serializers.FloatField(allow_null=True, help_text="Of the net of all.")


class AttributionOut(Out):
    by = serializers.ChoiceField(list(BY))
    lines = AttributionLineOut(many=True)
    total = AttributionLineOut()


class BucketOut(Out):
    low = serializers.FloatField()
    high = serializers.FloatField()
    stated = serializers.FloatField()
    trades = serializers.IntegerField()
    won = serializers.IntegerField()
    verdict = serializers.CharField()


class CalibrationOut(Out):
    brier = serializers.FloatField(allow_null=True)
    of_hit_rate = serializers.FloatField(allow_null=True, help_text="Brier score of the hit rate itself.")
    buckets = BucketOut(many=True)


class RegimeOut(Out):
    regime = serializers.ChoiceField(["up", "down", "sideways", "unknown"])
    days = serializers.IntegerField()
    sharpe = serializers.FloatField(allow_null=True)
    max_drawdown = serializers.FloatField()
    trades = serializers.IntegerField()
    won = serializers.IntegerField()

    def get_fields(self) -> dict[str, Any]:
        return {**super().get_fields(), "return": serializers.FloatField()}


class StageOut(Out):
    name = serializers.CharField()
    count = serializers.IntegerField()
    ended = serializers.DictField(child=serializers.IntegerField(), help_text="Why the others did not come through.")


class JudgedOut(Out):
    """What results are worth. Null is what nothing is known of: no day is over, no candle is stored."""

    of = JudgedOfOut()
    days = JudgedDaysOut()
    booked = BookedOut()
    figures = FiguresOut(allow_null=True)
    proof = ProofOut(allow_null=True)
    return_interval = SpreadOut(allow_null=True)
    sharpe_interval = SpreadOut(allow_null=True)
    trials = TrialsOut(allow_null=True)
    repeats = RepeatsOut(allow_null=True)
    stamp = StampOut(allow_null=True)
    baselines = BaselineOut(many=True, allow_null=True)
    random = RandomOut(allow_null=True)
    how = serializers.CharField(help_text="How baselines are computed.")
    trades_cut = serializers.BooleanField(help_text="Whether figures of trades are of the newest ones only.")
    attribution = AttributionOut(many=True)
    calibration = CalibrationOut(allow_null=True)
    regimes = RegimeOut(many=True)
    funnel = StageOut(many=True, help_text="Of the last 30 days at most.")


class JudgedDaysFilters(Filters):
    since = serializers.DateField(required=False, help_text="First day, in the account's time zone.")
    until = serializers.DateField(required=False, help_text="Day before which it ends.")
    by = serializers.ChoiceField(list(BY), required=False, help_text="Attribution by this only. Not given: by all.")
    trials = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=MOST,
        help_text="Settings that were tried, where they are more than counted.",
    )

    def validate(self, attrs: Told) -> Told:
        if "since" in attrs and "until" in attrs and attrs["until"] <= attrs["since"]:
            raise serializers.ValidationError({"until": ["This is not after `since`."]})
        return attrs


class JudgedFilters(JudgedDaysFilters):
    account = RowId()
    bot = RowId()
    model = serializers.CharField(required=False, max_length=120, help_text="Of one's own bots, as they are set.")
    market = serializers.CharField(required=False, max_length=40, help_text="Of a model: on which market.")

    def validate(self, attrs: Told) -> Told:
        attrs = super().validate(attrs)
        if sum(name in attrs for name in ("account", "bot", "model")) != 1:
            raise serializers.ValidationError({"account": ["Name an account, a bot or a model: one of them."]})
        if "market" in attrs and "model" not in attrs:
            raise serializers.ValidationError({"market": ["This goes with a model."]})
        return attrs


class Judges(Face):
    """What results are worth."""

    slow = True

    def answer(self, filters: type[Filters], **below: int) -> Response:
        """Return what results are worth, as the query asks and below an account or a bot; 404 for another's."""
        given = query(filters, self.request)
        by = given.pop("by", None)
        asked = Asked(**{**given, **below})
        subject = subject_of(with_bots(self._accounts_of(asked)), asked)
        if subject is None:
            raise Http404
        return Response(told(subject, judged_all(subject, asked, by=(BY[by],) if by else tuple(BY.values()))))

    def _accounts_of(self, asked: Asked) -> Any:
        """Return all accounts of the owner of what is asked for: they tell what was tried beside it."""
        if asked.account is None and asked.bot is None:
            return accounts_of(self.person)
        seen = self.seen(Account.objects.all(), "pk")
        named = seen.filter(pk=asked.account) if asked.account is not None else seen.filter(bots=asked.bot)
        return Account.objects.filter(owner__in=named.values("owner"))


class JudgedView(Judges):
    """What the results of an account, a bot or a model are worth."""

    @extend_schema(parameters=[JudgedFilters], responses={200: JudgedOut}, operation_id="performance_judged")
    def get(self, request: Request) -> Response:
        return self.answer(JudgedFilters)


class AccountJudgedView(Judges):
    """What the results of an account are worth."""

    @extend_schema(
        parameters=[JudgedDaysFilters], responses={200: JudgedOut}, operation_id="account_performance_judged"
    )
    def get(self, request: Request, account_id: int) -> Response:
        return self.answer(JudgedDaysFilters, account=self.account_id(account_id))


class BotJudgedView(Judges):
    """What the results of a bot are worth."""

    @extend_schema(parameters=[JudgedDaysFilters], responses={200: JudgedOut}, operation_id="bot_performance_judged")
    def get(self, request: Request, bot_id: int) -> Response:
        return self.answer(JudgedDaysFilters, account=self.account_of_bot(), bot=bot_id)
