"""Whatever is proposed, to whatever account, in whatever market: no limit is passed and nothing is raised."""

from dataclasses import replace
from datetime import timedelta
from decimal import ROUND_CEILING, Decimal, localcontext

from hypothesis import event, given, settings
from hypothesis import strategies as st

from accounts.domain.limits import LEVERAGE_CEILING, Limits
from decisions.domain.portfolio import Portfolio, PositionView
from decisions.domain.proposal import Action, Ruling, Side, Verdict
from marketdata.domain.snapshot import MarketSnapshot
from trading.domain.history import Ended, History
from trading.tests.risk_cases import Cases, passed
from trading.tests.risk_kit import AT, BTC, ETH, GOLD, D, position

HAIR = D("1e-40")
"""Rounding of the fiftieth digit, where a cost is not a multiple of anything."""
MANY = 300
SEEDS = st.integers(0, 2**40)
EXACT = {"prec": 200, "rounding": ROUND_CEILING}


def assert_within(
    ruling: Ruling, snapshot: MarketSnapshot, portfolio: Portfolio, held_to: Limits, capital: Decimal | None = None
) -> None:
    """Work the limits on size out again, by other arithmetic than the rules', rounding every cost up."""
    wish, quantity, leverage = ruling.proposal, ruling.quantity, ruling.leverage
    assert quantity is not None
    assert leverage is not None
    assert wish.quantity is not None
    assert wish.stop_loss is not None
    seen, held = snapshot.symbols[wish.symbol], portfolio.position(wish.symbol)
    spec, quote, stop = seen.instrument, seen.quote, wish.stop_loss
    long = wish.side is Side.LONG
    with localcontext(**EXACT):
        equity = portfolio.wallet + portfolio.unrealised
        base = equity if capital is None else min(capital, equity)
        touch = quote.ask if long else quote.bid
        worst = touch * (1 + held_to.max_slippage) if long else touch

        assert 0 < quantity <= wish.quantity
        assert (ruling.verdict is Verdict.REDUCED) == (quantity < wish.quantity)
        assert quantity % spec.step_size == 0
        assert spec.min_quantity <= quantity <= spec.max_quantity
        assert quantity * touch >= spec.min_notional
        assert leverage == wish.leverage <= min(held_to.max_leverage, LEVERAGE_CEILING)
        assert (stop < quote.mark and stop < touch) if long else (stop > quote.mark and stop > touch)
        assert held_to.min_stop_distance <= abs(touch - stop) / touch + HAIR
        assert abs(touch - stop) / touch - HAIR <= held_to.max_stop_distance

        fees = quantity * spec.taker_fee * (touch + stop)
        loss = quantity * abs(touch - stop) + fees + quantity * stop * held_to.max_slippage
        assert loss + open_loss(held, held_to, spec.taker_fee) <= held_to.risk_per_trade * base

        added = quantity * touch
        notional = {each.symbol: each.quantity * each.mark_price for each in portfolio.positions}
        known_groups = {name: known.instrument.group for name, known in snapshot.symbols.items()}
        group = sum(size for name, size in notional.items() if known_groups.get(name, spec.group) == spec.group)
        net = sum(notional[each.symbol] * each.side.sign for each in portfolio.positions) * wish.side.sign
        assert added + notional.get(wish.symbol, 0) <= held_to.max_position * base
        assert added + group <= held_to.max_group * base
        assert added + net <= held_to.max_net * base
        assert added + sum(notional.values()) <= held_to.max_gross * base

        margin = quantity * worst / leverage
        assert portfolio.margin + margin <= held_to.max_margin_use * base + HAIR
        needed = margin + quantity * worst * spec.taker_fee
        assert needed <= portfolio.available - held_to.margin_buffer * equity + HAIR

        if seen.depth is not None and held_to.min_depth:
            reach = touch * held_to.max_slippage
            levels = seen.depth.asks if long else seen.depth.bids
            carried = sum(size * price for price, size in levels if abs(price - touch) <= reach)
            assert held_to.min_depth * added <= carried


