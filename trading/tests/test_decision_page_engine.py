"""What the engine writes down is what the page of the decision reads: real cycles, a model server on loopback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from accounts.models import Bot
from decisions.models import Interaction, PromptTemplate
from decisions.tests.llm_server import ModelServer, hangs_up, model_server, sends
from trading.selectors.trace import cycle_to_show, trace_of
from trading.tests.replay_kit import House, answers, make_house

pytestmark = pytest.mark.django_db(transaction=True)
PASSED = dict.fromkeys(("asked", "answered", "parsed", "schema", "meaning", "risk", "orders"), "PASSED")


@pytest.fixture
def house(monkeypatch) -> House:
    return make_house(monkeypatch)


@pytest.fixture
def model(settings) -> Iterator[ModelServer]:
    with model_server(hangs_up()) as server:
        settings.LLM_BASE_URL, settings.LLM_API_KEY = server.url, "of-a-test"
        yield server


def way_of(house, cycle):
    trace = trace_of(cycle_to_show(house.account.owner, cycle.pk))
    return {mark.station.value: mark.state.name for mark in trace.way.stations}, trace


def stop_of(trace):
    return next(((mark.station.value, mark.code) for mark in trace.way.stations if mark.state.name == "STOPPED"), None)


def test_an_entry_goes_all_the_way_to_an_open_position(house, model, client):
    model.behaviours[:] = [answers(house.entry(), house.hold())]
    cycle = house.cycle()
    states, trace = way_of(house, cycle)
    assert states == PASSED | {"result": "WAITING"}
    assert [row.symbol for row in trace.way.rows] == ["BTCUSDT", "ETHUSDT"]
    rung = trace.askings[0].rungs[0]
    assert (rung.form, rung.effort, rung.max_tokens) == ("strict", "low", "4000")
    client.force_login(house.account.owner)
    page = client.get(f"/cycles/{cycle.pk}/").content.decode()
    assert "position is open" in page
    assert "filled" in page
    row = Interaction.objects.get(cycle=cycle)
    for part in ("prompt", "reply"):
        assert "decision_id" in client.get(f"/cycles/{cycle.pk}/interactions/{row.pk}/{part}/").content.decode()


def test_a_stop_on_the_wrong_side_stops_at_the_meaning_of_one_symbol(house, model):
    model.behaviours[:] = [answers(house.entry(stop_loss=float(house.price["BTCUSDT"] + 50)), house.hold())]
    states, trace = way_of(house, house.cycle())
    assert states["meaning"] == "PARTLY"
    held = next(row for row in trace.way.rows if row.symbol == "BTCUSDT")
    assert [mark.code for mark in held.marks if mark.code] == ["stop_loss.side"]


def test_a_form_that_is_wrong_stops_at_the_schema_of_one_symbol(house, model):
    model.behaviours[:] = [answers(house.entry(leverage="2"), house.hold())]
    states, trace = way_of(house, house.cycle())
    assert states["schema"] == "PARTLY"
    held = next(row for row in trace.way.rows if row.symbol == "BTCUSDT")
    assert [mark.station.value for mark in held.marks if mark.code] == ["schema"]


def test_two_fences_stop_where_the_text_is_read_and_the_second_request_is_told(house, model):
    model.behaviours[:] = [answers(text=lambda _: "```json\n{}\n```\n```json\n{}\n```")]
    _, trace = way_of(house, house.cycle())
    assert stop_of(trace) == ("parsed", "text.fences")
    assert len(trace.askings[0].rungs) == 2


def test_a_server_that_fails_stops_where_it_should_answer(house, model):
    model.behaviours[:] = [sends(b'{"error": {"code": 503}}', 503)]
    _, trace = way_of(house, house.cycle())
    assert stop_of(trace) == ("answered", "http.503")


def test_a_bot_without_a_template_stops_before_it_asks(house, model):
    PromptTemplate.objects.all().delete()
    _, trace = way_of(house, house.cycle())
    assert stop_of(trace) == ("asked", "template")
    assert trace.askings == ()


def test_a_budget_that_is_used_up_stops_before_it_asks(house, model):
    model.behaviours[:] = [answers(house.hold(), house.hold("BTCUSDT"))]
    Bot.objects.update(tokens_per_day=1)
    house.bot.refresh_from_db()
    _, trace = way_of(house, house.cycle())
    assert stop_of(trace) == ("asked", "budget")


def test_what_risk_refuses_stops_there_with_the_rule(house, model):
    model.behaviours[:] = [answers(house.entry(confidence=0.0), house.hold())]
    house.account.limits.__class__.objects.update(min_confidence="0.9")
    states, trace = way_of(house, house.cycle())
    assert states["risk"] == "PARTLY"
    row = trace.way.rows[0]
    assert [mark.station.value for mark in row.marks if mark.code] == ["risk"]
