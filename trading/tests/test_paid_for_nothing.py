"""A reply that came when the cycle had been overtaken is acted on by nobody; it was paid for, and is on record."""

import time
from decimal import Decimal

import pytest

from decisions.llm import client, formats
from decisions.models import Cycle, Decision, Interaction
from decisions.selectors import cost_between
from decisions.services import prompt_template_install
from decisions.tests.builders import envelope
from decisions.tests.llm_server import model_server, sends
from trading.models import Order
from trading.services.journal.base import Stage
from trading.services.journal.orm import OrmJournal
from trading.services.live import cycle_run
from trading.tests.builders import make_bot
from trading.tests.test_live_cycle import House
from trading.tests.venue_support import NOON

pytestmark = pytest.mark.django_db(transaction=True)
MODEL = "peer/one"
PAID = envelope(
    "I would rather wait.", model=MODEL, usage={"prompt_tokens": 900, "completion_tokens": 9, "cost": 0.0125}
)


@pytest.fixture(autouse=True)
def _closed():
    yield
    client.close()
    formats.formats_forget()


@pytest.fixture
def house(monkeypatch) -> House:
    """A house whose cycles lose their lease while the model is asked, as after a sleep of the machine."""
    original = OrmJournal.stage

    def asleep(self, stage):
        if stage is Stage.READ:
            Cycle.objects.update(lease_until=NOON)
        original(self, stage)

    monkeypatch.setattr(OrmJournal, "stage", asleep)
    return House(monkeypatch)


def run(house, settings, server, **more):
    settings.LLM_BASE_URL = server.url
    prompt_template_install()
    bot = make_bot("asks", account=house.account, model=f"openrouter/{MODEL}", **more)
    return bot, cycle_run(bot_id=bot.pk, scheduled_for=NOON, deadline_seconds=5.0)


def test_a_reply_to_a_cycle_that_lost_its_lease_is_on_record_with_its_cost(house, settings):
    with model_server(sends(PAID)) as server:
        bot, ended = run(house, settings, server)
    assert (ended.status, "lost its lease" in ended.text) == ("abandoned", True)
    assert {call.cost for call in Interaction.objects.all()} == {Decimal("0.0125")}
    assert cost_between(bot).total == Decimal("0.0125") * len(server.requests)
    assert not Decision.objects.exists()
    assert not Order.objects.exists()


@pytest.mark.ci
@pytest.mark.postgres
def test_what_shadows_of_such_a_cycle_cost_is_on_record_too(house, settings):
    with model_server(sends(PAID)) as server:
        _, ended = run(house, settings, server, shadow_models=["openrouter/peer/two"])
        until = time.monotonic() + 10
        while not Interaction.objects.filter(purpose="shadow").exists() and time.monotonic() < until:
            time.sleep(0.05)
    assert ended.status == "abandoned"
    shadow = Interaction.objects.filter(purpose="shadow", used=True).get()
    assert (shadow.model_requested, shadow.cost) == ("peer/two", Decimal("0.0125"))
    assert not Decision.objects.exclude(kind="shadow").exists()
