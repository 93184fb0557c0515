"""Both layouts tell the same: the compact one in half of the tokens, and nothing that a decision needs is lost."""

import json
import math
import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decisions.domain.figures import decimals_of
from decisions.domain.layouts import ARENA, COMPACT, LAYOUTS
from decisions.domain.money import tokens_in
from decisions.domain.portfolio import Role, WorkingOrder
from decisions.domain.prompt import build_prompt, template_parts
from decisions.domain.proposal import Side
from decisions.domain.question import Asking, Feedback
from decisions.services import SEEDS
from decisions.tests.builders import AT, BTC, ETH, position, question, timeframe, view
from decisions.tests.recorded_prompts import recorded
from vibex.lib.errors import Rejected

SEED = (SEEDS / "arena.txt").read_text(encoding="utf-8")
RISING = {"ema20": 4150.0, "ema50": 4100.0, "macd": -3.2, "adx14": 30.0, "rsi14": 55.0, "atr14": 40.0}


def in_layout(asked, layout):
    return replace(asked, bot=replace(asked.bot, asking=Asking(layout=layout)))


def moving(spec, level: float, *, swing: float = 0.01):
    """A view whose series all move, each in its own way, around a price level."""
    tick = spec.tick_size
    last = Decimal(str(level)).quantize(tick)
    frames = {}
    for place, interval in enumerate(("1h", "4h")):
        frame = timeframe(spec.symbol, interval, {})
        wave = np.sin(np.arange(30) + place)
        frame.candles.close[:] = level * (1 + swing * wave)
        frame.candles.volume[:] = 1000 * (2 + wave)
        for name in ("ema20", "ema50"):
            frame.indicators[name][:] = level * (1 + swing * wave / 2)
        for name in ("macd", "atr3", "atr14"):
            frame.indicators[name][:] = level * swing * wave / 3
        for name in ("rsi7", "rsi14", "adx14"):
            frame.indicators[name][:] = 50 + 40 * wave
        frame.indicators["volume_average"][:] = 1500 + 10 * wave
        frames[interval] = frame
    given = view(spec, last=last)
    quote = replace(given.quote, open_interest=Decimal("123456.7"))
    return replace(given, quote=quote, timeframes=frames)


# -- the constant part ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_constant_part_is_the_same_byte_for_byte_from_call_to_call(layout):
    now = in_layout(question(moving(BTC, 112_000.0), moving(ETH, 4_200.0)), layout)
    later = replace(
        now,
        decision_id="another",
        invocation=48,
        next_decision_at=AT + timedelta(hours=2),
        snapshot=replace(
            now.snapshot,
            at=AT + timedelta(hours=1),
            symbols={"BTCUSDT": moving(BTC, 99_000.0), "ETHUSDT": replace(view(ETH), problem="stale")},
        ),
        portfolio=replace(now.portfolio, unrealised=Decimal(75), positions=(position(),)),
        feedback=(Feedback(AT, "BTCUSDT", "buy_to_enter", "refused", ("a: b",)),),
        barred=("locked",),
    )
    first, second = build_prompt(now, SEED), build_prompt(later, SEED)
    assert first.system == second.system
    assert first.user != second.user
    assert second.user.endswith('decision_id: "another"')


def test_each_layout_explains_itself_in_the_constant_part():
    arena, compact = (build_prompt(in_layout(question(), name), SEED).system for name in ("arena", "compact"))
    assert ARENA.legend in arena
    assert COMPACT.legend in compact
    assert COMPACT.legend not in arena
    assert ARENA.legend not in compact


def test_a_template_from_before_there_were_layouts_is_told_how_to_read_the_rows_of_the_compact_one():
    old = SEED.replace("$legend", ARENA.legend).replace("$outside\n\n", "")
    template_parts(old)
    assert build_prompt(in_layout(question(), "compact"), old).system.count(COMPACT.legend) == 1
    arena = build_prompt(question(), old)
    assert (arena.system, arena.user) == (build_prompt(question(), SEED).system, build_prompt(question(), SEED).user)


