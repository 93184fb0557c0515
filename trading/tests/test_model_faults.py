"""A key or credit that a provider refuses is an incident that a person is told of, until it answers again."""

import json
import re

import pytest

from accounts.models import Incident
from decisions.llm import client
from decisions.services import prompt_template_install
from decisions.tests.builders import MODEL, envelope
from decisions.tests.llm_server import ModelServer, model_server, sends
from trading.services import live
from trading.services.live import cycle_run
from trading.tests.builders import make_bot
from trading.tests.venue_support import NOON, StillMarket
from vibex.lib.clock import SimulatedClock

pytestmark = pytest.mark.django_db(transaction=True)

ANSWERS = {
    "model-key": {
        "HTTP 401": sends(b'{"error": {"code": 401, "message": "wrong key sk-or-v1-secret"}}', 401),
        "inside 200": sends(b'{"error": {"code": 401, "message": "wrong key sk-or-v1-secret"}}'),
    },
    "model-credit": {"HTTP 402": sends(b'{"error": {"code": 402}}', 402)},
}


@pytest.fixture
def model(settings):
    prompt_template_install()
    settings.OPENROUTER_API_KEY, settings.LLM_API_KEY = None, None
    with model_server(sends(b"{}", 503)) as server:
        settings.LLM_BASE_URL = server.url
        yield server
    client.close()


@pytest.fixture
def decides(monkeypatch, model: ModelServer):
    clock = SimulatedClock(NOON)
    monkeypatch.setattr(live, "market_for", lambda venue: StillMarket())
    monkeypatch.setattr(live, "market_clock", lambda venue: clock)
    bot = make_bot("reader", model=f"openrouter/{MODEL}", symbols=["BTCUSDT", "ETHUSDT"])

    def decide(behaviour):
        model.behaviours[:] = [behaviour]
        clock.move_to(clock.at.replace(microsecond=0) + (NOON.replace(minute=3) - NOON))
        assert cycle_run(bot_id=bot.pk, scheduled_for=clock.at).status == "done"

    return decide


def holds(connection, request):
    (decision_id,) = set(re.findall(r"decision_id\W+([0-9a-f]{16})", json.dumps(request)))
    text = f'{{"decision_id": "{decision_id}", "decisions": []}}'
    sends(envelope(text, model=MODEL))(connection, request)


@pytest.mark.parametrize(
    ("kind", "behaviour"), [(kind, one) for kind, several in ANSWERS.items() for one in several.values()]
)
def test_it_is_told_once_and_ends_when_the_provider_answers(decides, kind, behaviour):
    decides(behaviour)
    decides(behaviour)
    incident = Incident.objects.get(kind=kind)
    assert incident.resolved is None
    assert incident.data["subject"] == "local"
    assert "local" in incident.text
    assert "secret" not in incident.text
    decides(sends(b"{}", 503))
    incident.refresh_from_db()
    assert incident.resolved is None, "silence proves nothing"
    decides(holds)
    incident.refresh_from_db()
    assert incident.resolved is not None


def test_a_server_that_is_merely_busy_calls_nobody(decides):
    decides(sends(b'{"error": {"code": 429}}', 429))
    decides(sends(b'{"error": {"code": 403, "metadata": {"reasons": ["violence"]}}}', 403))
    assert not Incident.objects.exists()
