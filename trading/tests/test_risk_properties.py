"""Whatever is proposed, to whatever account, in whatever market: no limit is passed, nothing is raised, nothing breaks."""

from dataclasses import replace
from decimal import ROUND_CEILING, Decimal, localcontext
from typing import Any

from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from accounts.domain.limits import LEVERAGE_CEILING, Limits
from decisions.domain.portfolio import Portfolio
from decisions.domain.proposal import Action, Proposal, Ruling, Side, Verdict
from marketdata.domain.snapshot import MarketSnapshot
from trading.domain.risk import RULES, Standing
from trading.tests.risk_kit import AT, BOT, BTC, ETH, GOLD, LONG, PORTFOLIO, D, market, position, rule, view

SYMBOLS = (ETH, BTC, GOLD)
HAIR = D("1e-40")
"""Rounding of the fiftieth digit, where a cost is not a multiple of anything."""
MANY = 150
EXACT = {"prec": 200, "rounding": ROUND_CEILING}


def decimals(low: str, high: str, places: int = 2) -> st.SearchStrategy[Decimal]:
    return st.decimals(D(low), D(high), places=places, allow_nan=False, allow_infinity=False)


wild = st.one_of(
    st.none(),
    st.decimals(),
    st.sampled_from([D("NaN"), D("sNaN"), D("Infinity"), D("-Infinity"), D("1e999999"), D("1e-999999"), D("-0"), D(0)]),
)
wild_leverage: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.integers(), st.floats(), st.booleans(), st.text(max_size=3)
)

limits = st.builds(
    Limits,
    max_leverage=st.integers(4, LEVERAGE_CEILING),
    risk_per_trade=decimals("0.005", "0.3", 3),
    max_position=decimals("0.1", "3"),
    max_group=decimals("0.5", "4"),
    max_net=decimals("0.5", "4"),
    max_gross=decimals("0.5", "5"),
    max_positions=st.integers(2, 6),
    max_slippage=decimals("0", "0.01", 3),
    max_margin_use=decimals("0.1", "1"),
    margin_buffer=decimals("0", "0.05", 4),
)
held_positions = st.lists(
    st.builds(
        position,
        symbol=st.sampled_from([BTC, GOLD, "FOOUSDT"]),
        side=st.sampled_from(Side),
        quantity=decimals("0.01", "80"),
        mark=decimals("80", "120"),
        margin=decimals("0", "1500"),
        unrealised=decimals("-1000", "1000"),
    ),
    max_size=3,
    unique_by=lambda held: held.symbol,
)


@st.composite
def portfolios(draw: st.DrawFn) -> Portfolio:
    held = tuple(draw(held_positions))
    wallet, margin = draw(decimals("4000", "50000")), sum((each.margin for each in held), D(0))
    return Portfolio(
        AT,
        wallet=wallet,
        unrealised=sum((each.unrealised for each in held), D(0)),
        margin=margin,
        available=wallet - margin,
        positions=held,
    )


@st.composite
def markets(draw: st.DrawFn) -> MarketSnapshot:
    bid, spread, off = draw(decimals("97", "101")), draw(decimals("0", "0.5")), draw(decimals("-0.3", "0.3"))
    prices = {"bid": bid, "ask": bid + spread, "mark": bid + off}
    return market(view(ETH, **prices), view(BTC, **prices), view(GOLD, group="metals", **prices))


@st.composite
def entries(draw: st.DrawFn, symbol: str = ETH) -> Proposal:
    """Return an entry whose stop mostly lies on the right side and in the band, of any size."""
    side = draw(st.sampled_from([Action.BUY, Action.SELL]))
    away = draw(decimals("-0.2", "8"))
    return Proposal(
        symbol,
        side,
        quantity=draw(st.one_of(decimals("1", "60"), decimals("0.0001", "1000000", 4))),
        leverage=draw(st.integers(1, 5)),
        stop_loss=D(97) - away if side is Action.BUY else D(102) + away,
    )


@st.composite
def proposals(draw: st.DrawFn) -> Proposal:
    symbol = draw(st.sampled_from(SYMBOLS))
    other = st.builds(Proposal, st.just(symbol), st.sampled_from([Action.HOLD, Action.CLOSE]))
    return draw(st.one_of(entries(symbol), entries(symbol), other))