def test_a_layout_that_does_not_exist_is_refused_and_none_takes_its_place():
    with pytest.raises(Rejected, match="arena, compact") as refusal:
        build_prompt(in_layout(question(), "tiny"), SEED)
    assert refusal.value.code == "unknown_layout"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_series_run_from_the_oldest_to_the_newest_and_end_with_the_newest_closed_candle(layout):
    given = moving(ETH, 4_200.0)
    text = build_prompt(in_layout(question(given), layout), SEED).user
    pattern = r"Closes \(USDT\): \[(.*)\]" if layout == "arena" else r"^c (.*)$"
    shown = [float(value) for value in re.split(r",? ", re.search(pattern, text, re.MULTILINE)[1])]
    assert shown == pytest.approx(list(given.timeframes["1h"].candles.close[-10:]), abs=0.05)
    assert shown[-1] == pytest.approx(given.timeframes["1h"].candles.close[-1], abs=0.05)


# -- what the compact layout says, read back -----------------------------------------------------------------------


class Reader:
    """Reads the compact text by what its legend says, line by line; what is not explained there is a failure."""

    def __init__(self, asked):
        self.asked = asked
        prompt = build_prompt(in_layout(asked, "compact"), SEED)
        parts = re.split(r"^## .*\n", prompt.user, flags=re.MULTILINE)
        self.slow, self.fast, self.account = (part.strip().splitlines() for part in parts[1:4])
        self.read = 0

    def check(self) -> int:
        """Compare every number with the question. Return how many there were."""
        self._slow()
        self._fast()
        self._account()
        return self.read

    def _views(self):
        return [self.asked.snapshot.symbols[symbol] for symbol in self.asked.bot.symbols]

    def _slow(self):
        lines = iter(self.slow)
        assert next(lines) == "### 4h candles"
        for one in self._views():
            frame, tick = one.timeframes["4h"], one.instrument.tick_size
            symbol, *shown = next(lines).split(" ")
            assert symbol == one.symbol
            names = ("ema20", "ema50", "atr3", "atr14", "volume", "volume_average", "adx14")
            assert len(shown) == len(names)
            for name, text in zip(names, shown, strict=True):
                value = frame.candles.volume[-1] if name == "volume" else frame.indicators[name][-1]
                self._near(text, value, tolerance(name, value, tick))
            self._row(next(lines), "m", frame.indicators["macd"], "macd", tick)
            self._row(next(lines), "r14", frame.indicators["rsi14"], "rsi", tick)
        assert list(lines) == []

    def _fast(self):
        lines = iter(self.fast)
        assert next(lines) == "### Quotes"
        for one in self._views():
            symbol, last, bid, ask, mark, spread, funding, settles, interest = next(lines).split(" ")
            quote = one.quote
            assert symbol == one.symbol
            assert [Decimal(text) for text in (last, bid, ask, mark)] == [quote.last, quote.bid, quote.ask, quote.mark]
            self.read += 4
            middle = (quote.bid + quote.ask) / 2
            self._near(spread, float((quote.ask - quote.bid) / middle * 10_000), 0.005)
            self._near(funding, float(quote.funding_rate * 10_000), 0.0005)
            assert settles == "4h00m"
            self._near(interest, float(quote.open_interest), 0.5 + 5e-4 * float(quote.open_interest))
        assert next(lines) == ""
        assert next(lines) == "### 1h candles"
        for one in self._views():
            frame, tick = one.timeframes["1h"], one.instrument.tick_size
            assert next(lines) == one.symbol
            self._row(next(lines), "c", frame.candles.close, "price", tick)
            self._row(next(lines), "e", frame.indicators["ema20"], "price", tick)
            self._row(next(lines), "m", frame.indicators["macd"], "macd", tick)
            self._row(next(lines), "r7", frame.indicators["rsi7"], "rsi", tick)
            self._row(next(lines), "r14", frame.indicators["rsi14"], "rsi", tick)
        assert list(lines) == []

    def _account(self):
        portfolio = self.asked.portfolio
        money, count, *held = self.account
        shown = re.findall(r"-?\d+(?:\.\d+)?", money)
        value = [portfolio.equity / portfolio.starting_balance * 100 - 100, portfolio.equity, portfolio.margin]
        for text, number in zip(shown, [*value, portfolio.available], strict=True):
            self._near(text, float(number), 0.005 + 5e-6 * abs(float(number)))
        positions = portfolio.positions
        assert count.startswith(f"positions {len(positions)} of {self.asked.limits.max_positions}")
        for one, line in zip(positions, held, strict=True):
            self._position(one, line)

    def _position(self, one, line):
        (
            symbol,
            side,
            quantity,
            leverage,
            entry,
            mark,
            liquidation,
            notional,
            gain,
            stop,
            target,
            risk,
            sure,
            age,
            plan,
        ) = line.split(" ", 14)
        tick = self.asked.snapshot.symbols[one.symbol].instrument.tick_size
        assert (symbol, side, int(leverage)) == (one.symbol, one.side.value, one.leverage)
        assert Decimal(quantity) == one.quantity
        for text, price in ((entry, one.entry_price), (mark, one.mark_price), (liquidation, one.liquidation_price)):
            self._near(text, float(price), float(tick) / 2)
        for text, price in ((stop, one.stop), (target, one.target)):
            assert (text == "-") if price is None else (Decimal(text) == price)
        for text, amount in ((notional, one.notional), (gain, one.unrealised), (risk, one.risk_usd)):
            self._near(text, float(amount), 0.005 + 5e-6 * abs(float(amount)))
        self._near(sure, one.confidence, 0.005)
        assert age == "5h00m"
        assert json.loads(plan) == one.plan
        self.read += 6

    def _row(self, line, label, values, kind, tick):
        name, *shown = line.split(" ")
        newest = [float(value) for value in values[-10:]]
        assert (name, len(shown)) == (label, 10)
        largest = max(abs(value) for value in newest)
        for text, value in zip(shown, newest, strict=True):
            self._near(text, value, tolerance(kind, largest if kind == "macd" else value, tick))

    def _near(self, text, value, allowed):
        assert math.isclose(float(text), value, rel_tol=1e-9, abs_tol=allowed + 1e-12), (text, value, allowed)
        self.read += 1