def open_loss(held: PositionView | None, held_to: Limits, fee: Decimal) -> Decimal:
    """Return what the position that was added to loses at its stop, counted from its entry."""
    if held is None:
        return D(0)
    assert held.stop is not None, "nothing is added to what has no stop"
    gone = held.entry_price - held.stop if held.side is Side.LONG else held.stop - held.entry_price
    costs = fee * (held.entry_price + held.stop) + held_to.max_slippage * held.stop
    return max(D(0), held.quantity * (gone + costs))


def assert_allowed(
    ruling: Ruling, snapshot: MarketSnapshot, portfolio: Portfolio, held_to: Limits, history: History
) -> None:
    """Look again at what is no size: places, sides, sequence, market and the worth of it."""
    wish, held = ruling.proposal, portfolio.position(ruling.proposal.symbol)
    quote, sign = snapshot.symbols[wish.symbol].quote, wish.side.sign
    assert held_to.sides in ("both", wish.side.value)
    assert ruling.adds == (held is not None)
    if held is None:
        assert len(portfolio.positions) < held_to.max_positions
    else:
        assert held_to.pyramiding
        assert (held.side, held.leverage) == (wish.side, wish.leverage)
        assert wish.stop_loss is not None
        assert held.stop is not None
        assert (wish.stop_loss >= held.stop) if sign > 0 else (wish.stop_loss <= held.stop)

    mid = (quote.ask + quote.bid) / 2
    assert quote.ask - quote.bid <= held_to.max_spread * mid + HAIR
    assert abs(quote.last - quote.mark) <= held_to.max_mark_gap * quote.mark
    if quote.funding_rate is not None and (quote.next_funding_at is None or quote.next_funding_at <= AT + HOUR):
        assert quote.funding_rate * sign <= held_to.max_funding
    assert wish.confidence is None or D(str(wish.confidence)) >= held_to.min_confidence
    target = wish.profit_target or (held.target if held else None)
    assert target is not None or not held_to.target_required

    assert sum(AT - opened < HOUR for opened in history.opened) < held_to.opens_per_hour
    assert sum(AT - opened < DAY for opened in history.opened) < held_to.opens_per_day
    newest = sorted(history.ended, key=lambda each: each.ended_at)[-held_to.losing_streak :]
    if held_to.losing_streak and len(newest) == held_to.losing_streak and all(each.net < 0 for each in newest):
        assert AT - newest[-1].ended_at >= timedelta(minutes=held_to.losing_pause_minutes)
    for each in history.ended:
        if held is None and each.symbol == wish.symbol and each.side is wish.side and is_last(each, history):
            assert AT - each.ended_at >= timedelta(minutes=held_to.cooldown_minutes)


HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def is_last(one: Ended, history: History) -> bool:
    """Tell whether no other position on its symbol ended as late."""
    others = [each for each in history.ended if each is not one and each.symbol == one.symbol]
    return all(each.ended_at < one.ended_at for each in others)


@settings(max_examples=MANY)
@given(SEEDS)
def test_a_ruling_exceeds_neither_a_limit_nor_the_request(seed: int) -> None:
    case = Cases(seed).case()
    [ruling] = case.ruled()
    event(f"{ruling.verdict} {ruling.rule_ids[-1:]} {ruling.adds}")
    if passed(ruling):
        assert_within(ruling, case.snapshot, case.portfolio, case.limits, case.bot.capital)
        assert_allowed(ruling, case.snapshot, case.portfolio, case.limits, case.history)
    else:
        assert ruling.quantity is None
        assert ruling.leverage is None
        assert ruling.hits


@settings(max_examples=MANY)
@given(SEEDS)
def test_a_reduced_entry_is_the_largest_that_is_accepted(seed: int) -> None:
    case = Cases(seed).case()
    [ruling] = case.ruled()
    if ruling.verdict is not Verdict.REDUCED:
        return
    [wish] = case.proposals
    assert ruling.quantity is not None
    assert wish.quantity is not None
    [again] = case.ruled(replace(wish, quantity=ruling.quantity))
    assert (again.verdict, again.quantity, again.hits) == (Verdict.ACCEPTED, ruling.quantity, ())
    one_step_more = ruling.quantity + case.snapshot.symbols[wish.symbol].instrument.step_size
    if one_step_more <= wish.quantity:
        [more] = case.ruled(replace(wish, quantity=one_step_more))
        assert more.quantity == ruling.quantity