def passed(ruling: Ruling) -> bool:
    return ruling.proposal.action.opens and ruling.verdict is not Verdict.REFUSED


def assert_within(
    ruling: Ruling, snapshot: MarketSnapshot, portfolio: Portfolio, held_to: Limits, capital: Decimal | None = None
) -> None:
    """Work the limits out again, by other arithmetic than the rules', rounding every cost up."""
    wish, quantity, leverage = ruling.proposal, ruling.quantity, ruling.leverage
    assert quantity is not None
    assert leverage is not None
    assert wish.quantity is not None
    assert wish.stop_loss is not None
    seen = snapshot.symbols[wish.symbol]
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
        assert loss <= held_to.risk_per_trade * base

        added = quantity * touch
        notional = {each.symbol: each.quantity * each.mark_price for each in portfolio.positions}
        known_groups = {name: known.instrument.group for name, known in snapshot.symbols.items()}
        group = sum(size for name, size in notional.items() if known_groups.get(name, spec.group) == spec.group)
        net = sum(notional[each.symbol] * each.side.sign for each in portfolio.positions) * wish.side.sign
        assert added <= held_to.max_position * base
        assert added + group <= held_to.max_group * base
        assert added + net <= held_to.max_net * base
        assert added + sum(notional.values()) <= held_to.max_gross * base
        assert len(portfolio.positions) < held_to.max_positions
        assert wish.symbol not in notional

        margin = quantity * worst / leverage
        assert portfolio.margin + margin <= held_to.max_margin_use * base + HAIR
        needed = margin + quantity * worst * spec.taker_fee
        assert needed <= portfolio.available - held_to.margin_buffer * equity + HAIR


@settings(max_examples=MANY)
@given(entries(), markets(), portfolios(), limits, st.one_of(st.none(), decimals("50", "20000")))
def test_a_ruling_exceeds_neither_a_limit_nor_the_request(
    wish: Proposal, snapshot: MarketSnapshot, portfolio: Portfolio, held_to: Limits, capital: Decimal | None
) -> None:
    bot = replace(BOT, capital=capital)
    [ruling] = rule(wish, snapshot=snapshot, portfolio=portfolio, limits=held_to, bot=bot)
    event(ruling.verdict)
    if passed(ruling):
        assert_within(ruling, snapshot, portfolio, held_to, capital)
    else:
        assert ruling.quantity is None
        assert ruling.leverage is None
        assert ruling.hits


@settings(max_examples=MANY)
@given(entries(), markets(), portfolios(), limits)
def test_a_reduced_entry_is_the_largest_that_is_accepted(
    wish: Proposal, snapshot: MarketSnapshot, portfolio: Portfolio, held_to: Limits
) -> None:
    given_ = {"snapshot": snapshot, "portfolio": portfolio, "limits": held_to}
    [ruling] = rule(wish, **given_)
    if ruling.verdict is not Verdict.REDUCED:
        return
    assert ruling.quantity is not None
    [again] = rule(replace(wish, quantity=ruling.quantity), **given_)
    assert (again.verdict, again.quantity, again.hits) == (Verdict.ACCEPTED, ruling.quantity, ())
    one_step_more = ruling.quantity + snapshot.symbols[wish.symbol].instrument.step_size
    if one_step_more <= wish.quantity:
        [more] = rule(replace(wish, quantity=one_step_more), **given_)
        assert more.quantity == ruling.quantity


