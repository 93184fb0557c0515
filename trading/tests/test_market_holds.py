"""Data that are missing, stale, forming or broken: the bot holds, says why, and no model is asked or paid."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from decisions.deciders import rules
from decisions.domain.proposal import Action, Proposal
from decisions.models import Cycle, Decision, DiaryEntry, Interaction
from decisions.services import prompt_template_install
from decisions.tests.llm_server import ModelServer, model_server, sends
from marketdata import database_market
from marketdata.domain.candles import Candles, interval_ms
from marketdata.models import Candle, Feed, Snapshot
from marketdata.services import candles_upsert, instruments_upsert, snapshots, ticker_put
from marketdata.stored import SeriesStore
from marketdata.tests.build import recording, walk
from marketdata.tests.stored import prices
from trading.models import Order, PaperOrder, Position
from trading.services.live import cycle_run
from trading.tests.builders import make_account, make_bot
from vibex.lib.clock import from_ms

pytestmark = pytest.mark.django_db(transaction=True)
VENUE = "recorded"
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
COUNT = 1000
BUY = Proposal("BTCUSDT", Action.BUY, Decimal("0.02"), 2, justification="it rises")


class Market:
    """Minute candles of one symbol up to now, live, with fresh prices, until the test spoils something."""

    def __init__(self) -> None:
        self.now = from_ms(int(datetime.now(UTC).timestamp()) // 60 * 60_000)
        self.candles = walk(COUNT, "1m", start=self.now - COUNT * MINUTE)
        wall = datetime.now(UTC)
        self.feed = {"running": True, "heartbeat": wall, "clock_offset": 0.1, "clock_checked": wall}
        last = Decimal(str(self.candles.close[-1]))
        self.quote = prices(
            wall,
            last=last,
            bid=last - 5,
            ask=last + 5,
            mark=last,
            next_funding_at=wall + 60 * MINUTE,
            funding_rate=Decimal("0.0001"),
            mark_at=wall,
            funding_at=wall,
        )
        instruments_upsert(specs=[recording(self.candles).spec])

    def write(self) -> None:
        Feed.objects.update_or_create(
            venue=VENUE, defaults={"kind": "live", "market_at": self.now, "interval": "1m", **self.feed}
        )
        candles_upsert(venue=VENUE, candles=self.candles, closed=True)
        ticker_put(venue=VENUE, quotes=[self.quote])


@pytest.fixture
def market(monkeypatch) -> Market:
    monkeypatch.setattr(database_market, "STORE", SeriesStore())
    monkeypatch.setattr(snapshots, "STORED", snapshots.Remembered())
    prompt_template_install()
    return Market()


@pytest.fixture
def model(settings) -> Iterator[ModelServer]:
    with model_server(sends(b"{}")) as server:
        settings.LLM_BASE_URL, settings.LLM_API_KEY = server.url, "of-a-test"
        yield server


def without_last(candles: Candles, *back: int) -> Candles:
    keep = np.isin(np.arange(len(candles)), [len(candles) - place for place in back], invert=True)
    columns = (candles.open_time, candles.open, candles.high, candles.low, candles.close, candles.volume)
    return Candles(candles.symbol, candles.interval, *(column[keep] for column in columns))


def stale(market: Market) -> None:
    market.quote = replace(market.quote, at=market.quote.at - 45 * SECOND)


def frozen(market: Market) -> None:
    market.quote = replace(market.quote, changed_at=market.quote.at - 20 * MINUTE)


def old_mark(market: Market) -> None:
    market.quote = replace(market.quote, mark_at=market.quote.at - 60 * SECOND)


def crossed(market: Market) -> None:
    market.quote = replace(market.quote, bid=market.quote.ask, ask=market.quote.bid)


def apart(market: Market) -> None:
    market.quote = replace(market.quote, mark=market.quote.last * Decimal("1.02"))


def another_market(market: Market) -> None:
    third = {name: getattr(market.quote, name) / 3 for name in ("last", "bid", "ask", "mark")}
    market.quote = replace(market.quote, **{name: round(value, 1) for name, value in third.items()})


def zero(market: Market) -> None:
    market.quote = replace(market.quote, mark=Decimal(0))


def silent(market: Market) -> None:
    market.feed["heartbeat"] = market.feed["heartbeat"] - 45 * SECOND


def stopped(market: Market) -> None:
    market.feed["running"] = False


def wrong_clock(market: Market) -> None:
    market.feed["clock_offset"] = -7.5


def missing_candle(market: Market) -> None:
    market.candles = without_last(market.candles, 2)


def no_number(market: Market) -> None:
    close = market.candles.close.copy()
    close[-2] = np.nan
    market.candles = replace(market.candles, close=close)


def old_candles(market: Market) -> None:
    market.candles = without_last(market.candles, 1, 2, 3, 4)


SPOILT = {
    stale: ("price.old", r"the last price is 4\d s old"),
    frozen: ("book.frozen", "neither bid nor ask has moved for 20 min"),
    old_mark: ("mark.old", r"the mark price is 6\d s old"),
    crossed: ("price.crossed", "crossed prices"),
    apart: ("price.apart", "more than 1 % apart"),
    another_market: ("candle.apart", "more than 5 % apart"),
    zero: ("price.none", "there is no price"),
    silent: ("feed.silent", r"the feed of recorded has written nothing for 4\d s"),
    stopped: ("feed.stopped", "the feed of recorded is not running"),
    wrong_clock: ("clock.wrong", "timedatectl set-ntp true"),
    missing_candle: ("candle.missing", "a 1m candle is missing among the last 3"),
    no_number: ("candle.missing", "a value is not a finite number"),
    old_candles: ("candle.old", "the last 1m candle closed"),
}


def run_model_bot(market: Market, **fields: object):
    bot = make_bot(account=make_account(venue=VENUE), model="openrouter/test/model", timeframes=["3m", "15m"], **fields)
    return bot, cycle_run(bot_id=bot.pk, scheduled_for=market.now)


@pytest.mark.parametrize(("spoil", "reason"), SPOILT.items(), ids=[spoil.__name__ for spoil in SPOILT])
def test_promise_5_garbage_in_no_trade_data_that_cannot_be_relied_on_hold_with_their_reason_and_no_model_is_asked(
    market, model, spoil, reason
):
    spoil(market)
    market.write()
    _, run = run_model_bot(market)
    code, text = reason
    assert run.status == "done"
    assert "every symbol holds because of its market data" in run.text
    assert model.requests == []
    assert not Interaction.objects.exists()
    assert not Order.objects.exists()
    line = DiaryEntry.objects.get(kind="hold", symbol="BTCUSDT")
    assert line.text.startswith("BTCUSDT held: ")
    assert line.data["code"] == code
    assert re.search(text, line.text), line.text


def test_a_sound_market_is_put_to_the_model(market, model):
    market.write()
    _, run = run_model_bot(market)
    assert run.status == "done"
    assert len(model.requests) >= 1
    assert Cycle.objects.get().seen["BTCUSDT"]["problem"] is None


def test_forming_candles_alone_are_no_candles(market, model):
    market.write()
    Candle.objects.update(closed=False)
    run_model_bot(market)
    assert model.requests == []
    assert "no closed 1m candle" in DiaryEntry.objects.get(symbol="BTCUSDT").text


def test_what_was_seen_of_a_symbol_that_held_is_on_record(market, model):
    stale(market)
    market.write()
    run_model_bot(market)
    cycle = Cycle.objects.get()
    assert "s old" in cycle.seen["BTCUSDT"]["problem"]
    stored = Snapshot.objects.get(symbol="BTCUSDT", digest=cycle.seen["BTCUSDT"]["digest"])
    assert stored.values["quote"]["last"] == f"{market.quote.last}"
    assert set(stored.values["timeframes"]) == {"3m", "15m"}


def stop() -> None:
    """Let the feed end, so that every symbol holds."""
    Feed.objects.update(running=False)


def scripted(monkeypatch, *proposals: Proposal) -> None:
    monkeypatch.setattr(rules, "RULES", {**rules.RULES, "scripted": lambda question: proposals})


def sized(market: Market) -> Proposal:
    last = market.quote.last
    return replace(BUY, stop_loss=round(last * Decimal("0.97"), 1), profit_target=round(last * Decimal("1.06"), 1))


def test_a_symbol_with_sound_data_is_decided_on_beside_one_that_holds(market, model):
    """The model is asked, and the symbol that holds has its line all the same."""
    instruments_upsert(specs=[recording(walk(1, "1m", symbol="ETHUSDT")).spec])
    market.write()
    run_model_bot(market, symbols=["BTCUSDT", "ETHUSDT"])
    assert len(model.requests) >= 1
    assert DiaryEntry.objects.get(kind="hold", symbol="ETHUSDT").text == "ETHUSDT held: no closed 1m candle."
    assert not DiaryEntry.objects.filter(kind="hold", symbol="BTCUSDT").exists()


def test_an_entry_that_is_refused_for_its_data_has_one_line_not_two(market, monkeypatch):
    """Something is open, so the rules are asked; what they want to add is refused for the one reason."""
    scripted(monkeypatch, sized(market))
    market.write()
    bot = make_bot(account=make_account(venue=VENUE), model="rules/scripted", timeframes=["3m", "15m"])
    assert cycle_run(bot_id=bot.pk, scheduled_for=market.now).status == "done"
    assert Position.objects.get().quantity > 0
    stop()
    cycle_run(bot_id=bot.pk, scheduled_for=market.now + interval_ms("3m") * timedelta(milliseconds=1))
    last = Cycle.objects.order_by("-scheduled_for").first()
    assert Decision.objects.get(cycle=last).verdict == "refused"
    (line,) = DiaryEntry.objects.filter(cycle=last, symbol="BTCUSDT").exclude(kind="trade")
    assert (line.kind, line.data["code"]) == ("hold", "feed.stopped")
    assert "Buy was asked for: it rises" in line.text


def test_promise_3_nothing_refuses_a_close_not_even_a_market_that_stands(market, monkeypatch):
    scripted(monkeypatch, sized(market))
    market.write()
    bot = make_bot(account=make_account(venue=VENUE), model="rules/scripted", timeframes=["3m", "15m"])
    cycle_run(bot_id=bot.pk, scheduled_for=market.now)
    scripted(monkeypatch, Proposal("BTCUSDT", Action.CLOSE, justification="out"))
    stop()
    cycle_run(bot_id=bot.pk, scheduled_for=market.now + 3 * MINUTE)
    assert Position.objects.get().closed is not None
    kinds = list(DiaryEntry.objects.filter(cycle__scheduled_for=market.now + 3 * MINUTE).values_list("kind", flat=True))
    assert {"hold", "decision", "trade"} <= set(kinds), "the symbol's data, the close, and the deed"


def test_a_model_is_asked_while_something_is_open_so_that_it_can_close(market, model, monkeypatch):
    scripted(monkeypatch, sized(market))
    market.write()
    bot = make_bot(account=make_account(venue=VENUE), model="rules/scripted", timeframes=["3m", "15m"])
    cycle_run(bot_id=bot.pk, scheduled_for=market.now)
    assert PaperOrder.objects.exists()
    type(bot).objects.update(model="openrouter/test/model")
    stop()
    cycle_run(bot_id=bot.pk, scheduled_for=market.now + 3 * MINUTE)
    assert len(model.requests) >= 1
