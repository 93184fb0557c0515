"""What became of entries is counted from stored candles: of all kinds, once, and never with what came before."""

from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Account, Bot, User
from decisions.domain.afterwards import FOLLOWED
from decisions.domain.proposal import Action
from decisions.models import Afterwards, Cycle, Decision, Interaction
from decisions.services.afterwards import afterwards_count
from marketdata.domain.candles import Candles
from marketdata.models import Feed
from marketdata.services import candles_upsert, instruments_upsert
from marketdata.tests.build import START, recording, walk
from vibex.lib.clock import to_ms

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)
AT = START + timedelta(hours=1, seconds=20)
NEXT = START + timedelta(hours=1, minutes=1)
CALM = (100.0, 101.0, 99.0, 100.0)
STOPS = (100.0, 100.5, 97.0, 98.5)
WINS = (100.0, 104.5, 99.5, 104.0)


@pytest.fixture
def feed():
    instruments_upsert(specs=[recording(walk(10)).spec])
    now = NEXT + timedelta(hours=1)
    return Feed.objects.create(venue="recorded", kind="recorded", market_at=now, wall_at=now, interval="1m")


@pytest.fixture
def cycle(feed):
    owner = User.objects.create_user("someone@example.com", "a password that is long")
    account = Account.objects.create(owner=owner, name="paper", venue="recorded")
    bot = Bot.objects.create(account=account, name="first", symbols=["BTCUSDT"], timeframes=["3m"])
    return Cycle.objects.create(
        bot=bot, account=account, scheduled_for=AT, lease_until=timezone.now(), seen={"BTCUSDT": {"price": "100"}}
    )


def candles(*rows, first=NEXT, symbol="BTCUSDT"):
    """Store candles of one minute each."""
    times = np.array([to_ms(first + n * MINUTE) for n in range(len(rows))], dtype=np.int64)
    values = np.array(rows, dtype=np.float64).T.copy()
    series = Candles(symbol, "1m", times, *values, np.ones(len(rows)))
    candles_upsert(venue="recorded", candles=series, closed=True)


def decision(cycle, kind=Decision.Kind.LIVE, *, interaction=None, **changes):
    given = {
        "symbol": "BTCUSDT",
        "action": Action.BUY.value,
        "asked_quantity": Decimal(2),
        "stop_loss": Decimal(98),
        "profit_target": Decimal(104),
        "verdict": "refused",
        "at": AT,
    }
    sequence = Decision.objects.count()
    return Decision.objects.create(
        cycle=cycle, bot=cycle.bot, kind=kind, interaction=interaction, sequence=sequence, **(given | changes)
    )


def test_entries_of_every_kind_and_verdict_are_followed_and_nothing_else(cycle):
    followed = [decision(cycle, kind) for kind in Decision.Kind]
    followed.append(decision(cycle, verdict="accepted", action=Action.SELL.value, stop_loss=102, profit_target=96))
    decision(cycle, action=Action.HOLD.value)
    decision(cycle, action=Action.CLOSE.value)
    candles(CALM, WINS)
    assert afterwards_count() == 4
    assert set(Afterwards.objects.values_list("decision", flat=True)) == {row.pk for row in followed}


def test_a_target_is_counted_with_its_numbers(cycle):
    decision(cycle)
    candles(CALM, WINS, STOPS)
    afterwards_count()
    row = Afterwards.objects.get()
    fee = (Decimal(100) + Decimal(104)) * 2 * Decimal("0.0004")
    assert (row.end, row.entry_price, row.exit_price) == ("target", Decimal(100), Decimal(104))
    assert row.until == NEXT + 2 * MINUTE
    assert row.net == 8 - fee
    assert (row.multiple, row.best, row.worst) == (2.0, 2.0, -0.5)


