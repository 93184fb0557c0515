"""The asking half of a live feed, over HTTP against the test exchange: what is missing is fetched, and nothing twice."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import stamina
import time_machine
from django.utils import timezone

from accounts.models import Account, Bot, User
from marketdata import selectors
from marketdata.aster.http import AsterHttp
from marketdata.aster.public import AsterPublic
from marketdata.gaps import missing_spans
from marketdata.models import (
    Candle,
    CandleCorrection,
    Feed,
    FundingRate,
    Instrument,
    OpenInterest,
    QuarantinedCandle,
    Ticker,
    VenueBudget,
)
from marketdata.services.budget import DatabaseBudget
from marketdata.services.follow import feed_live_put
from marketdata.services.keeper import AGAIN_BARS, Keeper
from marketdata.venues.public import Purpose
from trading.exchange_server.build import simulated_markets
from trading.exchange_server.server import Served, serve_in_thread
from vibex.lib.clock import Deadline, from_ms, to_ms

pytestmark = [pytest.mark.django_db, pytest.mark.ci]
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


@pytest.fixture
def venue(settings, monkeypatch) -> Iterator[Served]:
    """Serve three symbols, of which the installation wants two, a day of each."""
    settings.ASSETS = ("BTC", "ETH")
    monkeypatch.setattr(selectors, "SHORTEST_WARM_UP", DAY)
    markets = simulated_markets(["BTCUSDT", "ETHUSDT", "SOLUSDT"], history_days=3)
    with stamina.set_testing(True, attempts=2, cap=True), serve_in_thread(markets) as served:
        yield served


@pytest.fixture
def keeper(venue: Served) -> Iterator[Keeper]:
    host = venue.http.removeprefix("http://")
    with AsterHttp(venue.http, DatabaseBudget(host), Purpose.FEED) as http:
        port = AsterPublic(http)
        feed_live_put(venue="aster", source=port.source)
        yield Keeper(port, "1m")


@pytest.fixture
def full(keeper: Keeper) -> Keeper:
    """A keeper that has caught up."""
    keeper.contracts()
    keeper.catch_up()
    return keeper


def asked(venue: Served, path: str) -> list[dict[str, object]]:
    return [request for request in venue.control.log() if path in str(request["path"])]


def soon(keeper: Keeper, *names: str) -> None:
    """Let these jobs be due now, and no others."""
    keeper._due = {name: 0.0 if name in names else 1e12 for name, *_ in keeper._jobs()}
    keeper.round()


def once_more(keeper: Keeper, *names: str) -> None:
    """Let these jobs be done again, each by itself: on a busy machine a question may not have been answered in time."""
    keeper._rests.clear()
    for name in names:
        soon(keeper, name)


def test_from_nothing_it_fetches_all_that_a_cycle_needs(full: Keeper, venue: Served) -> None:
    assert set(Instrument.objects.filter(followed=True).values_list("symbol", flat=True)) == {"BTCUSDT", "ETHUSDT"}
    now = timezone.now()
    for symbol in ("BTCUSDT", "ETHUSDT"):
        assert missing_spans("aster", symbol, "1m", since=now - DAY, until=now - 2 * MINUTE) == []
        assert FundingRate.objects.filter(symbol=symbol, settled=True, at__lte=now).count() >= 3
        expected = FundingRate.objects.get(symbol=symbol, settled=False)
        assert now < expected.at <= now + timedelta(hours=8)
    assert {row.symbol for row in Ticker.objects.all()} == {"BTCUSDT", "ETHUSDT"}
    feed = Feed.objects.get()
    assert feed.clock_offset is not None
    assert abs(feed.clock_offset) < 1.0
    assert VenueBudget.objects.get().used > 0


def test_catching_up_again_asks_for_no_candle(full: Keeper, venue: Served) -> None:
    venue.control.log(clear=True)
    full.catch_up()
    assert len(asked(venue, "klines")) <= 2  # a minute may have ended meanwhile


def test_a_hole_is_found_and_filled(full: Keeper, venue: Served) -> None:
    newest = Candle.objects.filter(symbol="BTCUSDT", closed=True).latest("open_time").open_time
    gone = Candle.objects.filter(
        symbol="BTCUSDT", open_time__in=[newest - 4 * MINUTE, newest - 5 * MINUTE, newest - 300 * MINUTE]
    )
    before = {row.open_time: (row.open, row.high, row.low, row.close, row.volume) for row in gone}
    assert len(before) == 3
    gone.delete()
    soon(full, "recent")
    soon(full, "repair")
    rows = Candle.objects.filter(symbol="BTCUSDT", open_time__in=before)
    if rows.count() < len(before):
        once_more(full, "recent", "repair")
    assert {row.open_time: (row.open, row.high, row.low, row.close, row.volume) for row in rows} == before


def test_the_newest_candle_is_asked_for_when_no_stream_brings_it(full: Keeper, venue: Served) -> None:
    Candle.objects.filter(open_time__gte=timezone.now() - 4 * MINUTE).delete()
    soon(full, "newest")
    rows = Candle.objects.filter(symbol="ETHUSDT", open_time__gte=timezone.now() - 4 * MINUTE)
    assert rows.filter(closed=True).count() >= 2
    assert rows.filter(closed=False).exists()


@pytest.mark.parametrize("ahead", [-12, 12])
def test_what_has_closed_is_for_the_venue_s_clock_to_say(full: Keeper, venue: Served, ahead: int) -> None:
    venue.control.step(60 - venue.control.now().second + (20 if ahead > 0 else 50))
    offset = (venue.control.now() - timezone.now()).total_seconds()
    full._ahead = timedelta(seconds=offset)
    with time_machine.travel(timezone.now() + timedelta(seconds=offset + ahead), tick=True):
        soon(full, "clock")
        assert full._ahead.total_seconds() == pytest.approx(-ahead, abs=1)
        soon(full, "newest")
    at = to_ms(venue.control.now()) // 60_000 * 60_000
    assert not Candle.objects.filter(open_time__gte=from_ms(at), closed=True).exists()
    assert Candle.objects.filter(open_time=from_ms(at - 60_000), closed=True).exists()


def test_with_a_stream_the_forming_candle_is_left_to_it(full: Keeper) -> None:
    Candle.objects.filter(open_time__gte=timezone.now() - 4 * MINUTE).delete()
    full.streaming = lambda: True
    soon(full, "newest")
    rows = Candle.objects.filter(symbol="ETHUSDT", open_time__gte=timezone.now() - 4 * MINUTE)
    assert rows.exists()
    assert not rows.filter(closed=False).exists()


def test_an_impossible_candle_is_put_aside_and_asked_for_again(full: Keeper, venue: Served) -> None:
    Candle.objects.filter(open_time__gte=timezone.now() - 3 * MINUTE).delete()
    venue.control.fault("corrupt", path="*klines", count=1)
    soon(full, "newest")
    assert QuarantinedCandle.objects.filter(mended=None).count() == 1
    broken = QuarantinedCandle.objects.get()
    assert not Candle.objects.filter(symbol=broken.symbol, open_time=broken.open_time, closed=True).exists()
    venue.control.clear()
    soon(full, "broken")
    for _ in range(20):  # one that ended a moment ago is taken for ended, and so for mended, when the grace is over
        if QuarantinedCandle.objects.get().mended is None:
            time.sleep(0.5)
            once_more(full, "broken")
    assert QuarantinedCandle.objects.get().mended is not None
    assert Candle.objects.filter(symbol=broken.symbol, open_time=broken.open_time, closed=True).exists()


def test_an_impossible_candle_of_an_hour_ago_is_asked_for_again(full: Keeper) -> None:
    """A venue that was away for long while its last word was wrong: nobody waits for the next look at everything."""
    candle = Candle.objects.filter(symbol="BTCUSDT", closed=True).order_by("-open_time")[60]
    key = {"venue": "aster", "symbol": "BTCUSDT", "interval": "1m", "open_time": candle.open_time}
    aside = QuarantinedCandle.objects.create(**key, values={}, reason="high below low", seen=timezone.now())
    candle.delete()
    soon(full, "broken")
    aside.refresh_from_db()
    assert aside.mended
    assert Candle.objects.filter(**key, closed=True).exists()


def test_what_the_venue_corrects_is_corrected_and_recorded(full: Keeper) -> None:
    at = Candle.objects.filter(symbol="BTCUSDT", closed=True).latest("open_time").open_time - 20 * MINUTE
    row = Candle.objects.get(symbol="BTCUSDT", open_time=at)
    Candle.objects.filter(symbol="BTCUSDT", open_time=at).update(high=row.high + 7)
    soon(full, "whole", "again")
    assert Candle.objects.get(symbol="BTCUSDT", open_time=at).high == row.high
    correction = CandleCorrection.objects.get()
    assert (correction.symbol, correction.open_time) == ("BTCUSDT", at)
    assert at > timezone.now() - AGAIN_BARS * MINUTE


def test_prices_are_asked_for_only_when_nobody_has_confirmed_them(full: Keeper, venue: Served) -> None:
    venue.control.log(clear=True)
    soon(full, "prices")
    assert asked(venue, "bookTicker") == []
    Ticker.objects.filter(symbol="ETHUSDT").update(at=timezone.now() - timedelta(seconds=20))
    soon(full, "prices")
    assert len(asked(venue, "bookTicker")) == 1
    assert Ticker.objects.get(symbol="ETHUSDT").at > timezone.now() - timedelta(seconds=5)


def test_open_interest_is_kept_and_its_absence_is_no_fault(full: Keeper, venue: Served) -> None:
    soon(full, "interest")
    assert OpenInterest.objects.count() == 2
    venue.control.fault("404", path="*openInterest")
    Ticker.objects.update(open_interest_at=timezone.now() - timedelta(minutes=5))
    soon(full, "interest")
    assert full.fault == ""
    assert Ticker.objects.get(symbol="BTCUSDT").open_interest is None


def test_a_settlement_replaces_what_was_expected(full: Keeper) -> None:
    settled = FundingRate.objects.filter(symbol="BTCUSDT", settled=True).latest("at")
    FundingRate.objects.filter(pk=settled.pk).update(settled=False, rate=Decimal("0.5"))
    soon(full, "settled")
    again = FundingRate.objects.get(symbol="BTCUSDT", at=settled.at)
    assert (again.settled, again.rate) == (True, settled.rate)


def next_hour() -> datetime:
    return timezone.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)


def test_a_changed_funding_interval_moves_what_is_expected(full: Keeper, venue: Served) -> None:
    before = next_hour()
    venue.control.set_funding_hours("BTCUSDT", 1)
    Ticker.objects.update(at=timezone.now() - timedelta(seconds=20))
    soon(full, "prices")
    soon(full, "expected")
    expected = FundingRate.objects.filter(symbol="BTCUSDT", settled=False, at__gt=before - MINUTE)
    assert {row.at for row in expected} <= {before, next_hour()}
    assert expected.exists()


def test_a_busy_venue_is_left_alone_and_the_other_jobs_go_on(full: Keeper, venue: Served) -> None:
    venue.control.fault("429-empty", path="*time", count=1)
    soon(full, "clock")
    assert "429" in full.fault
    blocked = VenueBudget.objects.get().blocked_until
    assert blocked is not None
    assert blocked > timezone.now()
    venue.control.log(clear=True)
    Ticker.objects.update(at=timezone.now() - timedelta(seconds=20))
    soon(full, "prices")
    assert asked(venue, "bookTicker") == []  # everybody on this address waits


def test_one_endpoint_that_fails_does_not_stop_the_others(full: Keeper, venue: Served) -> None:
    venue.control.fault("503", path="*time")
    Ticker.objects.update(at=timezone.now() - timedelta(seconds=20))
    full.heard_at = None
    soon(full, "clock", "prices")
    assert full.heard_at is not None
    assert Ticker.objects.earliest("at").at > timezone.now() - timedelta(seconds=5)


def test_what_a_bot_names_is_followed_within_a_round(full: Keeper) -> None:
    owner = User.objects.create_user(email="o@example.com", password="a long enough one")
    account = Account.objects.create(owner=owner, name="a", venue="aster", starting_balance=1000)
    Bot.objects.create(account=account, name="b", model="rules/hold", symbols=["SOLUSDT"], timeframes=["3m"])
    soon(full, "follow")
    assert Instrument.objects.get(symbol="SOLUSDT").followed
    soon(full, "repair")
    assert Candle.objects.filter(symbol="SOLUSDT", closed=True).count() > 1_400


@pytest.fixture
def gone(full: Keeper, venue: Served) -> Keeper:
    """A keeper that follows a contract which the venue knows no more, the first by name."""
    Instrument.objects.filter(symbol="SOLUSDT").update(symbol="AAAUSDT", followed=True, status="CLOSE")
    venue.control.log(clear=True)
    return full


def test_a_followed_contract_that_was_delisted_hinders_no_start(gone: Keeper) -> None:
    Candle.objects.filter(symbol="ETHUSDT").delete()
    gone.catch_up()
    assert Candle.objects.filter(symbol="ETHUSDT", closed=True).count() > 1_400


def test_a_start_asks_nothing_after_its_deadline(full: Keeper, venue: Served) -> None:
    FundingRate.objects.all().delete()
    Candle.objects.all().delete()
    Ticker.objects.all().delete()
    venue.control.log(clear=True)
    full.catch_up(deadline=Deadline(0))
    assert venue.control.log() == []


def test_a_delisted_contract_takes_nothing_from_the_others(gone: Keeper, venue: Served) -> None:
    newest = Candle.objects.filter(symbol="ETHUSDT", closed=True).latest("open_time")
    Candle.objects.filter(pk=newest.pk).update(high=newest.high + 7)
    FundingRate.objects.filter(symbol="ETHUSDT").delete()
    Candle.objects.filter(symbol="BTCUSDT", open_time=newest.open_time).delete()
    soon(gone, "settled", "newest", "whole", "again")
    assert FundingRate.objects.filter(symbol="ETHUSDT", settled=True).exists()
    assert Candle.objects.filter(symbol="BTCUSDT", open_time=newest.open_time, closed=True).exists()
    assert Candle.objects.get(symbol="ETHUSDT", open_time=newest.open_time).high == newest.high
    venue.control.log(clear=True)
    gone._due |= dict.fromkeys(("settled", "newest", "again"), 0.0)
    gone.round()
    assert [request for request in venue.control.log() if "AAAUSDT" in str(request["query"])] == []


def test_prices_that_are_not_to_be_had_are_asked_for_less_often(gone: Keeper, venue: Served) -> None:
    for _ in range(5):
        soon(gone, "prices")
    assert len([request for request in asked(venue, "bookTicker") if "AAAUSDT" in str(request["query"])]) == 1
    assert Ticker.objects.count() == 2


def test_open_interest_comes_round_to_everybody(full: Keeper, monkeypatch) -> None:
    monkeypatch.setattr("marketdata.services.keeper.INTEREST_AT_ONCE", 1)
    soon(full, "interest")
    full._due["interest"] = 0.0
    full.round()
    assert Ticker.objects.filter(open_interest__isnull=False).count() == 2


def test_candles_that_do_not_come_hold_up_no_prices(full: Keeper, venue: Served) -> None:
    Candle.objects.filter(symbol="BTCUSDT", open_time__lt=timezone.now() - 30 * MINUTE).delete()
    full.look_back()
    soon(full, "whole")
    venue.control.log(clear=True)
    venue.control.fault("503", path="*klines")
    soon(full, "repair")
    assert len(asked(venue, "klines")) <= 2  # as often as the client of a test tries, and not again around that


def test_a_clock_that_is_set_is_allowed_for_at_once(full: Keeper, venue: Served) -> None:
    venue.control.fault("503", path="*time")  # even when the venue cannot be asked for its own
    real = timezone.now()
    with time_machine.travel(real + timedelta(seconds=30), tick=True):
        soon(full, "newest")
        assert abs((full._now() - real).total_seconds()) < 5
        assert not Candle.objects.filter(open_time__gte=real - MINUTE, closed=True).exists()


def test_a_clock_that_is_told_too_slowly_is_not_believed(full: Keeper, monkeypatch) -> None:
    def slowly() -> datetime:
        travel.shift(timedelta(seconds=8))
        return timezone.now()

    checked = Feed.objects.get().clock_checked
    with time_machine.travel(timezone.now(), tick=False) as travel:
        monkeypatch.setattr(full.port, "server_time", slowly)
        soon(full, "clock")
    assert "too long to tell its time" in full.fault
    assert abs(full._ahead.total_seconds()) < 1
    assert Feed.objects.get().clock_checked == checked


def test_a_contract_that_is_listed_no_more_is_closed_and_kept(full: Keeper) -> None:
    Instrument.objects.filter(symbol="SOLUSDT").update(symbol="GONEUSDT")
    full.contracts()
    assert Instrument.objects.get(symbol="GONEUSDT").status == "CLOSE"
    assert Instrument.objects.get(symbol="SOLUSDT").status == "TRADING"


def test_the_time_of_candles_is_the_venue_s(full: Keeper, venue: Served) -> None:
    since = to_ms(timezone.now() - timedelta(hours=2)) // 60_000 * 60_000
    truth = venue.control.closed("BTCUSDT", "1m", since_ms=since, until_ms=since + 60 * 60_000)
    rows = Candle.objects.filter(
        symbol="BTCUSDT", open_time__gte=from_ms(since), open_time__lt=from_ms(since + 60 * 60_000)
    ).order_by("open_time")
    assert [row.close for row in rows] == truth.close.tolist()
    assert datetime.now(UTC) > rows[0].open_time
