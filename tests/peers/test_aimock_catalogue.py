"""The catalogue of a model server that others wrote, in the shape of OpenRouter, is read and kept; its key is looked at."""

from __future__ import annotations

import pytest
from django.core.management import call_command

from decisions.domain.model_state import Kind
from decisions.models import CatalogueModel
from decisions.selectors.models_asked import model_state
from decisions.services.catalogue import provider_check
from tests.peers.aimock import aimock
from vibex.model_looks import model_lines

pytestmark = [pytest.mark.ci, pytest.mark.django_db]
MODELS = ("x-ai/grok-4.3", "anthropic/claude-sonnet-5")


def test_its_models_are_read_and_its_key_is_looked_at(settings, capsys):
    with aimock([{"match": {"model": name}, "answer": {"content": "{}"}} for name in MODELS]) as peer:
        settings.LLM_BASE_URL, settings.LLM_API_KEY = peer.base_url, "sk-of-a-test"
        checked = provider_check(provider="local")
        (line,) = model_lines()
        call_command("models", "grok", provider="local")
    assert checked.ok, checked.text
    assert line.state == "ok"
    assert "local/x-ai/grok-4.3" in capsys.readouterr().out
    row = CatalogueModel.objects.get(provider="local", slug=MODELS[0])
    assert (row.context, row.max_output, row.input_price) == (128_000, 16_384, 0)
    assert model_state(f"openrouter/{MODELS[1]}").kind is Kind.KNOWN, "it stands for openrouter, too"
    assert model_state("openrouter/nobody/knows").kind is Kind.UNKNOWN
