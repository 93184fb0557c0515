"""Presets name models of five families, and every retired name is told with its successor."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from decisions.domain.model_state import Facts, Kind, judge, short
from decisions.domain.presets import PRESETS, RETIRED, list_price, preset_of, retired, successor_of
from decisions.domain.providers import HOUSE
from vibex.lib.env import ROOT

TODAY = date(2026, 11, 28)
READ = datetime(2026, 11, 28, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "successor"),
    [
        ("claude-4.5-sonnet", "openrouter/anthropic/claude-sonnet-5"),
        ("openrouter/anthropic/claude-sonnet-4.5", "openrouter/anthropic/claude-sonnet-5"),
        ("anthropic/claude-sonnet-4-5-20250929", "anthropic/claude-sonnet-5"),
        ("gpt-4", "openrouter/openai/gpt-5.6-terra"),
        ("openai/gpt-4-0613", "openai/gpt-5.6-terra"),
        ("deepseek-v3", "openrouter/deepseek/deepseek-v4-flash"),
        ("deepseek/deepseek-chat", "deepseek/deepseek-v4-flash"),
        ("gemini-2.5-pro", "openrouter/google/gemini-3.8-flash"),
        ("gemini/gemini-2.5-pro", "gemini/gemini-3.8-flash"),
        ("x-ai/grok-4", "openrouter/x-ai/grok-4.3"),
        ("openrouter/x-ai/grok-4:free", "openrouter/x-ai/grok-4.3"),
        ("xai/grok-4-0709", "xai/grok-4.3"),
    ],
)
def test_a_retired_name_is_offered_with_its_successor_at_the_same_provider(name, successor):
    assert successor_of(name) == successor
    state = judge(name, None, read_at=READ, today=TODAY)
    assert (state.kind, state.successor) == (Kind.RETIRED, successor)
    assert successor in state.words


@pytest.mark.parametrize(
    "name", ["openrouter/x-ai/grok-4.3", "openrouter/openai/gpt-4.1", "local/gpt-4", "lan/deepseek-v3", "rules/trend"]
)
def test_a_name_that_only_resembles_one_or_is_of_a_server_of_ones_own_is_not_retired(name):
    assert retired(name) is None


def test_no_successor_is_retired_itself_and_all_of_them_are_presets():
    for name, gone in RETIRED.items():
        assert all(retired(successor) is None for successor in PRESETS[gone.successor].names), name


def test_each_family_has_a_preset_that_can_be_asked_in_two_ways():
    assert {preset.family for preset in PRESETS.values()} == {"Claude", "GPT", "DeepSeek", "Gemini", "Grok"}
    for preset in PRESETS.values():
        assert preset.provider in HOUSE
        assert all(preset_of(name) is preset for name in preset.names)
        assert list_price(preset.provider, preset.direct) == preset.price == list_price("openrouter", preset.slug)
        assert 256 <= preset.max_tokens <= 200_000


def test_a_price_is_known_for_dated_names_and_for_no_stranger():
    assert list_price("openai", "gpt-5.4-2026-03-05").reply == Decimal(15)
    assert list_price("openai", "gpt-9") is None
    assert list_price("local", "gpt-5.4") is None


def test_what_is_gone_ends_soon_or_is_not_listed_is_told():
    def kind(facts, read_at=READ):
        return judge("openrouter/a/b", facts, read_at=read_at, today=TODAY).kind

    assert kind(None) is Kind.UNKNOWN
    assert kind(None, None) is Kind.UNREAD
    assert kind(Facts()) is Kind.KNOWN
    assert kind(Facts(expires=date(2026, 12, 12))) is Kind.EXPIRING
    assert kind(Facts(expires=date(2026, 12, 13))) is Kind.KNOWN
    assert kind(Facts(expires=date(2026, 11, 27))) is Kind.GONE
    assert kind(Facts(gone_at=READ)) is Kind.GONE
    assert judge("rules/trend", None, read_at=None, today=TODAY).kind is Kind.RULES


def test_tokens_are_written_as_models_are_spoken_of():
    assert [short(1_050_000), short(1_000_000), short(200_000), short(8192)] == ["1.05M", "1M", "200k", "8192"]


def test_the_page_names_every_provider_preset_and_retired_name():
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    named = [name for preset in PRESETS.values() for name in preset.names] + [*RETIRED]
    assert [name for name in named if f"`{name}`" not in page] == []
    assert [spec.name for spec in HOUSE.values() if f"`{spec.base_url}` | `{spec.key_variable}`" not in page] == []