def tolerance(kind: str, value: float, tick: Decimal) -> float:
    """Return by how much a shown number may differ: half a tick or half of its last digit, whichever is more."""
    if kind in ("price", "ema20", "ema50"):
        return float(tick) / 2 + 5e-5 * abs(value)
    if kind in ("macd", "atr3", "atr14"):
        return float(tick) / 200 + 5e-3 * abs(value)
    return 0.5 if kind in ("rsi", "adx14") else 5e-4 * abs(value)


@settings(max_examples=60)
@given(
    levels=st.tuples(st.floats(0.001, 200_000), st.floats(0.001, 200_000)),
    ticks=st.tuples(*[st.sampled_from(["0.00001", "0.0001", "0.01", "0.1", "1"])] * 2),
    swing=st.floats(0.0001, 0.2),
    gain=st.decimals(-9_000, 90_000, places=2),
    side=st.sampled_from(list(Side)),
    unprotected=st.booleans(),
)
def test_every_number_of_the_compact_text_is_that_of_the_snapshot(levels, ticks, swing, gain, side, unprotected):
    specs = [replace(spec, tick_size=Decimal(tick)) for spec, tick in zip((BTC, ETH), ticks, strict=True)]
    views = [
        moving(spec, max(level, 20 * float(spec.tick_size)), swing=swing)
        for spec, level in zip(specs, levels, strict=True)
    ]
    mark, tick = views[1].quote.mark, specs[1].tick_size
    held = position(
        side=side,
        entry_price=mark,
        mark_price=mark,
        liquidation_price=mark,
        unrealised=gain,
        stop=None if unprotected else mark - tick,
        target=None if unprotected else mark + tick,
        risk_usd=abs(gain),
        confidence=0.65,
        plan='4h close below "EMA50"',
    )
    asked = question(*views, positions=(held,))
    asked = replace(asked, portfolio=replace(asked.portfolio, unrealised=gain, margin=abs(gain)))
    assert Reader(asked).check() == 2 * (7 + 20) + 2 * (4 + 3 + 50) + 4 + (3 + 3 + 1 + 6)


