"""A start makes what is missing, finds again what is there, and makes nothing when it cannot make all."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.hashers import check_password
from django.utils import timezone

from accounts.models import Account, AuditEntry, Bot, Incident, RiskLimits, User
from decisions.models import Cycle
from marketdata.models import Feed
from trading.services import schedule
from vibex import bootstrap
from vibex.bootstrap import OPERATOR, Market, books_prepare, demo_prepare, market_prepare
from vibex.lib.errors import Rejected, Retryable

pytestmark = pytest.mark.django_db
FIRST = datetime(2025, 9, 1, tzinfo=UTC)


def recording(folder: Path, *symbols: str, hours: int = 400) -> Path:
    """Write a folder of hourly candles that rise slowly."""
    folder.mkdir()
    for symbol in symbols:
        lines = ["ts_ms,open,high,low,close,volume"]
        for hour in range(hours):
            at, price = FIRST + timedelta(hours=hour), 100 + hour / 10
            lines.append(
                f"{int(at.timestamp() * 1000)},{price:.1f},{price + 1:.1f},{price - 1:.1f},{price + 0.5:.1f},9"
            )
        (folder / f"{symbol}-1h.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return recording(tmp_path / "candles", "BTCUSDT", "XRPUSDT")


@pytest.fixture
def simulated() -> Market:
    """A simulated market without its history, which takes seconds to make."""
    now = timezone.now()
    feed = Feed.objects.create(venue="sim", kind=Feed.Kind.SIMULATED, market_at=now, heartbeat=now, running=True)
    return Market(feed, ("BTCUSDT", "ETHUSDT"), "1m")


def test_the_first_start_makes_operator_account_limits_and_a_running_bot(simulated: Market) -> None:
    demo = demo_prepare(simulated)
    assert (demo.operator, demo.bot.status) == (OPERATOR, Bot.Status.RUNNING)
    assert (demo.bot.symbols, demo.bot.interval) == (["BTCUSDT", "ETHUSDT"], "3m")
    assert demo.bot.account.name == "paper"
    assert demo.bot.account.mode == Account.Mode.PAPER
    assert RiskLimits.objects.get().account == demo.bot.account
    operator = User.objects.get()
    assert operator.is_staff
    assert demo.password is not None
    assert check_password(demo.password, operator.password)


def test_the_password_is_in_no_record_and_in_no_repr(simulated: Market) -> None:
    demo = demo_prepare(simulated)
    assert demo.password is not None
    assert demo.password not in repr(demo)
    assert demo.password not in str(list(AuditEntry.objects.values()))


def test_the_next_start_finds_everything_again(simulated: Market) -> None:
    first = demo_prepare(simulated)
    again = demo_prepare(simulated)
    assert (again.bot, again.password) == (first.bot, None)
    assert User.objects.count() == Account.objects.count() == Bot.objects.count() == 1


def test_a_bot_that_the_operator_stopped_stays_stopped(simulated: Market) -> None:
    bot = demo_prepare(simulated).bot
    schedule.bot_stop(bot=bot, actor=None)
    demo_prepare(simulated)
    assert Bot.objects.get().status == Bot.Status.STOPPED


def test_an_operator_with_another_address_stays_the_owner(simulated: Market) -> None:
    demo_prepare(simulated)
    User.objects.update(email="me@example.com")
    assert demo_prepare(simulated).operator == "me@example.com"
    assert User.objects.count() == 1


def test_nothing_is_made_when_the_bot_cannot_be_made(simulated: Market, settings: Any) -> None:
    settings.OPENROUTER_API_KEY, settings.LLM_MODEL = "a-key", None
    with pytest.raises(Rejected, match="LLM_MODEL"):
        demo_prepare(simulated)
    assert not User.objects.exists()
    assert not Account.objects.exists()


def test_a_recording_is_traded_no_faster_than_it_has_candles(folder: Path) -> None:
    market = market_prepare(folder, None)
    assert (market.base, market.feed.speed) == ("1h", 60.0)
    assert market.symbols == ("BTCUSDT",)  # ASSETS are BTC, ETH and SOL
    demo = demo_prepare(market)
    assert (demo.bot.interval, demo.bot.timeframes) == ("1h", ["1h", "4h"])
    assert demo.bot.account.name == "replay"


def test_both_markets_belong_to_the_same_operator(simulated: Market, folder: Path) -> None:
    demo_prepare(simulated)
    demo = demo_prepare(market_prepare(folder, None))
    assert (demo.operator, demo.password) == (OPERATOR, None)
    assert set(Account.objects.values_list("name", flat=True)) == {"paper", "replay"}
    assert User.objects.count() == 1


def test_the_other_market_stands_still(simulated: Market, folder: Path) -> None:
    market_prepare(folder, None)
    assert dict(Feed.objects.values_list("venue", "running")) == {"sim": False, "recorded": True}


def test_a_process_of_pages_only_moves_no_market(simulated: Market, folder: Path) -> None:
    market = market_prepare(folder, None, run=False)
    assert market.base == "1h"
    assert dict(Feed.objects.values_list("venue", "running")) == {"sim": True, "recorded": False}


def test_a_replay_whose_process_was_killed_goes_on_where_it_was_written_last(folder: Path) -> None:
    market_prepare(folder, 60.0)
    began = timezone.now() - timedelta(hours=6)
    Feed.objects.update(
        wall_at=began, heartbeat=began + timedelta(hours=1), market_at=FIRST + timedelta(days=12), running=True
    )
    went_on = market_prepare(folder, None).feed
    assert went_on.market_at == FIRST + timedelta(days=12) + timedelta(hours=60)


def test_a_known_replay_keeps_its_speed_until_told_otherwise(folder: Path) -> None:
    market_prepare(folder, 600.0)
    assert market_prepare(folder, None).feed.speed == 600
    assert market_prepare(folder, 30.0).feed.speed == 30


def test_the_market_is_described_plainly(simulated: Market, folder: Path) -> None:
    assert simulated.description == "simulated, prices are made up; no real money"
    recorded = market_prepare(folder, None).description
    assert recorded == f"recorded candles of {folder} at 60 times the speed of the clock; no real money"


def test_a_recording_without_our_symbols_names_those_it_has(tmp_path: Path) -> None:
    folder = recording(tmp_path / "other", "XRPUSDT", "DOGEUSDT")
    with pytest.raises(Rejected, match="only of DOGEUSDT, XRPUSDT: set ASSETS"):
        market_prepare(folder, None)
    assert not Feed.objects.exists()


def test_another_recording_needs_another_data_folder(folder: Path, tmp_path: Path) -> None:
    market_prepare(folder, None)
    with pytest.raises(Rejected, match="must not mix"):
        market_prepare(recording(tmp_path / "other", "BTCUSDT"), None)


def test_a_hurried_simulation_never_jumps_back_to_the_clock(simulated: Market) -> None:
    ahead = timezone.now() + timedelta(days=2)
    Feed.objects.update(speed=10.0, market_at=ahead, running=False)
    with pytest.raises(Rejected, match="ahead of the clock"):
        market_prepare(None, 1.0)
    assert Feed.objects.get().market_at == ahead


def test_cycles_of_a_dead_process_are_abandoned_and_their_accounts_compared(
    simulated: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot = demo_prepare(simulated).bot
    later = timezone.now() + timedelta(minutes=1)
    cycle = Cycle.objects.create(bot=bot, account=bot.account, scheduled_for=FIRST, lease_until=later)
    compared: list[Any] = []
    monkeypatch.setattr(bootstrap, "account_reconcile", lambda **asked: compared.append(asked))
    books_prepare()
    cycle.refresh_from_db()
    assert cycle.status == Cycle.Status.ABANDONED
    assert compared == [{"account_id": bot.account_id, "trigger": "start"}]


@pytest.mark.parametrize("fault", [Retryable("the exchange is away"), RuntimeError("a bug")])
def test_an_account_that_cannot_be_compared_holds_up_nobody_and_is_an_incident(
    simulated: Market, folder: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    first, second = demo_prepare(simulated).bot, demo_prepare(market_prepare(folder, None)).bot
    Feed.objects.update(running=True)
    compared: list[int] = []

    def reconcile(*, account_id: int, trigger: str) -> None:
        compared.append(account_id)
        if account_id == first.account_id:
            raise fault

    monkeypatch.setattr(bootstrap, "account_reconcile", reconcile)
    books_prepare()
    assert compared == [first.account_id, second.account_id]
    assert Incident.objects.get().account == first.account
