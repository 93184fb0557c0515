"""What a cycle decided in comes back from its JSON as it was: every decimal, every time, and in a size that can be kept."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.domain.limits import DEFAULTS, Limits
from decisions.domain.kept import OF_QUESTION, Unkept, instruments_from, packed, question_from, unpacked
from decisions.domain.portfolio import Portfolio, PositionView, Role, WorkingOrder
from decisions.domain.proposal import Action, Proposal, Side
from decisions.domain.question import Asking, BotView, Feedback, Outside, Question
from decisions.tests.builders import AT, BTC, ETH, question, view
from marketdata.domain.instruments import Bracket
from marketdata.domain.snapshot import Depth, MarketSnapshot, Quote
from trading.domain.history import Ended, History
from trading.domain.risk import Standing
from trading.services.kept import REACH, cycle_kept, live_from, standing_from

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
decimals = st.decimals(allow_nan=False, allow_infinity=False)
moments = st.integers(0, 4 * 10**15).map(
    lambda micros: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
)
floats = st.none() | st.floats(0, 1)
maybe = st.none() | decimals
sides = st.sampled_from(Side)
names = st.lists(texts, max_size=3).map(tuple)

bots = st.builds(
    BotView,
    name=texts,
    model=texts,
    symbols=st.just(("BTCUSDT", "ETHUSDT")),
    interval=st.just("1h"),
    timeframes=st.just(("1h", "4h")),
    fallback_models=names,
    capital=maybe,
    prompt_template=texts,
    asking=st.builds(Asking, effort=texts, temperature=maybe, max_tokens=st.integers(1, 10**6), served=names),
)
positions = st.builds(
    PositionView,
    symbol=texts,
    side=sides,
    quantity=decimals,
    entry_price=decimals,
    mark_price=decimals,
    leverage=st.integers(1, 125),
    unrealised=decimals,
    margin=decimals,
    liquidation_price=maybe,
    stop=maybe,
    target=maybe,
    opened_at=st.none() | moments,
    plan=texts,
    confidence=floats,
    risk_usd=maybe,
)
orders = st.builds(
    WorkingOrder,
    symbol=texts,
    client_order_id=texts,
    role=st.none() | st.sampled_from(Role),
    side=st.sampled_from(["BUY", "SELL"]),
    type=texts,
    quantity=decimals,
    price=maybe,
    trigger=maybe,
    reduce_only=st.booleans(),
    close_position=st.booleans(),
)
portfolios = st.builds(
    Portfolio,
    at=moments,
    wallet=decimals,
    unrealised=decimals,
    margin=decimals,
    available=decimals,
    positions=st.lists(positions, max_size=4).map(tuple),
    orders=st.lists(orders, max_size=4).map(tuple),
    starting_balance=decimals,
)
limits = st.builds(
    Limits,
    max_leverage=st.integers(1, 10),
    risk_per_trade=decimals,
    trailing_stop=maybe,
    sides=texts,
    pyramiding=st.booleans(),
    equity_floor=maybe,
)
feedbacks = st.builds(
    Feedback, at=moments, symbol=texts, action=texts, verdict=texts, reasons=names, times=st.integers(1, 9)
)
questions = st.builds(
    Question,
    decision_id=texts,
    bot=bots,
    snapshot=st.just(question().snapshot),
    portfolio=portfolios,
    limits=limits,
    next_decision_at=moments,
    started_at=moments,
    invocation=st.integers(0, 10**9),
    feedback=st.lists(feedbacks, max_size=4).map(tuple),
    barred=names,
    outside=st.lists(st.builds(Outside, source=texts, text=texts, at=moments), max_size=2).map(tuple),
)
standings = st.builds(
    Standing,
    state=texts,
    bot=texts,
    blocked=st.dictionaries(texts, texts, max_size=3),
    history=st.builds(
        History,
        opened=st.lists(moments, max_size=4).map(tuple),
        ended=st.lists(
            st.builds(Ended, symbol=texts, side=sides, opened_at=moments, ended_at=moments, net=decimals), max_size=4
        ).map(tuple),
    ),
)


def stored(kept):
    """What a database gives back: keys of an object in an order of its own."""
    return json.loads(json.dumps(kept, allow_nan=False, sort_keys=True))


def same(kept, asked):
    """Compare texts as well, since Decimal("1.0") == Decimal(1)."""
    assert kept == asked
    assert str(kept) == str(asked)


@settings(max_examples=40, deadline=None)
@given(questions, standings)
def test_a_question_and_what_stood_against_its_entries_come_back_to_the_last_digit(asked, standing):
    kept = stored(cycle_kept(asked, standing, asked.snapshot, ()))
    back = question_from(kept, asked.snapshot)
    for name in OF_QUESTION:
        same(getattr(back, name), getattr(asked, name))
    found = standing_from(kept)
    assert dict(found.blocked) == dict(standing.blocked)
    same(found.history, standing.history)
    assert (found.state, found.bot) == (standing.state, standing.bot)


@pytest.mark.parametrize(
    "number", ["0", "-0", "0.10", "1E+3", "1e-18", "NaN", "Infinity", "123456789012345678.123456789"]
)
def test_every_form_of_a_decimal_is_kept(number):
    assert str(unpacked(Decimal, stored(packed(Decimal(number))))) == str(Decimal(number))


def test_every_limit_is_written_since_its_default_may_change_one_day():
    written = packed(DEFAULTS)
    assert set(written) >= {each.name for each in fields(Limits)} - {"trailing_stop", "equity_floor"}
    assert unpacked(Limits, written) == DEFAULTS


def test_a_moment_of_another_zone_is_the_same_moment_in_utc():
    moment = datetime.fromisoformat("2025-10-10T23:30:00.000001+05:30")
    back = unpacked(datetime, packed(moment))
    assert (back, back.tzinfo) == (moment, UTC)


def test_what_no_database_can_keep_is_kept_readable_instead_of_ending_the_cycle():
    standing = Standing(blocked={"": "the exchange said \0 and \ud800"})
    kept = cycle_kept(question(), standing, question().snapshot, ())
    json.dumps(kept, ensure_ascii=False).encode()
    assert standing_from(stored(kept)).blocked[""] == "the exchange said \\x00 and \\ud800"


def test_the_rules_of_each_contract_come_back_though_what_they_share_is_written_once():
    steps = (Bracket(Decimal(0), Decimal("1e12"), 20, Decimal("0.01"), Decimal("0.0")),)
    other = replace(BTC, brackets=steps, taker_fee=Decimal("0.00035"), order_types=("LIMIT", "MARKET"))
    asked = question(view(other), view(ETH))
    kept = stored(cycle_kept(asked, Standing(), asked.snapshot, ()))
    same(instruments_from(kept), {"BTCUSDT": other, "ETHUSDT": ETH})
    assert "brackets" not in kept["rules"]
    assert kept["rules"]["quote"] == "USDT"


def entry_at(depth):
    asked = question(view(BTC), view(ETH))
    before = asked.snapshot.symbols["BTCUSDT"]
    quote = Quote("BTCUSDT", AT, *map(Decimal, ("112001", "112000.0", "112000.1", "112000.05")), changed_at=AT)
    now = replace(before, quote=quote, problem="late", reason={"code": "price.old", "seconds": 31.5}, depth=depth)
    live = replace(asked.snapshot, symbols={**asked.snapshot.symbols, "BTCUSDT": now})
    wish = Proposal("BTCUSDT", Action.BUY)
    return asked, now, stored(cycle_kept(asked, Standing(), live, (wish,)))


def test_the_prices_that_an_entry_was_ruled_at_are_kept_and_no_others():
    asked, now, kept = entry_at(None)
    assert set(kept["live"]) == {"BTCUSDT"}
    back = live_from(kept, asked.snapshot)
    assert back.symbols["BTCUSDT"] == now
    assert back.symbols["ETHUSDT"] is asked.snapshot.symbols["ETHUSDT"]


def test_of_a_book_the_side_that_is_crossed_is_kept_as_far_as_rules_could_ever_look():
    asks = tuple((Decimal("112000.1") + 50 * step, Decimal(1) / 8) for step in range(100))
    bids = ((Decimal("112000.0"), Decimal(1)),)
    asked, _, kept = entry_at(Depth("BTCUSDT", AT, bids, asks))
    back = live_from(kept, asked.snapshot).symbols["BTCUSDT"].depth
    worst = Decimal("112000.1") * (1 + REACH * asked.limits.max_slippage)
    assert back.bids == ()
    assert back.asks == asks[: len(back.asks)]
    assert back.asks[-2][0] <= worst < back.asks[-1][0]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda kept: {}, "nothing was kept"),
        (lambda kept: kept | {"v": 2}, "form 2"),
        (lambda kept: {name: part for name, part in kept.items() if name != "portfolio"}, "not whole"),
        (lambda kept: kept | {"portfolio": {"at": "yesterday"}}, "Portfolio"),
        (lambda kept: kept | {"limits": {"max_leverage": "5"}}, "Limits"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(spoil, says):
    asked = question()
    with pytest.raises(Unkept, match=says):
        question_from(spoil(cycle_kept(asked, Standing(), asked.snapshot, ())), asked.snapshot)


def test_a_broken_history_is_refused_too():
    asked = question()
    kept = cycle_kept(asked, Standing(), asked.snapshot, ()) | {"history": {"ended": [[0, 1, 1]]}}
    with pytest.raises(Unkept, match="history"):
        standing_from(kept)


def busy() -> tuple[Question, Standing]:
    """Six symbols, four positions with stop and target, ten rulings to be told again, a hundred trades that ended."""
    specs = [replace(BTC, symbol=f"{name}USDT", base=name) for name in ("BTC", "ETH", "SOL", "BNB", "XRP", "DOGE")]
    views = {spec.symbol: replace(view(BTC), symbol=spec.symbol, instrument=spec) for spec in specs}
    held = tuple(
        PositionView(name, Side.LONG, *[Decimal("1234.5678")] * 3, 3, Decimal("12.34567890"), Decimal("411.52"), stop=Decimal("1200.1"), target=Decimal("1300.1"), opened_at=AT, plan="4h close below EMA50 " * 4, confidence=0.7)
        for name in list(views)[:4]
    )  # fmt: skip
    working = tuple(
        WorkingOrder(one.symbol, f"vxdemo{'a' * 26}", role, "SELL", "STOP_MARKET", one.quantity, None, Decimal("1200.1"), close_position=True)
        for one in held for role in (Role.STOP, Role.TARGET)
    )  # fmt: skip
    told = tuple(
        Feedback(AT, name, "buy_to_enter", "refused", ("entry.cooldown: A long in BTCUSDT ended 3 minutes ago; the next entry there waits 15.",))
        for name in [*views, *list(views)[:4]]
    )  # fmt: skip
    ended = tuple(
        Ended("BTCUSDT", Side.LONG, AT - timedelta(minutes=at, microseconds=123_457), AT, Decimal("-12.34567891"))
        for at in range(100)
    )
    asked = question(
        snapshot=MarketSnapshot("aster", AT, views),
        bot=BotView("arena", "openrouter/x-ai/grok-4.3", tuple(views), "3m", ("3m", "4h")),
        portfolio=Portfolio(AT, *[Decimal("10000.12345678")] * 4, held, working, Decimal(10_000)),
        feedback=told,
    )
    return asked, Standing(blocked={"": "the daily loss of 3.00% is reached"}, history=History((AT,) * 6, ended))


def test_a_busy_cycle_of_six_symbols_keeps_less_than_fourteen_kilobytes_and_a_young_one_less_than_five():
    asked, standing = busy()
    size = len(json.dumps(cycle_kept(asked, standing, asked.snapshot, ()), separators=(",", ":")))
    young = replace(asked, feedback=(), portfolio=replace(asked.portfolio, positions=(), orders=()))
    least = len(json.dumps(cycle_kept(young, Standing(), asked.snapshot, ()), separators=(",", ":")))
    assert size < 14_000
    assert least < 5_000
