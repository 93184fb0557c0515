"""What was learned of formats is a hint: that it cannot be stored keeps no answer from being recorded and acted on."""

import pytest
from django.db import OperationalError

from decisions.domain.ladder import Rung
from decisions.llm import formats
from decisions.llm.endpoints import Endpoint
from decisions.models import LearnedFormat

pytestmark = pytest.mark.django_db
ENDPOINT = Endpoint("http://127.0.0.1:9/v1")


@pytest.fixture(autouse=True)
def _forgotten():
    formats.formats_forget()
    yield
    formats.formats_forget()


def test_a_lesson_that_cannot_be_stored_waits_for_the_next_time(monkeypatch):
    def full(**_):
        raise OperationalError("database or disk is full")

    formats.format_learned(ENDPOINT, "m", Rung.JSON)
    with monkeypatch.context() as broken:
        broken.setattr(LearnedFormat.objects, "update_or_create", full)
        formats.formats_write()
    assert formats.formats_of(ENDPOINT, "m")[0] is Rung.JSON
    formats.formats_write()
    assert LearnedFormat.objects.get().format == "json"


@pytest.mark.postgres
def test_a_lesson_that_a_server_refuses_leaves_a_transaction_around_it_whole():
    """PostgreSQL takes no address of more than 200 characters, and votes are stored in one transaction."""
    formats.format_learned(Endpoint(f"http://127.0.0.1:9/{'v' * 300}"), "m", Rung.JSON)
    formats.format_learned(ENDPOINT, "m", Rung.JSON)
    formats.formats_write()
    assert LearnedFormat.objects.get().base_url == ENDPOINT.base_url
