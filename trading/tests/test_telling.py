"""Each event that people are told of, made to happen: told once, to whom it concerns, in words that say what it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import Alert
from decisions.deciders import rules
from decisions.domain.proposal import Proposal
from decisions.services import prompt_template_install
from marketdata.domain.snapshot import MarketSnapshot
from trading.domain.losses import DAY
from trading.domain.venue_events import MarginCalled
from trading.models import Fill
from trading.services import live
from trading.services.live import CycleRun, cycle_run
from trading.services.reconcile import account_reconcile
from trading.services.standing import lock_put
from trading.services.user_events import venue_event_apply
from trading.tests.builders import make_bot
from trading.tests.live_kit import BUY, CLOSE, LiveHouse, live_exchange, live_house
from trading.tests.venue_support import NOON, StillMarket
from vibex.lib.clock import SimulatedClock

pytestmark = pytest.mark.django_db(transaction=True)
LEVERED = replace(BUY, leverage=50)


@pytest.fixture(scope="module")
def exchange() -> Iterator[Any]:
    with live_exchange() as served:
        yield served


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch, exchange: Any) -> Iterator[LiveHouse]:
    with live_house(monkeypatch, served=exchange) as made:
        exchange.control.clear()
        yield made


class Problems(StillMarket):
    """A market whose symbols have a problem while the test says so."""

    problem = ""

    def snapshot(self, **asked: Any) -> MarketSnapshot:
        seen = super().snapshot(**asked)
        views = {name: replace(view, problem=self.problem or None) for name, view in seen.symbols.items()}
        return replace(seen, symbols=views)


class Paper:
    """A bot on paper, run candle by candle."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, model: str = "rules/scripted") -> None:
        self.market, self.clock = Problems(), SimulatedClock(NOON)
        self.proposals: tuple[Proposal, ...] = ()
        monkeypatch.setitem(rules.RULES, "scripted", lambda question: self.proposals)
        monkeypatch.setattr(live, "market_for", lambda venue: self.market)
        monkeypatch.setattr(live, "market_clock", lambda venue: self.clock)
        self.bot = make_bot(model=model)

    def run(self, *proposals: Proposal) -> CycleRun:
        self.proposals = proposals
        self.clock.move_to(self.clock.at + timedelta(minutes=3))
        return cycle_run(bot_id=self.bot.pk, scheduled_for=self.clock.at)


@pytest.fixture
def paper(monkeypatch: pytest.MonkeyPatch) -> Paper:
    return Paper(monkeypatch)


def told(kind: str) -> list[Alert]:
    return list(Alert.objects.filter(type=kind).order_by("pk"))


@pytest.mark.ci
def test_a_fill_and_a_stop_that_is_hit(house: LiveHouse) -> None:
    house.cycle(BUY)
    [fill] = told("fill")
    assert (fill.message, fill.severity, fill.count) == ("Bought 0.02 BTCUSDT at 100000.", "info", 1)
    assert (fill.user, fill.bot) == (house.account.owner, house.bot)
    house.at(97_900)
    house.guard()
    [stop] = told("stop-hit")
    assert stop.message.startswith("BTCUSDT long was closed at ")
    assert "(stop): -" in stop.message
    assert (stop.severity, len(told("fill"))) == ("warning", 1)
    house.guard(2)
    assert [alert.count for alert in Alert.objects.all()] == [1, 1]


def test_an_entry_in_pieces_is_told_once_and_so_is_its_close(monkeypatch: pytest.MonkeyPatch) -> None:
    with live_house(monkeypatch) as house:
        asks = [["100000", "0.008"], ["100001", "5"]]
        house.served.control.set_depth("BTCUSDT", bids=[["99999", "5"]], asks=asks)
        house.cycle(BUY)
        assert Fill.objects.count() == 2
        [entry] = told("fill")
        assert entry.message == "Bought 0.02 BTCUSDT at 100000.6."
        house.cycle(CLOSE)
        words = [alert.message.split(" at ")[0] for alert in told("fill")]
        assert words == ["Bought 0.02 BTCUSDT", "BTCUSDT long was closed"]
        assert not told("stop-hit")


def test_five_refusals_in_a_row_are_told_once_per_streak(paper: Paper) -> None:
    for _ in range(4):
        paper.run(LEVERED)
    assert not told("refusal-streak")
    for _ in range(3):
        paper.run(LEVERED)
    [streak] = told("refusal-streak")
    assert (streak.count, streak.bot) == (1, paper.bot)
    assert streak.message.startswith("The last 5 entries of paper were refused. The last one, BTCUSDT: ")
    assert streak.message.endswith("Leverage 50 is above the cap of 5.")


@pytest.mark.ci
def test_an_entry_between_two_streaks_of_refusals_begins_the_count_anew(paper: Paper) -> None:
    for _ in range(4):
        paper.run(LEVERED)
    assert paper.run(BUY).status == "done"
    for _ in range(4):
        paper.run(LEVERED)
    assert not told("refusal-streak")


def test_stale_data_is_told_once_until_it_is_fresh_again(paper: Paper) -> None:
    paper.run()
    for problem in ("the price is 41 s old", "the price is 221 s old", "", "the price is 50 s old"):
        paper.market.problem = problem
        paper.run(BUY)
        Alert.objects.update(acknowledged=NOON)  # so that nothing is put together
    first, second = told("data-stale")
    assert (first.subject, first.count, second.count) == ("BTCUSDT", 1, 1)
    assert first.message == "paper opens nothing on BTCUSDT until its data is good again: the price is 41 s old."
    assert "50 s" in second.message


@pytest.mark.ci
def test_a_model_that_fails_three_times_in_a_row_is_told_once(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.LLM_BASE_URL, settings.LLM_API_KEY = "http://127.0.0.1:1/v1", "of-a-test"
    prompt_template_install()
    paper = Paper(monkeypatch, model="openrouter/nobody/answers")
    for _ in range(2):
        paper.run()
    assert not told("model-failing")
    for _ in range(2):
        paper.run()
    [silent] = told("model-failing")
    assert (silent.severity, silent.subject, silent.count) == ("error", "nobody/answers", 1)
    assert "paper holds" in silent.message


def test_a_stop_that_the_exchange_refuses_is_missing_protection(house: LiveHouse) -> None:
    house.fault("refuse", path="*/order", method="POST", form={"type": "STOP_MARKET"}, code=-4045, count=2)
    house.cycle(BUY)
    [missing] = told("missing-protection")
    assert (missing.severity, missing.subject, missing.user) == ("critical", "", house.account.owner)
    [closed] = [alert for alert in told("fill") if "closed" in alert.message]
    assert "(flatten)" in closed.message


def test_a_warning_of_the_exchange_is_told(house: LiveHouse) -> None:
    venue_event_apply(account=house.account, event=MarginCalled(at=NOON, symbols=("BTCUSDT",)))
    [near] = told("liquidation-near")
    assert near.severity == "critical"
    assert near.incident is not None


def test_books_that_differ_from_the_exchange_are_told(house: LiveHouse) -> None:
    house.cycle(BUY)
    Fill.objects.update(realised=Decimal("12.5"))
    account_reconcile(account_id=house.account.pk, trigger="operator")
    [difference] = told("reconcile-difference")
    assert "12.5" in difference.message


def test_a_loss_limit_is_told_once_per_lock(paper: Paper) -> None:
    for _ in range(2):
        lock_put(account=paper.bot.account, symbol="", reason="3.1 % of the day are lost", kind=DAY)
    [limit] = told("limit-reached")
    assert (limit.severity, limit.count) == ("critical", 1)
