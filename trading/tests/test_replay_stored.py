"""A cycle once more: the stored reply ends in the same rulings, until a rule, a limit or the gate is another one."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Bot, RiskLimits
from decisions.deciders import rules
from decisions.domain import gate
from decisions.domain.kept import Unkept
from decisions.domain.proposal import Action, Proposal
from decisions.models import Approval, Cycle, Decision, Interaction
from decisions.selectors.markets import snapshot_of_cycle
from decisions.tests.llm_server import ModelServer, hangs_up, model_server
from marketdata.models import Candle, Snapshot
from marketdata.seen import MarketGone
from marketdata.services.books import market_for
from trading.services.journal import orm
from trading.services.replay import THEN, cycle_find, moment_of, replay_stored
from trading.tests.replay_kit import VENUE, House, answers, make_house
from vibex.lib.errors import Rejected

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def house(monkeypatch) -> House:
    return make_house(monkeypatch)


@pytest.fixture
def model(settings) -> Iterator[ModelServer]:
    with model_server(hangs_up()) as server:
        settings.LLM_BASE_URL, settings.LLM_API_KEY = server.url, "of-a-test"
        yield server


@pytest.fixture
def cut_off(settings, monkeypatch):
    """Let nothing be asked from now on: no address, no key, no socket."""

    def cut() -> None:
        def refuse(*_: Any, **__: Any) -> None:
            raise AssertionError("a replay opened a connection")

        settings.LLM_BASE_URL = settings.LLM_API_KEY = settings.OPENROUTER_API_KEY = None
        for name in ("connect", "connect_ex"):
            monkeypatch.setattr(socket.socket, name, refuse)

    return cut


def rows() -> dict[str, int]:
    return {table._meta.label: table.objects.count() for table in apps.get_models() if table._meta.managed}


def again(cycle: Cycle, **options: Any):
    return replay_stored(cycle=cycle_find(cycle.pk), **options)


@pytest.mark.ci
def test_every_cycle_of_a_life_replays_to_the_rulings_it_had_and_nothing_is_written_or_sent(house, model, cut_off):
    model.behaviours[:] = [
        answers(house.entry(), house.hold()),  # opens
        answers(house.entry(quantity="0.01"), house.entry("ETHUSDT", quantity="5")),  # refused, and reduced
        answers(house.hold("BTCUSDT"), house.entry("ETHUSDT", stop_loss=1e9)),  # held by the gate
        answers(house.close(), house.hold()),
        answers(house.close(), house.hold()),  # nothing to close any more
    ]
    ran = [house.run() for _ in range(5)]
    assert [run.status for run in ran] == ["done"] * 5
    assert {ruling.verdict.value for run in ran for ruling in run.result.rulings} == {"accepted", "reduced", "refused"}
    cut_off()
    before = rows()
    for run in ran:
        replay = replay_stored(cycle=cycle_find(run.cycle_id))
        assert replay.same, (replay.changes, [symbol.changes for symbol in replay.symbols])
        assert replay.rulings == run.result.rulings
        assert replay.limits_changed == ()
    assert rows() == before


def test_what_an_order_is_made_of_is_the_same_so_the_same_orders_would_follow(house, model):
    model.behaviours[:] = [answers(house.entry(), house.entry("ETHUSDT"))]
    run = house.run()
    assert len(run.result.done) == 2
    moment = moment_of(cycle_find(run.cycle_id))
    assert replay_stored(cycle=cycle_find(run.cycle_id)).rulings == run.result.rulings
    for symbol, view in moment.live.symbols.items():
        assert view.instrument == market_for(VENUE).instrument(symbol)
        assert view.quote == market_for(VENUE).quote(symbol, at=house.at)
    assert moment.question.portfolio == run.result.portfolio
    assert moment.question.decision_id == run.result.question.decision_id


def test_a_limit_that_was_changed_shows_with_the_rule_and_its_numbers_and_is_left_out_on_demand(house, model):
    model.behaviours[:] = [answers(house.entry(), house.hold())]
    cycle = house.cycle()
    RiskLimits.objects.filter(account=house.account).update(risk_per_trade=Decimal("0.0005"))
    replay = again(cycle)
    assert [str(change) for change in replay.limits_changed] == ["risk_per_trade: 0.01 → 0.0005"]
    changed = {symbol.symbol: [change.field for change in symbol.changes] for symbol in replay.symbols}
    assert changed["ETHUSDT"] == []
    assert changed["BTCUSDT"][:2] == ["verdict", "allowed"]
    assert not replay.same
    (risk,) = [change for change in replay.symbols[0].changes if "0.0005" in change.now or "risk" in change.field]
    assert risk.then == "silent"
    assert again(cycle, limits=THEN).same


def test_a_gate_that_became_stricter_shows_as_another_reading(house, model, monkeypatch):
    model.behaviours[:] = [answers(house.entry(), house.hold())]
    cycle = house.cycle()
    monkeypatch.setattr(gate, "PLAUSIBLE", (Decimal("0.99"), Decimal(2)))
    (bitcoin,) = [symbol for symbol in again(cycle).symbols if symbol.symbol == "BTCUSDT"]
    assert bitcoin.now is None
    assert [change.field for change in bitcoin.changes][-1] == "decision"


def test_a_symbol_that_the_gate_held_for_another_reason_shows_it(house, model):
    model.behaviours[:] = [answers(house.entry(stop_loss=1e9), house.hold())]
    cycle = house.cycle()
    assert again(cycle).same
    row = Interaction.objects.get()
    Interaction.objects.update(reason=row.reason.replace("stop_loss.side", "stop_loss.other"), parameters={})
    (gate_then,) = [change for symbol in again(cycle).symbols for change in symbol.changes]
    assert str(gate_then) == "gate: stop_loss.other → stop_loss.side"


def test_a_reply_that_was_rejected_is_rejected_again_for_the_same_reason(house, model):
    model.behaviours[:] = [answers(text=lambda asked: "I would buy")]
    replay = again(house.cycle())
    assert (replay.then.outcome, replay.now.outcome) == ("rejected", "rejected")
    assert replay.same


@pytest.mark.postgres  # several threads write
def test_the_replies_of_several_models_are_merged_again_and_who_was_silent_counts(house, model, settings, cut_off):
    settings.FEATURE_ENSEMBLE = True
    said = {
        "test/model": answers(house.entry(quantity="0.03"), house.hold()),
        "test/second": answers(house.entry(), house.hold(), model="test/second"),
        "test/third": hangs_up(),
    }
    model.behaviours[:] = [lambda socket, request: said[request["model"]](socket, request)]
    others = ["openrouter/test/second", "openrouter/test/third"]
    Bot.objects.update(ensemble_models=others, fallback_models=[])
    cycle = house.cycle()
    Bot.objects.update(ensemble_rule="unanimous", ensemble_models=[])  # the rule of then is what counts
    cut_off()
    replay = again(cycle)
    assert replay.same, (replay.changes, replay.symbols)
    assert replay.replies == 2
    assert next((symbol.symbol, symbol.now.quantity) for symbol in replay.symbols) == ("BTCUSDT", Decimal("0.02"))
    Interaction.objects.filter(model_requested="test/second").update(reply="{}")
    changed = again(cycle)
    assert [symbol.now.action for symbol in changed.symbols] == ["hold", "hold"]
    assert not changed.same


def test_rules_decide_again_on_all_candles_of_then(house, monkeypatch, cut_off):
    seen = []

    def watch(question):
        seen.append(question)
        return (Proposal("BTCUSDT", Action.HOLD), Proposal("ETHUSDT", Action.CLOSE))

    monkeypatch.setitem(rules.RULES, "watch", watch)
    type(house.bot).objects.filter(pk=house.bot.pk).update(model="rules/watch")
    cycle = house.cycle()
    cut_off()
    replay = again(cycle)
    assert replay.same
    assert (replay.replies, len(replay.symbols)) == (0, 2)
    then, now = (question.snapshot.symbols["BTCUSDT"] for question in seen)
    for interval, timeframe in then.timeframes.items():
        for name, values in timeframe.indicators.items():
            assert np.array_equal(values, now.timeframes[interval].indicators[name], equal_nan=True), name
    assert then.ages == now.ages


def test_rules_are_not_replayed_on_candles_that_were_corrected_since(house):
    type(house.bot).objects.filter(pk=house.bot.pk).update(model="rules/trend")
    cycle = house.cycle()
    candle = Candle.objects.filter(symbol="ETHUSDT").order_by("-open_time")[30:31].get()
    Candle.objects.filter(symbol="ETHUSDT", open_time=candle.open_time).update(volume=candle.volume + 1)
    with pytest.raises(MarketGone, match="candles of ETHUSDT"):
        again(cycle)


def test_the_market_that_a_cycle_saw_comes_back_with_the_newest_value_of_every_indicator(house, model):
    model.behaviours[:] = [answers(house.hold("BTCUSDT"), house.hold())]
    run = house.run()
    seen, stored = run.result.snapshot, snapshot_of_cycle(Cycle.objects.get(pk=run.cycle_id))
    assert (stored.digest, stored.at, stored.venue) == (seen.digest, seen.at, seen.venue)
    for symbol, view in seen.symbols.items():
        assert stored.symbols[symbol].quote == view.quote
        assert stored.symbols[symbol].instrument == view.instrument
        for interval, timeframe in view.timeframes.items():
            for name, values in timeframe.indicators.items():
                assert np.array_equal(
                    stored.symbols[symbol].timeframes[interval].indicators[name], values[-1:], equal_nan=True
                )
    whole = snapshot_of_cycle(Cycle.objects.get(pk=run.cycle_id), candles=True)
    assert len(whole.symbols["BTCUSDT"].timeframes["3m"].candles) == len(
        seen.symbols["BTCUSDT"].timeframes["3m"].candles
    )


def test_what_cannot_be_kept_keeps_no_cycle_from_trading(house, model, monkeypatch):
    def broken(*_: Any) -> None:
        raise TypeError("no form")

    monkeypatch.setattr(orm, "cycle_kept", broken)
    model.behaviours[:] = [answers(house.entry(), house.hold())]
    cycle = house.cycle()
    assert (cycle.kept, cycle.account.positions.count()) == ({}, 1)


def test_keeping_takes_no_statement_more(house, monkeypatch):
    Bot.objects.update(model="rules/hold")
    house.cycle()
    with CaptureQueriesContext(connection) as kept:
        assert house.cycle().kept
    monkeypatch.setattr(orm.OrmJournal, "keep", lambda *_: None)
    with CaptureQueriesContext(connection) as bare:
        assert not house.cycle().kept
    assert len(kept) == len(bare)


def test_what_an_approval_was_ruled_into_later_is_no_part_of_what_the_cycle_decided(house, model):
    Bot.objects.update(approval=True)
    model.behaviours[:] = [answers(house.entry(), house.hold())]
    run = house.run()
    assert run.status == "awaiting"
    approval = Approval.objects.get()
    later = Decision.objects.get(pk=approval.decision_id)
    later.pk, later.sequence, later.verdict = None, 2, "refused"
    later.save()
    Approval.objects.update(ruled_again=later)
    assert replay_stored(cycle=cycle_find(run.cycle_id)).same


@pytest.mark.parametrize(
    ("spoil", "error", "says"),
    [
        (lambda cycle: Cycle.objects.filter(pk=cycle.pk).update(kept={}), Unkept, "from before"),
        (lambda cycle: Cycle.objects.filter(pk=cycle.pk).update(kept={"v": 9}), Unkept, "form 9"),
        (lambda cycle: Snapshot.objects.filter(symbol="ETHUSDT").delete(), MarketGone, "ETHUSDT are gone"),
        (lambda cycle: Cycle.objects.filter(pk=cycle.pk).update(digest="0" * 64), Rejected, "two hashes differ"),
        (lambda cycle: cycle.interactions.update(reply=""), Rejected, "not stored any more.*--model"),
        (
            lambda cycle: cycle.interactions.update(outcome="no_answer", reason="timeout: x"),
            Rejected,
            "timeout.*--model",
        ),
    ],
)
def test_what_is_missing_for_a_replay_is_said(house, model, spoil, error, says):
    model.behaviours[:] = [answers(house.hold("BTCUSDT"), house.hold())]
    cycle = house.cycle()
    spoil(cycle)
    with pytest.raises(error, match=says):
        again(cycle)


def test_a_cycle_that_does_not_exist_or_was_skipped_or_asked_nobody_says_so(house, model):
    with pytest.raises(Rejected, match="no cycle 4711"):
        cycle_find(4711)
    type(house.bot).objects.filter(pk=house.bot.pk).update(cost_per_day=Decimal(0))
    with pytest.raises(Rejected, match="asked nobody"):
        again(house.cycle())
    Cycle.objects.update(status="skipped", error="another one was running")
    with pytest.raises(Rejected, match="was skipped: another one was running"):
        again(Cycle.objects.get())