def test_what_is_open_is_looked_at_again_until_it_ends_and_then_left_alone(cycle):
    decision(cycle)
    candles(CALM)
    afterwards_count()
    first = Afterwards.objects.get()
    assert (first.end, first.until) == ("open", NEXT + MINUTE)
    assert afterwards_count() == 0, "nothing new was there to look at"
    candles(STOPS, first=NEXT + MINUTE)
    assert afterwards_count() == 1
    ended = Afterwards.objects.get()
    assert (ended.pk, ended.end, ended.multiple) == (first.pk, "stop", -1.0)
    candles(WINS, first=NEXT + 2 * MINUTE)
    assert afterwards_count() == 0
    assert Afterwards.objects.values().get() == {
        field.attname: getattr(ended, field.attname) for field in ended._meta.fields
    }


def test_no_prompt_reply_or_world_of_a_cycle_is_read_for_it(cycle):
    asked = Interaction.objects.create(bot=cycle.bot, cycle=cycle, outcome="answered", latency_ms=10)
    decision(cycle, interaction=asked)
    candles(CALM, WINS)
    with CaptureQueriesContext(connection) as asking:
        assert afterwards_count() == 1
    read = " ".join(query["sql"] for query in asking)
    assert '"seen"' in read
    for long in ("system_prompt", "user_prompt", "reply", "reasoning", "kept", "timings"):
        assert f'"{long}' not in read, long


def test_the_candle_in_which_the_reply_came_does_not_count(cycle):
    decision(cycle)
    candles(STOPS, CALM, first=NEXT - MINUTE)
    afterwards_count()
    assert Afterwards.objects.get().end == "open"


def test_a_slow_reply_is_followed_from_its_own_time(cycle):
    asked = Interaction.objects.create(bot=cycle.bot, cycle=cycle, outcome="answered", latency_ms=45_000)
    decision(cycle, Decision.Kind.SHADOW, interaction=asked)
    candles(STOPS, CALM)
    afterwards_count()
    assert (Afterwards.objects.get().end, Afterwards.objects.get().until) == ("open", NEXT + 2 * MINUTE)


def test_a_candle_that_is_not_closed_does_not_count(cycle):
    decision(cycle)
    series = Candles("BTCUSDT", "1m", np.array([to_ms(NEXT)], dtype=np.int64), *(np.array([p]) for p in (*STOPS, 1.0)))
    candles_upsert(venue="recorded", candles=series, closed=False)
    assert afterwards_count() == 0


BAD = {
    "stop on the wrong side": {"stop_loss": Decimal(101)},
    "no stop": {"stop_loss": None},
    "no quantity": {"asked_quantity": None},
    "target on the wrong side": {"profit_target": Decimal(99)},
    "another symbol": {"symbol": "ETHUSDT"},
    "long ago": {"at": AT - FOLLOWED - timedelta(days=2)},
    "not yet": {"at": AT + timedelta(days=1)},
}


@pytest.mark.parametrize("changes", BAD.values(), ids=BAD)
def test_what_cannot_be_followed_has_no_row_and_holds_up_nothing(cycle, changes):
    decision(cycle, **changes)
    decision(cycle, Decision.Kind.VOTE)
    candles(STOPS)
    assert afterwards_count() == 1
    assert Afterwards.objects.get().decision.kind == "vote"


def test_following_stops_after_seven_days(cycle, feed):
    row = decision(cycle)
    candles(CALM)
    candles(CALM, STOPS, first=START + timedelta(hours=1) + FOLLOWED)
    Feed.objects.update(market_at=row.at + FOLLOWED + timedelta(hours=1))
    afterwards_count()
    assert (Afterwards.objects.get().end, Afterwards.objects.get().until) == ("open", NEXT + MINUTE)


def test_another_market_is_another_matter(cycle, feed):
    decision(cycle)
    series = Candles("BTCUSDT", "1m", np.array([to_ms(NEXT)], dtype=np.int64), *(np.array([p]) for p in (*STOPS, 1.0)))
    candles_upsert(venue="elsewhere", candles=series, closed=True)
    assert afterwards_count() == 0


def test_the_statements_do_not_grow_with_the_decisions(cycle, django_assert_max_num_queries):
    for _ in range(40):
        decision(cycle)
    candles(CALM, CALM)
    with django_assert_max_num_queries(12):
        assert afterwards_count() == 40
