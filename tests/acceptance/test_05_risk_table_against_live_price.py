"""Acceptance test 5: the risk table, against the live price.

Each row is a decision of a real bot: what it asks for was right or wrong at the price it saw (100,000), and is judged at the
price of now (101,000). The ruling is the one expected, stored with its rule and numbers, and shown on the page; what was
allowed is never more than what was asked for. Every rule on both sides of its edge: trading/tests/test_risk_table.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import ROUND_CEILING
from decimal import Decimal as D
from typing import Any

import pytest
from django.test import Client

from accounts.models import RiskLimits
from decisions.deciders import rules
from decisions.domain.proposal import Action, Proposal
from decisions.models import Decision, Interaction
from decisions.services import prompt_template_install
from decisions.tests.builders import MODEL
from decisions.tests.llm_server import ModelServer, model_server
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.snapshot import MarketSnapshot, Quote
from tests.acceptance.kit import answering, decisions_text
from trading.models import PaperOrder
from trading.services import live
from trading.services.live import cycle_run
from trading.tests.builders import make_bot
from trading.tests.venue_support import BTC, NOON, StillMarket
from vibex.lib.clock import SimulatedClock

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.ci]
B, E = "BTCUSDT", "ETHUSDT"
SEEN, NOW, ASK, BID = D(100_000), D(101_000), D(101_005), D(100_995)
NAN, INFINITE = D("NaN"), D("Infinity")
LONG = Proposal(B, Action.BUY, D("0.02"), 2, D(99_000), D(106_000), confidence=0.8)
SHORT = Proposal(B, Action.SELL, D("0.02"), 2, D(103_000), D(96_000), confidence=0.8)
HOLD, CLOSE = Proposal(B, Action.HOLD), Proposal(B, Action.CLOSE)


@dataclass(frozen=True)
class Row:
    """What is asked, within which limits, and for each proposal the verdict, the size allowed, and the rule behind it."""

    name: str
    asked: tuple[Proposal, ...]
    ruled: tuple[tuple[str, str, str], ...]
    limits: dict[str, Any] = field(default_factory=dict)


def row(name: str, proposal: Proposal, verdict: str, size: str = "", rule: str = "", **limits: Any) -> Row:
    return Row(name, (proposal,), ((verdict, size, rule),), limits)


def taken(name: str, proposal: Proposal, **limits: Any) -> Row:
    return row(name, proposal, "accepted", f"{proposal.quantity}", **limits)


def refused(name: str, rule: str, proposal: Proposal = LONG, **changes: Any) -> Row:
    limits = changes.pop("limits", {})
    return row(name, replace(proposal, **changes), "refused", "", rule, **limits)


def target_at(ratio: str, stop: D) -> D:
    """Return the first target on the tick at which a long gains `ratio` times what it loses, all costs counted."""
    fee, slips = BTC.taker_fee, D("0.002")
    loses = ASK - stop + fee * (ASK + stop) + slips * stop
    exact = (D(ratio) * loses + ASK * (1 + fee)) / (1 - fee)
    return (exact / BTC.tick_size).to_integral_value(ROUND_CEILING) * BTC.tick_size


THREE = target_at("3", D(100_000))
TABLE = (
    taken("a sound long", LONG),
    taken("a sound short", SHORT),
    # the live price, not the one that was seen
    refused("a long's stop above the live price", "stop.side", stop_loss=D(101_500)),
    refused("a short's stop below the live price", "stop.side", SHORT, stop_loss=D(100_500)),
    taken("a long's stop above the price it saw and below the live one", replace(LONG, stop_loss=D(100_500))),
    refused("a long's stop exactly at the live mark", "stop.side", stop_loss=NOW),
    refused("a long's target below the live price, above the one it saw", "target.side", profit_target=D(100_900)),
    refused("a short's target above the live price", "target.side", SHORT, profit_target=D(101_100)),
    refused("a stop nearer than 0.2 % of the live price", "stop.distance", stop_loss=D("100900")),
    refused("a stop further than 10 % of the live price", "stop.distance", stop_loss=D(90_000)),
    refused("a stop beyond liquidation", "stop.liquidation", leverage=10, stop_loss=D(92_000), limits={"max_leverage": 10}),
    taken("the same stop where liquidation is further away", replace(LONG, stop_loss=D(92_000), quantity=D("0.009"), profit_target=D(120_000))),
    # what it pays
    refused("2.99 to 1 after fees where 3.00 is asked", "reward.ratio", stop_loss=D(100_000), profit_target=target_at("2.99", D(100_000)), limits={"min_reward_risk": D(3)}),
    refused("a tick short of 3.00 to 1", "reward.ratio", stop_loss=D(100_000), profit_target=THREE - BTC.tick_size, limits={"min_reward_risk": D(3)}),
    taken("3.00 to 1 after fees", replace(LONG, stop_loss=D(100_000), profit_target=THREE), min_reward_risk=D(3)),
    refused("3 to 1 by distance alone", "reward.ratio", stop_loss=D(100_000), profit_target=ASK + 3 * (ASK - 100_000), limits={"min_reward_risk": D(3)}),
    refused("a target that is required and not stated", "target.required", profit_target=None, limits={"target_required": True}),
    # leverage
    refused("leverage above the account's cap", "leverage.cap", leverage=4, limits={"max_leverage": 3}),
    taken("leverage at the account's cap", replace(LONG, leverage=3), max_leverage=3),
    refused("leverage above ten, whatever the account says", "leverage.cap", leverage=11),
    refused("leverage of a hundred", "leverage.cap", leverage=100),
    refused("no leverage", "leverage.whole", leverage=None),
    refused("leverage of nothing", "leverage.whole", leverage=0),
    refused("negative leverage", "leverage.whole", leverage=-2),
    # what may be traded
    refused("a symbol that is not the bot's", "symbol.allowed", symbol="SOLUSDT"),
    refused("a short where only long is allowed", "side.allowed", SHORT, limits={"sides": "long"}),
    refused("less confidence than asked", "confidence.floor", confidence=0.49),
    taken("as much confidence as asked", replace(LONG, confidence=0.5)),
    refused("a confidence that is no number", "confidence.floor", confidence=float("nan")),
    # numbers
    refused("a quantity that is no number", "proposal.numbers", quantity=NAN),
    refused("an infinite quantity", "proposal.numbers", quantity=INFINITE),
    refused("a negative quantity", "size.missing", quantity=D(-1)),
    refused("a quantity of nothing", "size.missing", quantity=D(0)),
    refused("no quantity", "size.missing", quantity=None),
    refused("a quantity of 1e30", "proposal.numbers", quantity=D("1e30")),
    refused("a stop that is no number", "proposal.numbers", stop_loss=NAN),
    refused("an infinite target", "proposal.numbers", profit_target=INFINITE),
    refused("a stop of 1e30", "proposal.numbers", stop_loss=D("1e30")),
    refused("no stop", "stop.missing", stop_loss=None),
    refused("a stop off the tick", "price.tick", stop_loss=D("99000.05")),
    refused("a stated risk that contradicts size and stop", "risk.stated", risk_usd=D(400)),
    # size and exposure
    row("a size beyond one per cent of risk", replace(LONG, quantity=D("0.09")), "reduced", "0.043", "size.risk"),
    row("ten times the account", replace(LONG, quantity=D(1), leverage=3, stop_loss=D("100700"), profit_target=D(104_000)), "reduced", "0.099", "cap.position", risk_per_trade=D("0.05")),
    row("a size that is reduced below the smallest order", LONG, "refused", "", "size.minimum", max_position=D("0.0004"), max_group=D(1)),
    Row("a second position beyond the group's cap", (replace(LONG, quantity=D("0.04")), replace(LONG, symbol=E, quantity=D("0.04"))), (("accepted", "0.04", ""), ("reduced", "0.019", "cap.group")), {"max_group": D("0.6"), "max_position": D("0.5")}),
    Row("a second position beyond the net cap", (replace(LONG, quantity=D("0.04")), replace(LONG, symbol=E, quantity=D("0.04"))), (("accepted", "0.04", ""), ("reduced", "0.009", "cap.net")), {"max_net": D("0.5"), "max_position": D("0.5")}),
    Row("a second position over the number of them", (LONG, replace(LONG, symbol=E)), (("accepted", "0.02", ""), ("refused", "", "positions.max")), {"max_positions": 1}),
    Row("a second entry on the symbol of the first", (LONG, replace(LONG, quantity=D("0.01"))), (("accepted", "0.02", ""), ("refused", "", "position.exists")), {}),
    # never anything else
    Row("a hold does nothing", (HOLD,), (("accepted", "", ""),)),
    Row("a close of what is not there", (CLOSE,), (("refused", "", "position.none"),)),
)  # fmt: skip


@dataclass
class GoneOn(StillMarket):
    """What was seen is of some seconds ago: the price has gone on since."""

    def instrument(self, symbol: str) -> InstrumentSpec:
        return replace(BTC, symbol=symbol, base=symbol[:-4])

    def quote(self, symbol: str, *, at: datetime) -> Quote:
        return Quote(symbol, at, NOW, BID, ASK, NOW)

    def snapshot(self, **asked: Any) -> MarketSnapshot:
        seen = super().snapshot(**asked)
        before = {"last": SEEN, "mark": SEEN, "bid": SEEN - 5, "ask": SEEN + 5}
        views = {
            name: replace(view, instrument=self.instrument(name), quote=replace(view.quote, **before))
            for name, view in seen.symbols.items()
        }
        return replace(seen, symbols=views)


@pytest.fixture
def decide(monkeypatch, client: Client):
    """Return a function that lets a bot of its own decide, and shows what came of it."""
    market, clock, asked = GoneOn(), SimulatedClock(NOON), list[tuple[Proposal, ...]]()
    monkeypatch.setitem(rules.RULES, "asks", lambda question: asked.pop())
    monkeypatch.setattr(live, "market_for", lambda venue: market)
    monkeypatch.setattr(live, "market_clock", lambda venue: clock)

    def decide(name: str, proposals: tuple[Proposal, ...], limits: dict[str, Any], **bot: Any):
        made = make_bot(name, **{"model": "rules/asks", "symbols": [B, E], **bot})
        RiskLimits.objects.filter(account=made.account).update(**limits)
        asked.append(proposals)
        run = cycle_run(bot_id=made.pk, scheduled_for=NOON)
        assert run.status == "done", run.text
        client.force_login(made.account.owner)
        page = client.get(f"/cycles/{run.cycle_id}/").content.decode()
        return list(Decision.objects.filter(cycle_id=run.cycle_id).order_by("sequence")), page, made

    return decide


def test_the_table_has_forty_rows_and_more():
    assert len({one.name for one in TABLE}) == len(TABLE) >= 40


def test_5_risk_table_against_live_price(decide):
    wrong = [text for number, one in enumerate(TABLE) for text in differences(decide, number, one)]
    assert not wrong, "\n".join(wrong)


def differences(decide, number: int, row: Row) -> Iterator[str]:
    """Yield what is not as the row says it."""
    decisions, page, bot = decide(f"row-{number}", row.asked, row.limits)
    if len(decisions) != len(row.ruled):
        yield f"{row.name}: {len(decisions)} rulings"
    for decision, (verdict, size, rule) in zip(decisions, row.ruled, strict=False):
        allowed = f"{decision.quantity.normalize():f}" if decision.quantity else ""
        if (decision.verdict, allowed) != (verdict, size):
            yield f"{row.name}: {decision.verdict} {allowed} by {decision.rule_ids}, expected {verdict} {size}"
        if rule and (rule not in decision.rule_ids or rule not in page):
            yield f"{row.name}: {rule} is not behind {decision.rule_ids}, or not shown"
        if rule and not any(hit["rule"] == rule and hit["text"] for hit in decision.hits):
            yield f"{row.name}: {rule} is stored without its words"
    sent = [
        order.quantity or D(0) for order in PaperOrder.objects.filter(paper__account_id=bot.account_id, type="LIMIT")
    ]
    wished = [one.quantity for one in row.asked if one.action.opens and one.quantity and one.quantity.is_finite()]
    if sent and max(sent) > max(wished):
        yield f"{row.name}: {max(sent)} was sent, and no more than {max(wished)} asked for"
    if bool(sent) != any(verdict != "refused" and size for verdict, size, _ in row.ruled):
        yield f"{row.name}: {len(sent)} entries were sent"


SOUND = {
    "coin": B, "signal": "buy_to_enter", "quantity": 0.018, "leverage": 2, "stop_loss": 96_000, "profit_target": 113_000,
    "risk_usd": 81, "confidence": 0.8, "invalidation_condition": "below 96,000", "justification": "it rises",
}  # fmt: skip
TEXTS: dict[str, dict[str, Any] | str] = {
    "a number as text": {"quantity": "0.02"},
    "a number as a sentence": {"stop_loss": "about 99k"},
    "NaN": {"quantity": float("nan")},
    "Infinity": {"profit_target": float("inf")},
    "a list for a number": {"leverage": [2]},
    "an unknown signal": {"signal": "buy the dip"},
    "true for a number": {"leverage": True},
    "leverage below one": {"leverage": -2},
    "a size of 1e30": {"quantity": 1e30},
}


@pytest.fixture
def model(settings) -> Iterator[ModelServer]:
    prompt_template_install()
    with model_server() as server:
        settings.LLM_BASE_URL, settings.LLM_API_KEY = server.url, "of-a-test"
        yield server


def test_5b_what_is_no_number_in_a_reply_is_a_hold_that_is_stored_with_its_reason(decide, model):
    for number, (name, change) in enumerate({"sound": {}, **TEXTS}.items()):
        model.behaviours[:] = [answering(lambda asked, item={**SOUND, **change}: decisions_text(asked, item))]
        model.requests.clear()
        decisions, _, bot = decide(f"text-{number}", (), {}, model=f"openrouter/{MODEL}", symbols=[B])
        kept = Interaction.objects.get(bot=bot, used=True)
        if name == "sound":
            assert [one.verdict for one in decisions] == ["accepted"], kept.reason
            continue
        assert not PaperOrder.objects.filter(paper__account_id=bot.account_id).exists(), name
        assert not [one for one in decisions if one.action.endswith("enter")], name
        assert kept.reason, name


def test_5c_nothing_that_the_bot_asks_for_is_ever_raised(decide):
    """Whatever the limits would allow, a small wish stays small."""
    for number, size in enumerate(("0.001", "0.003", "0.0199")):
        decisions, _, _ = decide(
            f"small-{number}", (replace(LONG, quantity=D(size), leverage=1),), {"risk_per_trade": D("0.5")}
        )
        assert decisions[0].quantity is not None
        assert decisions[0].quantity <= D(size)
        assert decisions[0].leverage == 1