@settings(max_examples=MANY)
@given(SEEDS)
def test_a_list_of_entries_keeps_within_the_limits_together(seed: int) -> None:
    case = Cases(seed).case(proposals=5)
    portfolio, history, capital = case.portfolio, case.history, case.bot.capital
    rulings = case.ruled()
    assert tuple(ruling.proposal for ruling in rulings) == case.proposals
    for ruling in rulings:
        if passed(ruling):
            assert_within(ruling, case.snapshot, portfolio, case.limits, capital)
            assert_allowed(ruling, case.snapshot, portfolio, case.limits, history)
            history = replace(history, opened=(*history.opened, AT))
        elif ruling.proposal.action is Action.CLOSE and ruling.verdict is Verdict.ACCEPTED:
            history = after(portfolio.position(ruling.proposal.symbol), history)
        portfolio = carried_out(ruling, case.snapshot, portfolio, case.limits)
    event(f"{sum(map(passed, rulings))} entries passed")


def after(gone: PositionView | None, history: History) -> History:
    """Note the end of a position with its result; the fees, which are its fee and its mark's, are those of the market."""
    assert gone is not None
    assert gone.opened_at is not None
    net = gone.unrealised - gone.quantity * (gone.entry_price + gone.mark_price) * fee_of(gone.symbol)
    return replace(history, ended=(*history.ended, Ended(gone.symbol, gone.side, gone.opened_at, AT, net)))


def fee_of(symbol: str) -> Decimal:
    return D("0.0005") if symbol in (ETH, BTC, GOLD) else D(0)


def carried_out(ruling: Ruling, snapshot: MarketSnapshot, before: Portfolio, held_to: Limits) -> Portfolio:
    """Book a ruling as an exchange would at the prices of the snapshot, the worst allowed for margin."""
    wish = ruling.proposal
    if ruling.verdict is Verdict.REFUSED or wish.action is Action.HOLD:
        return before
    if wish.action is Action.CLOSE:
        return closed(before, wish.symbol, snapshot)
    assert ruling.quantity is not None
    assert ruling.leverage is not None
    seen = snapshot.symbols[wish.symbol]
    long = wish.side is Side.LONG
    touch = seen.quote.ask if long else seen.quote.bid
    worst = touch * (1 + held_to.max_slippage) if long else touch
    margin, fee = ruling.quantity * worst / ruling.leverage, ruling.quantity * worst * seen.instrument.taker_fee
    held = before.position(wish.symbol)
    opened = position(wish.symbol, wish.side, ruling.quantity, touch, margin=margin, leverage=ruling.leverage)
    filled = replace(opened, stop=wish.stop_loss, target=wish.profit_target, opened_at=AT)
    return replace(
        before,
        wallet=before.wallet - fee,
        margin=before.margin + margin,
        available=before.available - margin - fee,
        positions=(*(each for each in before.positions if each is not held), joined(held, filled)),
    )


def joined(held: PositionView | None, more: PositionView) -> PositionView:
    if held is None:
        return more
    size = held.quantity + more.quantity
    with localcontext(prec=50):
        entry = (held.quantity * held.entry_price + more.quantity * more.entry_price) / size
    return replace(
        held,
        quantity=size,
        entry_price=entry,
        margin=held.margin + more.margin,
        stop=more.stop,
        target=more.target or held.target,
    )


def closed(before: Portfolio, symbol: str, snapshot: MarketSnapshot) -> Portfolio:
    held = before.position(symbol)
    assert held is not None
    rate = snapshot.symbols[symbol].instrument.taker_fee if symbol in snapshot.symbols else D(0)
    fee = held.quantity * held.mark_price * rate
    return replace(
        before,
        wallet=before.wallet + held.unrealised - fee,
        unrealised=before.unrealised - held.unrealised,
        margin=before.margin - held.margin,
        available=before.available + held.margin + held.unrealised - fee,
        positions=tuple(each for each in before.positions if each is not held),
    )
