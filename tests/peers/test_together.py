"""Several models through the whole cycle: what they agree on is traded, what shadows want never is, all is on record."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal

import openai  # noqa: F401 - it takes a while, which is not to count against the deadlines below
import pytest
from django.utils import timezone

from accounts.models import Account, Alert
from decisions.domain.shares import Share
from decisions.llm import client
from decisions.models import Cycle, Decision, DiaryEntry, Interaction
from decisions.selectors import feedback_for
from decisions.selectors.agreement import agreement
from decisions.tests.builders import envelope
from decisions.tests.llm_server import Behave, model_server, sends, stays_silent
from tests.peers.house import CLOSE, ENTRY, HOLD, House, enter, next_candle, says
from tests.peers.test_raw_server import asked_id
from trading.models import Order, Position
from trading.services.journal.orm import OrmJournal

pytestmark = [pytest.mark.ci, pytest.mark.postgres, pytest.mark.django_db(transaction=True)]
"""PostgreSQL, because members ask in threads: a SQLite in memory, unlike one in a file, lets no two of them write."""
SMALL = ENTRY | {"quantity": 0.01, "risk_usd": 20.05, "check": "0.01 104000.0 98000.0 2", "justification": "small"}
SHORT = SMALL | {
    "signal": "sell_to_enter",
    "stop_loss": 102000.0,
    "profit_target": 96000.0,
    "check": "0.01 96000.0 102000.0 2",
}
Serve = Callable[..., "House"]


def answers(*items: dict, after: float = 0.0) -> Behave:
    """Answer the question with these items, as the model that was asked, after so many seconds."""

    def behave(connection, request):
        time.sleep(after)
        text = says(*items).replace("$decision_id", asked_id(request))
        sends(envelope(text, model=request["model"]))(connection, request)

    return behave


@pytest.fixture
def house(monkeypatch, settings) -> Iterator[Serve]:
    """Return how to enter a house whose models, by name, behave as told."""
    settings.FEATURE_ENSEMBLE = True
    with _servers() as serve:
        yield lambda **behaviours: enter(monkeypatch, serve(behaviours))
        client.close()


@contextmanager
def _servers() -> Iterator[Callable[[dict[str, Behave]], str]]:
    behaviours: dict[str, Behave] = {}
    with model_server(lambda link, request: behaviours[request["model"]](link, request)) as server:

        def serve(given: dict[str, Behave]) -> str:
            behaviours.update(given)
            return server.url

        yield serve
        server.hang_up()


def several(house: House, rule: str = "majority", **fields):
    return house.bot("one", ensemble_models=["peer/two", "peer/three"], ensemble_rule=rule, **fields)


def rows(**where):
    return Interaction.objects.filter(late_of=None, **where).order_by("model_requested")


def decided(kind: str) -> list[tuple]:
    found = Decision.objects.filter(kind=kind).order_by("interaction__model_requested", "sequence")
    return list(found.values_list("interaction__model_requested", "action", "agrees", "verdict"))


def test_what_two_of_three_want_is_traded_as_the_more_careful_wrote_it_and_all_three_are_on_record(house):
    inside = house(one=answers(ENTRY), two=answers(SMALL), three=answers(HOLD))
    told = inside.cycle(several(inside))
    assert Position.objects.get().quantity == Decimal("0.01")
    live = Decision.objects.get(kind="live")
    assert (live.asked_quantity, live.justification, live.interaction) == (Decimal("0.01"), "small", None)
    assert [(row.model_requested, row.purpose, row.outcome) for row in rows()] == [
        (name, "ensemble", "answered") for name in ("one", "three", "two")
    ]
    assert all(row.reply and row.user_prompt and row.cost for row in rows())
    assert len({row.prompt_digest for row in rows()}) == 1
    assert decided("vote") == [
        ("one", "buy_to_enter", True, ""),
        ("three", "hold", False, ""),
        ("two", "buy_to_enter", True, ""),
    ]
    assert told.run.result.answer.usage.cost == told.cost


def test_what_two_want_holds_where_all_have_to_and_the_diary_says_who_wanted_what(house):
    inside = house(one=answers(ENTRY), two=answers(ENTRY), three=answers(SHORT))
    inside.cycle(several(inside, "unanimous"))
    assert not Order.objects.exists()
    text = DiaryEntry.objects.get().text
    assert "needs 3 of 3 models: peer/one wants to buy, peer/two wants to buy, peer/three wants to sell" in text


def test_any_close_counts(house):
    inside = house(one=answers(ENTRY), two=answers(ENTRY), three=answers(ENTRY))
    bot = several(inside)
    inside.cycle(bot)
    assert Position.objects.get(closed=None).quantity
    inside_again = house(one=sends(b"{}", 500), two=answers(HOLD), three=answers(CLOSE))
    assert inside_again.cycle(bot, at=next_candle()).decided == [("BTCUSDT", "close_position")]
    assert not Position.objects.filter(closed=None).exists()


def test_one_that_hangs_is_on_record_and_the_others_decide_in_time(house):
    inside = house(one=answers(ENTRY), two=answers(ENTRY), three=stays_silent(20))
    told = inside.cycle(several(inside), seconds=2.5)
    assert told.run.status == "done"
    assert Position.objects.exists()
    hung = rows(model_requested="three").get()
    assert (hung.outcome, hung.used) == ("no_answer", True)
    assert hung.estimate is not None, "it may have to be paid"


def test_without_the_feature_only_the_first_model_is_asked(house, settings):
    settings.FEATURE_ENSEMBLE = False
    inside = house(one=answers(ENTRY))
    inside.cycle(several(inside))
    assert [(row.model_requested, row.purpose) for row in rows()] == [("one", "cycle")]
    assert Decision.objects.get().interaction == rows().get()


# -- shadows ----------------------------------------------------------------------------------------------------


def test_promise_4_code_may_only_reduce_risk_what_shadows_want_is_ruled_kept_and_never_traded(house):
    inside = house(one=answers(HOLD), two=answers(ENTRY), three=answers(SHORT))
    bot = inside.bot("one", shadow_models=["peer/two", "peer/three"])
    for number in range(3):
        assert inside.cycle(bot, at=next_candle(number)).run.status == "done"
    assert not Order.objects.exists()
    assert not Position.objects.exists()
    assert [row[:3] for row in decided("shadow")] == [("three", "sell_to_enter", False) for _ in range(3)] + [
        ("two", "buy_to_enter", False) for _ in range(3)
    ]
    assert {row[3] for row in decided("shadow")} <= {"accepted", "reduced"}
    assert Decision.objects.filter(kind="shadow", quantity__gt=0).count() == 6
    assert {(row.model_requested, row.purpose) for row in rows()} == {
        ("one", "cycle"),
        ("two", "shadow"),
        ("three", "shadow"),
    }
    assert feedback_for(bot) == (), "a shadow's wish came back to the one that decides"


def test_a_shadow_that_agrees_is_traded_once(house):
    inside = house(one=answers(ENTRY), two=answers(ENTRY))
    inside.cycle(inside.bot("one", shadow_models=["peer/two"]))
    assert Order.objects.filter(role="entry").count() == 1
    assert decided("shadow") == [("two", "buy_to_enter", True, "accepted")]
    assert Decision.objects.get(kind="shadow").orders.count() == 0


def after(event: threading.Event, *items: dict) -> Behave:
    """Answer with these items, but not before something has happened; what never does costs ten seconds."""

    def behave(connection, request):
        event.wait(10)
        answers(*items)(connection, request)

    return behave


def at_publish(monkeypatch, act: Callable[[], object]) -> threading.Event:
    """Do something when a cycle publishes what it did, and return the event that is set then."""
    published = threading.Event()

    def publish(self, kind):
        act()
        published.set()

    monkeypatch.setattr(OrmJournal, "publish", publish)
    return published


def test_the_orders_are_out_and_told_before_a_slow_shadow_is_waited_for(house, monkeypatch):
    told = []
    published = at_publish(monkeypatch, lambda: told.append(DiaryEntry.objects.filter(kind="trade").exists()))
    inside = house(one=answers(ENTRY), two=after(published, HOLD))
    assert inside.cycle(inside.bot("one", shadow_models=["peer/two"])).run.status == "done"
    cycle, shadow = Cycle.objects.get(), rows(purpose="shadow").get()
    assert shadow.outcome == "answered", "the shadow was waited for before the cycle had told what it did"
    assert told == [True]
    assert {order.role for order in Order.objects.all()} == {"entry", "stop", "target"}
    assert max(order.sent_at for order in Order.objects.all()) < shadow.at < cycle.ended
    assert len(cycle.timings) == 9, "the wait for a shadow is no step of the cycle"


def test_a_shadow_that_hangs_costs_the_rest_of_the_deadline_and_nothing_else(house):
    inside = house(one=answers(ENTRY), two=stays_silent(20), three=sends(b"<html>"))
    told = inside.cycle(inside.bot("one", shadow_models=["peer/two", "peer/three"]), seconds=2.5)
    assert told.run.status == "done"
    assert Position.objects.exists()
    outcomes = dict(rows(purpose="shadow").values_list("model_requested", "outcome"))
    assert outcomes == {"three": "rejected", "two": "no_answer"}
    assert decided("shadow") == []


def test_a_halt_while_a_shadow_is_waited_for_changes_nothing_for_it_nor_it_for_the_halt(house, monkeypatch):
    halted = at_publish(monkeypatch, lambda: Account.objects.update(epoch=7, state="halted"))
    inside = house(one=answers(HOLD), two=after(halted, ENTRY))
    assert inside.cycle(inside.bot("one", shadow_models=["peer/two"])).run.status == "done"
    assert decided("shadow") == [("two", "buy_to_enter", False, "accepted")]
    assert not Order.objects.exists()


def test_rules_are_compared_with_models_without_becoming_a_model_themselves(house):
    inside = house(two=answers(ENTRY))
    bot = inside.bot("one", shadow_models=["peer/two"])
    bot.model, bot.cost_per_day = "rules/hold", Decimal(0)
    bot.save()
    told = inside.cycle(bot)
    assert told.run.status == "done"
    assert DiaryEntry.objects.get().kind == "hold"
    assert {row.purpose for row in rows()} == {"shadow"}


def test_a_shadow_without_a_template_leaves_rules_to_decide(house):
    inside = house(two=answers(ENTRY))
    bot = inside.bot("one", shadow_models=["peer/two"], prompt_template="none")
    bot.model = "rules/hold"
    bot.save()
    assert inside.cycle(bot).run.text == "held"
    assert rows().get().reason.startswith("no_prompt")


def test_a_live_model_without_an_answer_is_compared_with_nothing(house):
    inside = house(one=sends(b"{}", 500), two=answers(ENTRY))
    told = inside.cycle(inside.bot("one", shadow_models=["peer/two"]))
    assert (told.opened, told.decided) == (False, [])
    assert decided("shadow") == [("two", "buy_to_enter", None, "accepted")]


def test_a_shadow_that_cannot_be_asked_is_said_and_nothing_more(house):
    inside = house(one=answers(ENTRY))
    inside.cycle(inside.bot("one", shadow_models=["nobody/here"]))
    assert Position.objects.exists()
    shadow = rows(purpose="shadow").get()
    assert (shadow.provider, shadow.model_requested, shadow.outcome) == ("nobody", "here", "no_answer")
    assert shadow.reason.startswith("unknown_")


def test_near_the_limit_of_the_day_shadows_fall_silent_first_and_nobody_is_alerted(house):
    """A call without a known price counts as 0.02 US dollars."""
    inside = house(one=answers(ENTRY, after=1.0), two=answers(ENTRY))  # so that its money is still set aside
    bot = inside.bot("one", shadow_models=["peer/two"], cost_per_day=Decimal("0.05"))
    inside.cycle(bot)
    assert Position.objects.exists()
    shadow = rows(purpose="shadow").get()
    assert (shadow.outcome, shadow.reason.partition(":")[0]) == ("not_asked", "budget")
    bot.cost_per_day = Decimal(1)
    bot.save()
    inside.cycle(bot, at=next_candle())
    (two,) = agreement(bot, now=timezone.now()).shadows
    assert (two.model, two.skipped, two.answered) == ("peer/two", 1, Share(1, 1))
    assert not Alert.objects.exclude(type="fill").exists()
