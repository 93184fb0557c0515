"""A model server that others wrote, in the shape of OpenRouter, through the whole cycle: what is asked, kept and done."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from decisions.llm import client
from tests.peers.aimock import Aimock, aimock
from tests.peers.house import CLOSE, ENTRY, HOLD, House, enter, next_candle, says
from trading.models import Position

pytestmark = [pytest.mark.ci, pytest.mark.django_db(transaction=True)]
USAGE = {"prompt_tokens": 4100, "completion_tokens": 210, "total_tokens": 4310, "cost": 0.00331}


def answers(model: str, *items: dict[str, Any], reply: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A fixture: what the model answers. `match` narrows it, `reply` goes into the body, `chaos` is what goes wrong."""
    match = {"model": model, **more.pop("match", {})}
    return {"match": match, "answer": {"content": says(*items), "usage": USAGE, **(reply or {})}, **more}


def fails(model: str, status: int, *, metadata: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A fixture: the error with which the server answers for the model."""
    match = {"model": model, **more.pop("match", {})}
    error = {"message": "no", "code": str(status), **({"metadata": metadata} if metadata else {})}
    return {"match": match, "error": error, "status": status, **more}


FIXTURES = [
    answers("a/good", ENTRY),
    answers("a/holds", HOLD),
    answers("a/closes", CLOSE),
    fails("a/402", 402, metadata={"error_type": "payment_required"}),
    fails(
        "a/403", 403, metadata={"reasons": ["violence"], "flagged_input": "…", "provider_name": "p", "model_slug": "a"}
    ),
    fails("a/429", 429, retryAfter=1),
    fails("a/429-long", 429, retryAfter=90),
    fails("a/429-once", 429, retryAfter=1, match={"sequenceIndex": 0}),
    answers("a/429-once", ENTRY, match={"sequenceIndex": 1}),
    fails("a/503", 503, metadata={"error_type": "provider_overloaded"}),
    fails("a/401", 401),
    fails("a/404", 404),
    answers("a/malformed", ENTRY, chaos={"malformedRate": 1}),
    answers("a/dropped", ENTRY, chaos={"disconnectRate": 1}),
    answers("a/500", ENTRY, chaos={"dropRate": 1}),
    answers("a/slow", ENTRY, chaos={"latencyMs": 4000}),
    answers("a/length", ENTRY, reply={"finishReason": "length"}),
    answers("a/native", ENTRY, reply={"nativeFinishReason": "MAX_TOKENS"}),
    answers("a/filter", ENTRY, reply={"finishReason": "content_filter"}),
    answers("a/other", ENTRY, reply={"model": "b/other"}),
    {"match": {"model": "a/prose"}, "answer": {"content": "I would rather not say.", "usage": USAGE}},
    {"match": {"model": "a/empty"}, "answer": {"content": "", "usage": USAGE}},
    {"match": {"model": "a/cut"}, "answer": {"content": says(ENTRY)[:-40], "usage": USAGE}},
    {
        "match": {"model": "a/stale"},
        "answer": {"content": says(ENTRY).replace("$decision_id", "0" * 16), "usage": USAGE},
    },
]


@pytest.fixture(scope="module")
def peer() -> Iterator[Aimock]:
    with aimock(FIXTURES) as running:
        yield running
    client.close()


@pytest.fixture
def house(peer: Aimock, monkeypatch: pytest.MonkeyPatch) -> House:
    return enter(monkeypatch, peer.base_url)


def test_a_decision_is_asked_for_taken_and_traded(house: House, peer: Aimock):
    told = house.ask("a/good")
    assert told.run.status == "done"
    assert told.decided == [("BTCUSDT", "buy_to_enter")]
    position = Position.objects.get(account=told.bot.account)
    assert (position.side, position.quantity, position.stop) == ("long", Decimal("0.02"), Decimal(98_000))
    (row,) = told.rows
    assert (row.outcome, row.model_requested.endswith("a/good"), row.model_served) == ("answered", True, "a/good")
    assert (row.prompt_tokens, row.completion_tokens, row.cost) == (4100, 210, Decimal("0.00331"))
    assert (row.http_status, row.finish_reason) == (200, "stop")
    assert row.generation_id.startswith("gen-")
    assert "buy_to_enter" in row.reply
    asked = peer.requests("a/good")[-1]
    assert asked["response_format"]["json_schema"]["strict"] is True
    assert asked["max_tokens"] == told.bot.max_tokens
    assert asked["reasoning"]["effort"] == "low"
    assert not asked.get("stream")


def test_a_position_is_held_and_closed_by_the_next_replies(house: House):
    bot = house.bot("a/good")
    house.cycle(bot)
    bot.model = "peer/a/holds"
    bot.save()
    assert house.cycle(bot, at=next_candle(1)).decided == [("BTCUSDT", "hold")]
    assert Position.objects.get(account=bot.account).closed is None
    bot.model = "peer/a/closes"
    bot.save()
    assert house.cycle(bot, at=next_candle(20)).decided == [("BTCUSDT", "close_position")]
    assert Position.objects.get(account=bot.account).closed is not None


ERRORS = {
    "402": ("a/402", "http.402"),
    "403": ("a/403", "http.403"),
    "401": ("a/401", "http.401"),
    "404": ("a/404", "http.404"),
    "429 with Retry-After beyond the deadline": ("a/429-long", "http.429"),
    "503": ("a/503", "http.503"),
    "500": ("a/500", "http.500"),
    "malformed": ("a/malformed", "envelope.not_json"),
    "dropped": ("a/dropped", "unreachable"),
    "cut by length": ("a/length", "envelope.finish"),
    "cut by the provider": ("a/native", "envelope.finish"),
    "filtered": ("a/filter", "envelope.finish"),
    "another model": ("a/other", "envelope.other_model"),
    "prose": ("a/prose", "text.no_json"),
    "empty": ("a/empty", "envelope.content"),
    "cut text": ("a/cut", "json.invalid"),
    "an older answer": ("a/stale", "reply.decision_id"),
    "nobody": ("a/nobody", "http.503"),
}


@pytest.mark.parametrize(("model", "code"), ERRORS.values(), ids=ERRORS)
def test_what_is_no_answer_holds_is_kept_and_opens_nothing(house: House, model: str, code: str):
    told = house.ask(model, seconds=3.0)
    told.assert_held(code)
    assert [row.used for row in told.rows] == [False] * (len(told.rows) - 1) + [True]
    paid = [row for row in told.rows if row.http_status == 200 and row.completion_tokens]
    assert all(row.cost == Decimal("0.00331") for row in paid)


@pytest.mark.parametrize(
    "model", ["a/402", "a/403", "a/503", "a/malformed", "a/dropped", "a/length", "a/prose", "a/404"]
)
def test_another_model_is_asked_in_time_where_there_is_one_that_may(house: House, model: str, peer: Aimock):
    """Money that is used up is used up for every model of that provider; everything else is a matter of the one."""
    told = house.ask(model, "a/good", seconds=8.0)
    if model == "a/402":
        told.assert_held("http.402")
        return
    assert told.opened
    assert told.used.model_served == "a/good"
    assert [row.used for row in told.rows] == [False] * (len(told.rows) - 1) + [True]
    assert all(row.reason for row in told.rows[:-1])


def test_a_stated_wait_that_fits_is_kept_and_then_asked_again(house: House):
    began = time.monotonic()
    told = house.ask("a/429-once", seconds=8.0)
    assert told.opened
    assert time.monotonic() - began >= 1.0
    assert [row.http_status for row in told.rows] == [429, 200]


def test_a_slow_model_is_given_up_at_the_deadline(house: House):
    began = time.monotonic()
    told = house.ask("a/slow", "a/good", seconds=1.0)
    assert time.monotonic() - began < 1.5 + 1.0, "the cycle's own work beside the deadline"
    told.assert_held("timeout")
    assert told.cost > 0, "what was sent and not answered is booked with an estimate"


def test_a_refused_key_asks_nobody_else(house: House, peer: Aimock):
    before = len(peer.requests("a/good"))
    house.ask("a/401", "a/good").assert_held("http.401")
    assert len(peer.requests("a/good")) == before