def test_what_the_arena_layout_tells_of_resting_orders_bars_and_symbols_without_data_the_compact_one_tells_as_well():
    rest = WorkingOrder("BTCUSDT", "x", None, "BUY", "LIMIT", Decimal("0.5"), price=Decimal(100_000))
    asked = question(view(BTC), view(ETH, problem="the quote is 90 s old"))
    asked = replace(
        asked,
        portfolio=replace(asked.portfolio, orders=(rest, replace(rest, role=Role.STOP))),
        bot=replace(asked.bot, symbols=("BTCUSDT", "ETHUSDT", "SOLUSDT"), capital=Decimal(5000)),
        barred=("streak.losing: 4 losses",),
    )
    for layout in LAYOUTS:
        text = build_prompt(in_layout(asked, layout), SEED).user
        assert text.count("resting order: BTCUSDT BUY LIMIT 0.5") == 1
        assert 'Entries are barred now: "streak.losing: 4 losses"' in text
        assert 'no usable data: "the quote is 90 s old"; only hold or close_position' in text
        assert 'no usable data: "the market does not know it"' in text
        assert "capital, which bounds your sizing" in text
        assert "ETHUSDT, 4h" not in text


def test_missing_values_are_not_available_in_the_compact_layout_either():
    bare = view(ETH, dict.fromkeys(RISING, math.nan))
    bare = replace(bare, quote=replace(bare.quote, funding_rate=None, open_interest=None))
    for frames in ({}, {"4h": bare.timeframes["4h"]}, {"1h": replace(bare.timeframes["1h"], indicators={})}):
        text = build_prompt(in_layout(question(replace(bare, timeframes=frames)), "compact"), SEED).user
        assert "n/a" in text
        assert "nan" not in text.lower()
        assert "None" not in text


def test_prices_of_cheap_and_dear_coins_have_the_digits_that_mean_something():
    doge = replace(ETH, base="DOGE", tick_size=Decimal("0.00001"))
    text = build_prompt(in_layout(question(moving(BTC, 112_000.0), moving(doge, 0.2)), "compact"), SEED).user
    rows = re.findall(r"^c (.*)$", text, re.MULTILINE)
    assert all("." not in value for value in rows[0].split(" "))
    assert max(len(value) for value in rows[1].split(" ")) == len("0.20012")
    assert decimals_of(doge.tick_size) == 5


# -- the recorded prompts ------------------------------------------------------------------------------------------


def test_the_recorded_prompts_are_at_least_45_percent_shorter_in_the_compact_layout_by_the_estimate(shared_data):
    rows = recorded(shared_data)
    assert len(rows) == 77
    for row in rows[::7]:
        original = tokens_in(row.text)
        arena, compact = (tokens_in(build_prompt(row.in_layout(name), SEED).user) for name in ("arena", "compact"))
        assert compact <= 0.55 * arena
        assert compact <= 0.55 * original
        assert arena < original


def test_a_recorded_prompt_told_anew_holds_its_data(shared_data):
    """Every price, average and RSI of the text that was sent, as far as the layout's digits go."""
    row = recorded(shared_data)[0]
    text = build_prompt(row.in_layout("arena"), SEED).user
    shown = {float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", text)}
    wanted = [number for line in re.findall(r"\[([^\]]+)\]", row.text) for number in line.split(", ")]
    assert len(wanted) == 6 * 7 * 10
    assert all(min(abs(float(number) - one) for one in shown) <= 0.06 for number in wanted)
    assert len(row.question.portfolio.positions) == 6
    assert sum(one.stop is None for one in row.question.portfolio.positions) == 2