@settings(max_examples=MANY)
@given(st.lists(proposals(), max_size=6), markets(), portfolios(), limits)
def test_a_list_of_entries_keeps_within_the_limits_together(
    wishes: list[Proposal], snapshot: MarketSnapshot, portfolio: Portfolio, held_to: Limits
) -> None:
    rulings = rule(*wishes, snapshot=snapshot, portfolio=portfolio, limits=held_to)
    assert [ruling.proposal for ruling in rulings] == wishes
    for ruling in rulings:
        if passed(ruling):
            assert_within(ruling, snapshot, portfolio, held_to)
        portfolio = carried_out(ruling, snapshot, portfolio, held_to)
    event(f"{sum(map(passed, rulings))} entries passed")


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
    return replace(
        before,
        wallet=before.wallet - fee,
        margin=before.margin + margin,
        available=before.available - margin - fee,
        positions=(*before.positions, position(wish.symbol, wish.side, ruling.quantity, touch, margin=margin)),
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


def with_wild_numbers(draw: st.DrawFn, what: Any, names: tuple[str, ...], values: st.SearchStrategy[Any] = wild) -> Any:
    """Put something wild into some of the named fields."""
    return replace(what, **{name: draw(values) for name in draw(st.sets(st.sampled_from(names)))})


@st.composite
def wild_cases(draw: st.DrawFn) -> dict[str, Any]:
    """Return a list of proposals, a market and a portfolio in which any number may be missing or mad."""
    seen = view(ETH)
    quote = with_wild_numbers(draw, seen.quote, ("bid", "ask", "mark", "last"))
    spec = with_wild_numbers(
        draw,
        seen.instrument,
        ("tick_size", "step_size", "min_quantity", "max_quantity", "min_notional", "taker_fee"),
    )
    brackets = tuple(
        with_wild_numbers(draw, each, ("floor", "cap", "maintenance_rate", "cum")) for each in spec.brackets
    )
    spec = replace(spec, brackets=draw(st.sampled_from([spec.brackets, brackets, ()])))
    held = with_wild_numbers(
        draw, position(draw(st.sampled_from([ETH, BTC])), Side.LONG, "1"),
        ("quantity", "entry_price", "mark_price", "unrealised", "margin", "liquidation_price"),
    )  # fmt: skip
    portfolio = with_wild_numbers(draw, PORTFOLIO, ("wallet", "unrealised", "margin", "available"))
    wish = with_wild_numbers(draw, LONG, ("quantity", "stop_loss", "profit_target", "risk_usd"))
    wish = replace(wish, leverage=draw(st.one_of(st.just(5), wild_leverage)), action=draw(st.sampled_from(Action)))
    return {
        "proposals": [*draw(st.lists(st.just(replace(LONG, action=Action.CLOSE)), max_size=1)), wish],
        "snapshot": market(replace(seen, quote=quote, instrument=spec)),
        "portfolio": replace(portfolio, positions=draw(st.sampled_from([(), (held,)]))),
        "bot": with_wild_numbers(draw, BOT, ("capital",)),
    }


@given(wild_cases())
def test_no_number_however_mad_breaks_the_ruling_or_opens_what_was_not_asked(case: dict[str, Any]) -> None:
    for ruling in rule(*case.pop("proposals"), **case):
        if passed(ruling):
            assert ruling.quantity is not None
            assert 0 < ruling.quantity <= ruling.proposal.quantity
            assert ruling.leverage == ruling.proposal.leverage


@given(
    wild_cases(), st.sampled_from(["active", "reducing", "halted"]), st.dictionaries(st.just(""), st.text(), max_size=1)
)
def test_nothing_refuses_a_close(case: dict[str, Any], state: str, blocked: dict[str, str]) -> None:
    case.pop("proposals")
    for held in case["portfolio"].positions:
        close = Proposal(held.symbol, Action.CLOSE)
        [ruling] = rule(close, **case, standing=Standing(state, blocked))
        assert ruling.verdict is Verdict.ACCEPTED
        assert not ruling.hits


@given(wild_cases(), st.sampled_from(["", ETH]))
@example({"proposals": [LONG]}, "")
def test_nothing_opens_while_the_account_or_the_symbol_is_barred(case: dict[str, Any], barred: str) -> None:
    wishes = case.pop("proposals")
    for standing in (Standing("reducing"), Standing("halted"), Standing(blocked={barred: "an order is unresolved"})):
        assert not any(map(passed, rule(*wishes, **case, standing=standing)))


@example(quantity=D("9" * 5000))
@example(quantity=D("0.1").scaleb(-400))
@given(quantity=st.decimals(allow_nan=False))
def test_a_size_is_only_ever_lowered(quantity: Decimal) -> None:
    [ruling] = rule(replace(LONG, quantity=quantity))
    assert ruling.quantity is None or ruling.quantity <= quantity


@given(wild_cases())
def test_every_hit_names_a_rule_and_is_ready_to_be_read(case: dict[str, Any]) -> None:
    ids = {rule.id for rule in RULES} | {"position.none"}
    for ruling in rule(*case.pop("proposals"), **case):
        for hit in ruling.hits:
            assert hit.rule in ids
            assert hit.text.endswith(".")
            assert all(isinstance(value, str) and "E" not in value for value in hit.numbers.values())
