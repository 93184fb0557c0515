"""Binance USD-M through ccxt: the traps of ccxt, each closed by name; a life and a halt; how an account is made ready."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest

from accounts.domain.credentials import ApiKeys
from decisions.domain.proposal import Side
from tests.oracles.binance_house import SYMBOL, House, binance
from tests.oracles.environments import environment
from tests.oracles.exchange_process import exchange_in
from trading.domain.venue import IncomeKind, NewOrder, OrderSide, OrderType, VenueStatus
from trading.exchange.aster_codes import family_of
from trading.exchange.base import Refusal, Refused
from trading.exchange.through_ccxt.binance.codes import ALIKE
from trading.tests.matching_kit import SPECS, START, order, stop, target
from vibex.lib.env import ROOT
from vibex.lib.errors import NeedsOperator, Rejected

pytestmark = [pytest.mark.ci, pytest.mark.timeout(300)]

ORDER = {"symbol", "side", "type", "quantity", "newClientOrderId", "newOrderRespType"}
PLAIN = ORDER | {"price", "timeInForce", "reduceOnly"}
CONDITIONAL = (ORDER - {"newClientOrderId"}) | {
    "algoType", "clientAlgoId", "triggerPrice", "workingType", "closePosition", "reduceOnly",
}  # fmt: skip


@pytest.fixture
def house(python_with_ccxt: Path) -> Iterator[House]:
    with binance(python_with_ccxt) as running:
        yield running


def over_there(python: Path, code: str) -> Any:
    """Run Python where ccxt is installed and return the JSON that it prints."""
    settings = environment(DJANGO_SETTINGS_MODULE="vibex.settings.testing")
    done = subprocess.run([python, "-c", code], check=False, capture_output=True, text=True, cwd=ROOT, env=settings)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


MADE = (
    "import json, logging; logging.basicConfig(level=logging.DEBUG)\n"
    "from trading.exchange.through_ccxt.binance import calls\n"
    "from trading.exchange.through_ccxt import client\n"
    "from accounts.domain.credentials import ApiKeys\n"
    "from tests.oracles.exchange_process import Purse\n"
    "def made(testnet=False, address=None):\n"
    "    return calls.calls_of(ApiKeys('THEKEY', 'THESECRET'), testnet=testnet, address=address, budget=Purse())\n"
)


def bracketed(house: House) -> None:
    house.exchange.set_leverage(symbol=SYMBOL, leverage=5)
    house.exchange.place(order("BUY", "LIMIT", "10", id="entry", price="100.2", tif="IOC"))
    house.exchange.place(stop("SELL", "95", id="stop"))
    house.exchange.place(target("SELL", "110", id="target"))


def halted(house: House) -> None:
    """Cancel everything, close reduce-only, read again, through the port and nothing else: what a halt has to do."""
    urgent = house.exchange.urgent()
    for one in urgent.account().orders:
        urgent.cancel(symbol=one.symbol, client_order_id=one.client_order_id)
    for held in urgent.account().positions:
        side = OrderSide.to_close(held.side)
        urgent.place(
            NewOrder(f"halt-{held.symbol}", held.symbol, side, OrderType.MARKET, held.quantity, reduce_only=True)
        )
    account = urgent.account()
    assert (account.positions, account.orders) == ((), ())


# The traps, by their numbers in the research (aster.md 2.5)


def test_trap_1_no_builder_no_broker_no_referral_is_in_what_is_sent(house, python_with_ccxt):
    bracketed(house)
    house.trade_at("94")
    halted(house)
    names = {name for _, given in house.sent for name in given}
    assert not any(word in name.lower() for name in names for word in ("builder", "broker", "fee", "ref"))
    assert {one.path for one in house.log} <= {
        f"/fapi/v{path}"
        for path in (
            "1/order", "1/algoOrder", "1/openOrders", "1/openAlgoOrders", "3/positionRisk", "3/balance", "1/symbolConfig",
            "1/accountConfig", "1/leverage", "1/marginType",
        )
    }  # fmt: skip
    assert [one.client_order_id for one in house.truth.orders] == ["entry", "stop", "target"]
    made = over_there(
        python_with_ccxt,
        MADE + "seat = made()._client._free[0].exchange\n"
        "print(json.dumps([seat.options[name] for name in ('builderFee', 'broker', 'ref', 'maxRetriesOnFailure')]))",
    )
    assert made == [False, {}, None, 0]


def test_traps_2_and_3_stop_and_target_are_orders_of_their_own_and_never_attached(house):
    bracketed(house)
    placed = [(call, given) for call, given in house.sent if call.startswith("POST") and "rder" in call]
    assert [call for call, _ in placed] == ["POST order", "POST algoOrder", "POST algoOrder"]
    assert not {"stopPrice", "triggerPrice", "stopLoss", "takeProfit"} & set(placed[0][1])
    assert [given["type"] for _, given in placed[1:]] == ["STOP_MARKET", "TAKE_PROFIT_MARKET"]
    assert [given["triggerPrice"] for _, given in placed[1:]] == ["95", "110"]
    assert {given["workingType"] for _, given in placed[1:]} == {"MARK_PRICE"}


def test_traps_5_and_6_truth_is_written_as_the_venue_writes_it_and_nothing_else_can_be_sent(house):
    bracketed(house)
    house.exchange.place(order("SELL", quantity="1", reduce_only=True, id="part"))
    house.exchange.place(order("SELL", "STOP_MARKET", "2", trigger="96", reduce_only=True, id="by quantity"[:2]))
    plain = [given for call, given in house.sent if call == "POST order"]
    conditional = [given for call, given in house.sent if call == "POST algoOrder"]
    assert all(set(given) <= PLAIN for given in plain)
    assert all(set(given) <= CONDITIONAL for given in conditional)
    assert [given.get("reduceOnly") for given in plain] == [None, "true"]
    assert [(given.get("closePosition"), given.get("reduceOnly")) for given in conditional] == [
        ("true", None),
        ("true", None),
        (None, "true"),
    ]
    assert conditional[2]["quantity"] == "2"
    assert "quantity" not in conditional[0]


def test_trap_7_orders_go_one_by_one_so_that_no_answer_is_another_orders(house):
    bracketed(house)
    assert not any("batch" in one.path for one in house.log)


def test_trap_8_a_short_position_has_its_side(house):
    house.exchange.place(order("SELL", quantity="4"))
    (position,) = house.exchange.account().positions
    assert (position.side, position.quantity, position.leverage) == (Side.SHORT, D(4), 1)


def test_trap_9_no_quantity_and_no_price_is_ever_cut_or_rounded(house):
    before = len(house.sent)
    for wrong in (order("BUY", quantity="0.0015"), order("BUY", "LIMIT", "1", price="99.05")):
        with pytest.raises(Refused) as refused:
            house.exchange.place(wrong)
        assert refused.value.refusal is Refusal.FILTER
    assert len(house.sent) == before
    house.exchange.place(order("BUY", quantity="1.234"))
    with pytest.raises(Refused) as refused:
        house.exchange.place(order("SELL", quantity="1.2345", reduce_only=True))
    assert [given["quantity"] for call, given in house.sent if call == "POST order"] == ["1.234", "1.2345"]
    assert house.exchange.account().position(SYMBOL).quantity == D("1.234")


def test_trap_10_nothing_waits_for_the_pace_of_ccxt(house):
    bracketed(house)
    started = time.perf_counter()
    for _ in range(10):
        house.exchange.account()
    assert time.perf_counter() - started < 3  # ccxt's own pace would take 50 ms for each of 95 units of weight


def test_trap_11_threads_do_not_wait_for_each_other_and_none_gets_anothers_answer(python_with_ccxt):
    told = over_there(
        python_with_ccxt,
        MADE + "import threading, time\n"
        "from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer\n"
        "class Slow(BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        time.sleep(0.5)\n"
        "        said = self.path.split('symbol=')[1].split('&')[0]\n"
        "        body = json.dumps([{'symbol': said}]).encode()\n"
        "        self.send_response(200); self.send_header('Content-Length', str(len(body))); self.end_headers()\n"
        "        self.wfile.write(body)\n"
        "    def log_message(self, *_): pass\n"
        "server = ThreadingHTTPServer(('127.0.0.1', 0), Slow)\n"
        "threading.Thread(target=server.serve_forever, daemon=True).start()\n"
        "calls = made(address=f'http://127.0.0.1:{server.server_port}')\n"
        "found = {}\n"
        "def ask(name): found[name] = calls.ask('openOrders', {'symbol': name})[0]['symbol']\n"
        "threads = [threading.Thread(target=ask, args=(f'S{n}',)) for n in range(8)]\n"
        "started = time.perf_counter()\n"
        "for one in threads: one.start()\n"
        "for one in threads: one.join()\n"
        "print(json.dumps([found, time.perf_counter() - started]))",
    )
    assert told[0] == {f"S{n}": f"S{n}" for n in range(8)}
    assert told[1] < 3  # one after the other they would take four seconds


def test_trap_13_every_code_that_ccxt_knows_of_binance_has_a_meaning(python_with_ccxt):
    known = over_there(
        python_with_ccxt,
        "import ccxt, json; told = ccxt.binanceusdm().exceptions\n"
        "print(json.dumps(sorted({int(code) for part in (told['exact'], told['linear']['exact'])\n"
        "                 for code in part if code.lstrip('-').isdigit()})))",
    )
    assert len(known) > 200
    assert [code for code in known if family_of(ALIKE.get(code, code)) is None] == []


def test_trap_14_only_futures_of_one_network_can_be_asked(python_with_ccxt):
    told = over_there(
        python_with_ccxt,
        MADE + "print(json.dumps([made(testnet=one)._client._free[0].exchange.urls['api'] for one in (False, True)]))",
    )
    for urls, host in zip(told, ("https://fapi.binance.com", "https://demo-fapi.binance.com"), strict=True):
        assert set(urls) == {"fapiPublic", "fapiPrivate", "fapiPrivateV2", "fapiPrivateV3"}
        assert all(url.startswith(f"{host}/fapi/v") for url in urls.values())


def test_keys_are_in_no_log_even_at_its_lowest_level(python_with_ccxt, house):
    code = MADE + (
        "import io; kept = io.StringIO(); logging.getLogger().addHandler(logging.StreamHandler(kept))\n"
        "for name in list(logging.root.manager.loggerDict): logging.getLogger(name).setLevel(logging.DEBUG)\n"
        f"calls = made(address={house.served.http!r})\n"
        "try: calls.ask('balance')\n"
        "except Exception as error: said = repr(error)\n"
        "print(json.dumps([kept.getvalue(), said]))"
    )
    log, said = over_there(python_with_ccxt, code)
    assert "-2015" in said
    assert not any(word in log + said for word in ("THEKEY", "THESECRET", "signature=abc"))
    assert "X-MBX-APIKEY" not in log


def test_a_change_is_sent_once_whatever_comes_back_and_not_to_where_an_answer_points(python_with_ccxt):
    told = over_there(python_with_ccxt, (ROOT / "tests/oracles/sends_once.py").read_text(encoding="utf-8"))
    assert [(arrived, sent) for _, arrived, sent in told] == [(None, 1)] * 7
    assert {kind for kind, _, _ in told} == {"VenueDown", "VenueBusy", "Unreadable"}


# A life, a halt, another process


@pytest.mark.parametrize(("price", "fired", "left"), [("94", "stop", "target"), ("111", "target", "stop")])
def test_a_whole_life_ties_out_to_the_books_of_the_venue(house, price, fired, left):
    bracketed(house)
    house.trade_at(price)
    assert house.exchange.account().positions == ()
    assert house.exchange.order(symbol=SYMBOL, client_order_id=fired).average_price == D(price)
    assert house.exchange.cancel(symbol=SYMBOL, client_order_id=left).status is VenueStatus.CANCELED
    account, truth = house.exchange.account(), house.truth
    trades, income = house.exchange.trades(symbol=SYMBOL, since=START), house.exchange.income(since=START)
    assert (account.wallet, account.orders) == (truth.state.wallet, ())
    assert [(one.client_order_id, one.price, one.fee, one.realised) for one in trades] == [
        (theirs.client_order_id, theirs.price, theirs.fee, theirs.realised) for theirs in truth.trades
    ]
    assert sum(one.amount for one in income) == account.wallet
    assert -sum(one.amount for one in income if one.kind is IncomeKind.COMMISSION) == sum(one.fee for one in trades)


def test_what_a_stop_became_has_our_id_and_the_venues_own_is_told_nowhere(house):
    bracketed(house)
    house.trade_at("94")
    trades = house.exchange.trades(symbol=SYMBOL, since=START)
    assert [one.client_order_id for one in trades] == ["entry", "stop"]
    report = house.exchange.order(symbol=SYMBOL, client_order_id="stop")
    assert (report.type, report.status, report.filled) == (OrderType.STOP_MARKET, VenueStatus.FILLED, D(10))
    assert report.exchange_id.startswith("3000")


def test_another_process_finds_the_fills_of_stops_that_it_never_saw(house, python_with_ccxt):
    bracketed(house)
    house.trade_at("94")
    with _another(house, python_with_ccxt) as other:
        assert [one.client_order_id for one in other.trades(symbol=SYMBOL, since=START)] == ["entry", "stop"]
        assert [one.client_order_id for one in other.account().orders] == ["target"]
        assert other.cancel(symbol=SYMBOL, client_order_id="target").status is VenueStatus.CANCELED
        asked = len(house.log)
        other.trades(symbol=SYMBOL, since=START)
        assert len(house.log) - asked == len([one for one in house.log[asked:] if one.path.endswith("userTrades")])


def test_a_halt_cancels_everything_closes_reduce_only_and_reads_that_it_is_flat(house):
    bracketed(house)
    house.exchange.place(order("BUY", "LIMIT", "1", price="90", id="rests"))
    house.exchange.place(order("SELL", quantity="5", symbol="SOLUSDT", id="short"))
    halted(house)
    assert house.truth.state.positions == ()
    assert house.truth.working() == []
    closing = [given for call, given in house.sent if given.get("newClientOrderId", "").startswith("halt-")]
    assert [given["reduceOnly"] for given in closing] == ["true", "true"]


def test_what_closes_is_paid_out_of_the_share_that_is_kept_for_it(house):
    bracketed(house)
    before = len(house.exchange.purse().taken)
    halted(house)
    assert {share for _, share in house.exchange.purse().taken[before:]} == {"CLOSING"}


def test_every_weight_is_paid(house):
    before = len(house.exchange.purse().taken)
    house.exchange.account()
    house.exchange.place(order("BUY", quantity="1"))
    house.exchange.account()
    assert [weight for weight, _ in house.exchange.purse().taken[before:]] == [40, 40, 5, 5, 1, 40, 40, 5, 5, 5]


def test_a_stop_by_quantity_closes_what_it_says(house):
    house.exchange.place(order("BUY", quantity="10"))
    house.exchange.place(order("SELL", "STOP_MARKET", "4", trigger="95", reduce_only=True, id="part"))
    house.trade_at("94")
    assert house.exchange.account().position(SYMBOL).quantity == D(6)
    assert house.exchange.order(symbol=SYMBOL, client_order_id="part").filled == D(4)


def test_the_newer_of_two_orders_of_one_id_in_both_services_is_told(house):
    house.exchange.place(stop("SELL", "50", id="both"))
    house.exchange.cancel(symbol=SYMBOL, client_order_id="both")
    house.trade_at("100")
    house.exchange.place(order("BUY", quantity="1", id="both"))
    assert house.exchange.order(symbol=SYMBOL, client_order_id="both").type is OrderType.MARKET
    house.trade_at("100")
    house.exchange.place(stop("SELL", "51", id="both"))
    assert house.exchange.order(symbol=SYMBOL, client_order_id="both").trigger == D(51)


def test_orders_of_others_are_seen_in_both_services(house):
    bracketed(house)
    seen = {one.client_order_id for one in house.exchange.account().orders}
    assert seen == {"stop", "target"}


# Making ready


def test_an_account_is_made_ready_and_everything_is_read_back(python_with_ccxt):
    with binance(python_with_ccxt, prepared=False, dual=True) as house:
        house.exchange.prepare({SYMBOL: 7, "SOLUSDT": 3})
        truth = house.truth
        assert (truth.leverages[SYMBOL], truth.leverages["SOLUSDT"]) == (7, 3)
        assert (truth.margin_types[SYMBOL], truth.margin_types["SOLUSDT"]) == ("ISOLATED", "ISOLATED")
        check = house.exchange.check([SYMBOL])
        assert (check.one_way, check.single_asset, check.can_trade, check.can_withdraw) == (True, True, True, None)
        assert (check.symbols[0].isolated, check.symbols[0].leverage) == (True, 7)
        asked = len(house.sent)
        house.exchange.prepare({SYMBOL: 7})
        assert not [call for call, _ in house.sent[asked:] if call.startswith("POST")], "what is right is left alone"


def test_an_account_with_something_open_is_for_a_person(python_with_ccxt):
    with binance(python_with_ccxt, prepared=False) as house:
        house.exchange.place(order("BUY", "LIMIT", "1", price="90"))
        with pytest.raises(NeedsOperator, match="cross margin and something is open"):
            house.exchange.prepare({SYMBOL: 5})


def test_a_mode_that_the_venue_does_not_switch_is_for_a_person(python_with_ccxt):
    with binance(python_with_ccxt, prepared=False, dual=True) as house:
        house.served.server.signed.endpoints["POST", "positionSide/dual"] = lambda _call: {
            "code": 200,
            "msg": "success",
        }
        with pytest.raises(NeedsOperator, match="stays in hedge mode: Binance took the change and did not make it"):
            house.exchange.prepare({SYMBOL: 5})


def test_the_terms_are_those_of_the_account(python_with_ccxt):
    with binance(python_with_ccxt, maker_fee=D("0.0002"), taker_fee=D("0.0005")) as house:
        terms = house.exchange.terms(SYMBOL)
        assert (terms.maker_fee, terms.taker_fee) == (D("0.0002"), D("0.0005"))
        assert [one.max_leverage for one in terms.brackets] == [100, 50, 20, 10, 5]


def test_an_unknown_symbol_and_keys_of_another_kind_are_refused(house):
    for call in (house.exchange.terms, lambda symbol: house.exchange.set_leverage(symbol=symbol, leverage=2)):
        with pytest.raises(Rejected) as refused:
            call("NOPEUSDT")
        assert refused.value.refusal is Refusal.UNKNOWN_SYMBOL


def _another(house: House, python: Path) -> Any:
    (key,) = house.truth and house.served.server.signed.accounts.of("0x" + "ba" * 20).opened.keys
    return exchange_in(
        python, environment(), clock=house.clock, venue="binance_usdm", network="mainnet",
        keys=ApiKeys(key.key, key.secret), specs=SPECS, address=house.served.http,
    )  # fmt: skip
