"""Clients that others wrote trade on the test exchange as ours does: the same life of a position, told in four ways.

An account in the venue's own modes is made ready, enters, gets a stop and a target, pays funding, is stopped out, looks
what became of the target, and its trades and its income add up. Ours does it by V3 and by V1; ccxt's client of AsterDEX
and typed-aster, both as they are published, in environments of their own; the paper venue too. All have to tell what was
counted by hand here, and what the exchange itself knows. Where a client cannot have what it wants, that stands here with
its reason.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from marketdata.aster.http import AsterHttp
from marketdata.aster.public import AsterPublic
from marketdata.aster.signing import HmacSigner, LocalNonces, Signer, V3Signer, microseconds
from marketdata.domain.instruments import InstrumentSpec
from marketdata.services.budget import Unmetered
from marketdata.venues.public import Purpose
from tests.oracles.environments import isolated
from trading.domain.matching import Orphans
from trading.domain.venue import NewOrder, OrderReport
from trading.exchange.aster.adapter import AsterExchange
from trading.exchange.base import Exchange, Refused
from trading.exchange.paper import PaperExchange, open_paper_account
from trading.exchange_server.accounts import TestAccount, Truth
from trading.exchange_server.auth import MAINNET, TESTNET, Agent, ApiKey, new_agent, new_key, recovered
from trading.exchange_server.server import Served
from trading.tests.aster_server_kit import SYMBOL, aster
from trading.tests.builders import make_account
from trading.tests.matching_kit import FRICTIONLESS, SPECS, START, order, stop, target
from trading.tests.paper_kit import TickMarket
from trading.tests.signed_kit import typed_data
from vibex.lib.clock import SimulatedClock

pytestmark = [pytest.mark.ci, pytest.mark.timeout(300)]

CCXT, TYPED, ETH = "ccxt==4.5.90", "typed-aster==0.7.0", "eth-account==0.13.7"
USER = "0x" + "ef" * 20
QUANTITY, STOP, TARGET, LEVERAGE = "10", "95", "110", 5
BEFORE, AFTER = 100.0, 94.0
SIGNATURES = 60

OBJECTIONS = {
    # Its types were made from documents that do not have it; the recorded contracts of the venue do.
    "exchangeInfo": ["symbols.timeInForce RPI"],
    # It takes any code but the number 200 for a failure; the venue's documents write this one as text.
    "allOpenOrders": '200 {"code": "200", "msg": "The operation of cancel all open order is done."}',
}
"""What typed-aster does not like about answers, and why the answers stay as they are."""


@dataclass
class Table:
    """A running exchange with an account that nobody has touched, in hedge and cross mode as the venue allows."""

    served: Served
    agent: Agent
    key: ApiKey
    moves: dict[str, list[tuple[str, dict[str, Any]]]]
    sent: list[dict[str, str]] = field(default_factory=list)
    """Every order as it came."""

    @property
    def asked(self) -> dict[str, Any]:
        return {
            "address": self.served.http, "user": USER, "signer": self.agent.address, "key": self.agent.private_key,
            "symbol": SYMBOL, "leverage": LEVERAGE, "quantity": QUANTITY, "stop": STOP, "target": TARGET,
            "moves": self.moves,
        }  # fmt: skip

    @property
    def truth(self) -> Truth:
        return self.served.control.account(USER)

    @property
    def paths(self) -> list[str]:
        return [f"{one.method} {one.path}" for one in self.served.server.log]

    def move(self, name: str) -> None:
        for command, given in self.moves[name]:
            self.served.control.command(command, given)


@contextmanager
def laid(orphans: str = "keep") -> Iterator[Table]:
    """Lay a table: a market at 100 that will pay funding and then fall below the stop."""
    with aster(prepared=False) as house:
        table = Table(house.served, new_agent(), new_key(), _moves(house.clock.at))
        house.served.control.set_orphans(orphans)
        house.served.control.set_weight(limit=100_000)  # one that a client can believe
        opened = TestAccount(USER, agents=(table.agent.address,), keys=(table.key,), dual=True)
        house.served.control.open_account(opened)
        endpoints = house.served.server.signed.endpoints
        place = endpoints["POST", "order"]
        endpoints["POST", "order"] = lambda call: (table.sent.append(dict(call.given)), place(call))[1]
        yield table


def _moves(now: datetime) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    def to(price: float, **after: float) -> list[tuple[str, dict[str, Any]]]:
        at = (now + timedelta(**after)).isoformat()
        return [("clock", {"at": at}), ("price", {"symbol": SYMBOL, "last": price, "mark": price})]

    return {"funding": to(BEFORE, hours=9), "trigger": to(AFTER, hours=9, minutes=1)}


# -- the four ways ------------------------------------------------------------------------------------------------------


def through_v3(table: Table) -> dict[str, Any]:
    agent = table.agent
    signer = V3Signer(
        user=USER, signer=agent.address, private_key=agent.private_key, chain_id=MAINNET, nonces=LocalNonces()
    )
    return _ours(table, signer, "v3")


def through_v1(table: Table) -> dict[str, Any]:
    signer = HmacSigner(key=table.key.key, secret=table.key.secret, clock=lambda: microseconds() // 1_000)
    return _ours(table, signer, "v1")


def through_ccxt(table: Table) -> dict[str, Any]:
    told: dict[str, Any] = isolated("aster_trades_through_ccxt.py", table.asked, CCXT)
    return told


def through_typed_aster(table: Table) -> dict[str, Any]:
    told: dict[str, Any] = isolated("aster_trades_through_typed.py", table.asked, TYPED)
    return told


WAYS = (through_v3, through_v1, through_ccxt, through_typed_aster)


def _ours(table: Table, signer: Signer, generation: Any) -> dict[str, Any]:
    with AsterHttp(table.served.http, Unmetered(), Purpose.FEED, attempts=1) as http:
        specs = {spec.symbol: spec for spec in AsterPublic(http).instruments()}
        clock = _ClockOf(table.served)
        exchange = AsterExchange(http, signer, generation=generation, specs=specs.__getitem__, clock=clock)
        exchange.prepare({SYMBOL: LEVERAGE})
        return _life(exchange, table.move, specs[SYMBOL])


@dataclass
class _ClockOf:
    """The clock of the market."""

    served: Served
    speed: float = 1.0

    def now(self) -> datetime:
        return self.served.control.now()


def _life(exchange: Exchange, move: Callable[[str], None], spec: InstrumentSpec) -> dict[str, Any]:
    told: dict[str, Any] = {
        "tick": spec.tick_size,
        "leverage": exchange.set_leverage(symbol=SYMBOL, leverage=LEVERAGE),
        "entry": _executed(exchange.place(_entry())),
    }
    for waits in (stop("SELL", STOP, id="stop"), target("SELL", TARGET, id="target")):
        exchange.place(waits)
    told |= {"held": _held(exchange), "waiting": _waiting(exchange)}
    move("funding")
    move("trigger")
    fired = exchange.order(symbol=SYMBOL, client_order_id="stop")
    assert fired is not None
    told |= {"fired": _executed(fired), "after": _held(exchange), "sibling": _waiting(exchange)}
    told |= {"cancelled": _cancelled(exchange), "left": _waiting(exchange)}
    trades, income = exchange.trades(symbol=SYMBOL, since=START), exchange.income(since=START)
    return told | {
        "trades": [[one.side.value, one.quantity, one.price, one.fee, one.realised] for one in trades],
        "income": [[one.kind.value, one.amount] for one in income],
        "wallet": exchange.account().wallet,
    }


def _entry() -> NewOrder:
    return order("BUY", quantity=QUANTITY, id="entry")


def _executed(report: OrderReport) -> list[Any]:
    return [report.status.value, report.side.value, report.filled, report.average_price]


def _held(exchange: Exchange) -> list[Any]:
    return [
        [one.quantity, one.entry_price, one.leverage, "isolated", one.margin] for one in exchange.account().positions
    ]


def _waiting(exchange: Exchange) -> dict[str, Any]:
    return {one.client_order_id: one.trigger for one in exchange.account().orders}


def _cancelled(exchange: Exchange) -> str:
    try:
        return exchange.cancel(symbol=SYMBOL, client_order_id="target").status.value
    except Refused as refused:
        return refused.refusal.name


# -- what all have to tell ----------------------------------------------------------------------------------------------


def counted_by_hand(orphans: str, funding: Decimal) -> dict[str, Any]:
    """Return what has to be told: ten bought at 100, margin a fifth, sold at 94, 0.04 % of either for the venue."""
    kept = {"target": 110} if orphans == "keep" else {}
    told = {
        "tick": "0.1",
        "leverage": 5,
        "entry": ["FILLED", "BUY", 10, 100],
        "held": [[10, 100, 5, "isolated", 200]],
        "waiting": {"stop": 95, "target": 110},
        "fired": ["FILLED", "SELL", 10, 94],
        "after": [],
        "sibling": kept,
        "cancelled": "CANCELED" if kept else "UNKNOWN_ORDER",
        "left": {},
        "trades": [["BUY", 10, 100, "0.4", 0], ["SELL", 10, 94, "0.376", -60]],
        "income": [
            ["TRANSFER", 10_000], ["COMMISSION", "-0.4"], ["FUNDING_FEE", funding], ["REALIZED_PNL", -60],
            ["COMMISSION", "-0.376"],
        ],
        "wallet": Decimal("9939.224") + funding,
    }  # fmt: skip
    return {name: exact(value) for name, value in told.items()}


def exact(told: Any) -> Any:
    """Return what was told with all its numbers exact, however they were written."""
    if isinstance(told, dict):
        return {name: exact(value) for name, value in told.items()}
    if isinstance(told, list):
        return [exact(value) for value in told]
    try:
        return Decimal(str(told))
    except ArithmeticError:
        return told


@pytest.mark.parametrize("orphans", ["keep", "cancel"])
@pytest.mark.parametrize("through", WAYS)
def test_the_life_of_a_position_is_the_same_through_every_client(through, orphans):
    with laid(orphans) as table:
        told = exact(through(table))
        truth = table.truth
        (funding,) = (one.amount for one in truth.income if one.kind == "FUNDING_FEE")
        assert funding
        assert told == counted_by_hand(orphans, funding)
        assert told["wallet"] == truth.state.wallet == sum(one.amount for one in truth.income)
        assert [len(truth.orders_of(name)) for name in ("entry", "stop", "target")] == [1, 1, 1]
        assert not truth.state.positions
        assert not truth.working()
        assert len(table.sent) == 3
        assert not any({"builder", "feeRate"} & set(form) for form in table.sent)
        assert not [path for path in table.paths if "uilder" in path]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("orphans", ["keep", "cancel"])
def test_the_paper_venue_tells_the_same_life(orphans):
    clock, market, account = SimulatedClock(START), TickMarket(), make_account(starting_balance=Decimal(10_000))
    open_paper_account(account, at=START)
    settings = replace(FRICTIONLESS, orphans=Orphans(orphans))
    exchange = PaperExchange(account.pk, market, clock, settings=settings)
    prices = {"funding": (BEFORE, 540), "trigger": (AFTER, 541)}

    def move(name: str) -> None:
        price, minutes = prices[name]
        clock.move_to(START + timedelta(minutes=minutes))
        market.tick(price, minutes=minutes)

    market.tick(BEFORE, minutes=0)
    market.pay("-0.0002", minutes=480, mark="100")
    told = exact(_life(exchange, move, SPECS[SYMBOL]))
    assert told == counted_by_hand(orphans, Decimal("0.2"))


def test_a_client_that_takes_a_fee_for_its_builder_would_be_seen():
    """What ccxt does where nobody forbids it, so that "never called" above is more than silence."""
    with laid() as table:
        isolated("aster_trades_through_ccxt.py", table.asked | {"fee": True}, CCXT)
        assert "POST /fapi/v3/approveBuilder" in table.paths


def test_answers_fit_the_types_that_others_made_of_the_documents():
    with laid() as table:
        told = isolated("aster_trades_through_typed.py", table.asked | {"answers": True}, TYPED)
        assert {name: objection for name, objection in told.items() if objection} == OBJECTIONS
        assert len(told) > 40


def test_the_exchange_recovers_the_signers_that_an_independent_implementation_does():
    """Signed by eth-account and recovered by the exchange, over the right text, another one, and the other chain."""
    chance = random.Random(11)
    cases = []
    for _ in range(SIGNATURES):
        agent, chain = new_agent(), chance.choice([MAINNET, TESTNET])
        text = "".join(chance.choices('aZ09 &=%/"{}üß漢🙂', k=chance.choice([0, 5, 200])))
        sent = chance.choice([text, text + "&", text[1:]])
        cases.append((agent, chain, sent, typed_data(text, chain_id=chain, key=agent.private_key), sent == text))
    asked = [[agent.private_key, chain, sent, signature] for agent, chain, sent, signature, _ in cases]
    theirs = isolated("signatures.py", {"v3": asked, "v1": []}, ETH)["v3"]
    for (agent, chain, sent, signature, true), found in zip(cases, theirs, strict=True):
        assert recovered(sent, found["made"], chain) == agent.address == found["address"].lower()
        assert recovered(sent, signature, chain) == found["recovered"].lower()
        assert (found["recovered"].lower() == agent.address) == true
        assert recovered(sent, found["made"], MAINNET + TESTNET - chain) != agent.address
