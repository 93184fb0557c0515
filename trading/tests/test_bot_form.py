"""The form of a bot: models are picked or typed, lists keep their order, and what clashes is said where it clashes."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.http import QueryDict
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEntry, Bot
from decisions.domain.asking_clashes import Settings, clashes
from decisions.domain.model_state import Facts, Kind, ModelState
from decisions.models import CatalogueModel, Provider
from decisions.services import prompt_template_install
from tests.support.demo import demo, person
from trading.forms import BotForm

GROK, SONNET, SMALL = (
    "openrouter/x-ai/grok-4.3",
    "openrouter/anthropic/claude-sonnet-5",
    "openrouter/meta-llama/llama-small",
)
GIVEN: dict[str, Any] = {
    "name": "second",
    "model": GROK,
    "symbols": "BTCUSDT\nETHUSDT",
    "interval": "15m",
    "timeframes": "15m\n1h",
    "prompt_template": "arena",
    "reasoning_effort": "low",
    "max_tokens": "4000",
    "deadline_seconds": "30",
    "layout": "compact",
    "ensemble_rule": "majority",
}


@pytest.fixture
def made(db, settings):
    settings.OPENROUTER_API_KEY = "sk-of-a-test"
    prompt_template_install()
    return demo(cycles=1, equity_points=2)


@pytest.fixture
def boss(client):
    client.force_login(person("boss@vibex.local", is_staff=True, is_superuser=True))
    return client


def form(made, **changed: Any) -> BotForm:
    data = QueryDict(mutable=True)
    for name, value in {**GIVEN, "account": made.account.pk, **changed}.items():
        data.setlist(name, value if isinstance(value, list) else [value])
    return BotForm(data)


def faults(made, **changed: Any) -> dict[str, str]:
    given = form(made, **changed)
    return {field: " ".join(errors) for field, errors in given.errors.items()}


def test_everything_that_a_bot_may_be_told_is_entered_and_kept_in_its_order(made, settings):
    settings.FEATURE_ENSEMBLE = settings.FEATURE_EXTERNAL_TEXT = True
    given = form(
        made,
        fallback_models=[SONNET, "", "openrouter/google/gemini-3.8-flash", ""],
        served_models=["x-ai/grok-4.3-fast", "x-ai/grok-4.3-beta"],
        ensemble_models=["openrouter/openai/gpt-5.6-luna"],
        ensemble_rule="unanimous",
        shadow_models=["openrouter/deepseek/deepseek-v4-flash"],
        temperature="0.35",
        max_tokens="6000",
        deadline_seconds="45",
        prompt_version="1",
        outside_text="on",
        tokens_per_day="900000",
        cost_per_day="2.5",
        approval="on",
    )
    assert given.is_valid(), given.errors
    bot = given.save()
    bot.refresh_from_db()
    assert bot.fallback_models == [SONNET, "openrouter/google/gemini-3.8-flash"]
    assert bot.served_models == ["x-ai/grok-4.3-fast", "x-ai/grok-4.3-beta"]
    assert (bot.ensemble_models, bot.ensemble_rule) == (["openrouter/openai/gpt-5.6-luna"], "unanimous")
    assert bot.shadow_models == ["openrouter/deepseek/deepseek-v4-flash"]
    assert (bot.temperature, bot.max_tokens, bot.deadline_seconds) == (Decimal("0.35"), 6000, 45)
    assert (bot.prompt_version, bot.layout, bot.outside_text, bot.approval) == (1, "compact", True, True)
    assert (bot.tokens_per_day, bot.cost_per_day) == (900_000, Decimal("2.5"))
    assert (bot.symbols, bot.timeframes) == (["BTCUSDT", "ETHUSDT"], ["15m", "1h"])
    assert given.warnings == []


@pytest.mark.parametrize(
    ("changed", "field", "said"),
    [
        ({"model": "nobody/some-model"}, "model", "Nothing decides under the name"),
        ({"model": "openai/gpt-5.6-luna"}, "model", "set OPENAI_API_KEY"),
        ({"fallback_models": ["nobody/x"]}, "fallback_models", "Nothing decides under the name"),
        ({"shadow_models": ["xai/grok-4.7"]}, "shadow_models", "set XAI_API_KEY"),
        ({"fallback_models": ["rules/trend"]}, "fallback_models", "would trade in a model's place"),
        ({"model": "openrouter/~x-ai/grok-latest"}, "model", "different model from day to day"),
        ({"fallback_models": [SONNET, SONNET]}, "fallback_models", "named twice"),
        ({"shadow_models": [GROK]}, "shadow_models", "named twice"),
        ({"ensemble_models": [SONNET]}, "ensemble_models", "FEATURE_ENSEMBLE=yes"),
        ({"outside_text": "on"}, "outside_text", "FEATURE_EXTERNAL_TEXT=yes"),
        ({"reasoning_effort": "none"}, "reasoning_effort", "takes minimal, low, medium or high, not none"),
        ({"model": SMALL, "max_tokens": "3000"}, "max_tokens", "writes 2,048 tokens at most"),
        ({"model": SMALL, "max_tokens": "2048", "symbols": "BTCUSDT\nETHUSDT\nSOLUSDT\nXRPUSDT\nDOGEUSDT", "layout": "arena"},
         "max_tokens", "has room for 8192 tokens"),
        ({"prompt_template": "nowhere"}, "prompt_template", "no prompt template nowhere"),
        ({"prompt_version": "99"}, "prompt_version", "arena has no version 99"),
        ({"max_tokens": "5"}, "__all__", "between 256 and 200,000"),
        ({"deadline_seconds": "61"}, "__all__", "between 1 and 60"),
        ({"temperature": "2.5"}, "__all__", "between 0 and 2"),
        ({"symbols": ""}, "symbols", "required"),
        ({"fallback_models": '{"a": 1}'}, "fallback_models", "Write a list of texts"),
    ],
)  # fmt: skip
def test_what_clashes_is_refused_at_its_field(made, changed, field, said):
    found = faults(made, **changed)
    assert said in found.get(field, ""), found


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("openrouter/nobody/knows", "openrouter does not list nobody/knows"),
        (SMALL, "takes no schema"),
    ],
)
def test_what_may_be_wanted_all_the_same_is_a_warning(made, model, said):
    given = form(made, model=model, max_tokens="2000", symbols="BTCUSDT")
    assert given.is_valid(), given.errors
    assert any(said in warning for warning in given.warnings), given.warnings


def test_a_model_that_ends_soon_is_a_warning(made):
    soon = timezone.now().date() + timedelta(days=3)
    CatalogueModel.objects.filter(slug="x-ai/grok-4.3").update(expires=soon)
    given = form(made)
    assert given.is_valid(), given.errors
    assert any("in 3 days" in warning for warning in given.warnings)


def test_without_a_catalogue_nothing_is_said_of_a_model(made):
    CatalogueModel.objects.all().delete()
    Provider.objects.all().delete()
    from decisions.models import CatalogueRead

    CatalogueRead.objects.all().delete()
    given = form(made, model="openrouter/nobody/knows")
    assert given.is_valid(), given.errors
    assert given.warnings == []


def test_the_deadline_is_at_most_half_of_the_interval():
    given = Settings("rules/trend", deadline_seconds=31, interval_seconds=60)
    (clash,) = clashes(given, {}, ensemble_on=False, outside_on=False)
    assert (clash.field, clash.warns) == ("deadline_seconds", False)


def test_what_only_compares_may_clash_without_harm():
    state = ModelState("openrouter/a/b", Kind.KNOWN, facts=Facts(context=1000, max_output=100, efforts=("high",)))
    given = Settings("openrouter/c/d", shadows=("openrouter/a/b",), prompt_tokens=5000)
    found = list(clashes(given, {state.name: state}, ensemble_on=False, outside_on=False))
    assert len(found) == 3
    assert all(clash.warns for clash in found)


# -- retired names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["openrouter/anthropic/claude-sonnet-4.5", "gpt-4", "claude-4.5-sonnet", "x-ai/grok-4"]
)
def test_a_retired_model_is_asked_about_and_never_replaced_unsaid(made, name):
    given = form(made, model=name)
    assert "is retired. Choose" in " ".join(given.errors["instead"])
    assert given["instead"].field.choices[0][1].endswith(f"in place of {name}")


def test_its_successor_is_one_choice_away(made):
    given = form(made, model="deepseek-v3", fallback_models=["gemini-2.5-pro", SONNET], instead="use")
    assert given.is_valid(), given.errors
    assert given.cleaned_data["model"] == "openrouter/deepseek/deepseek-v4-flash"
    assert given.cleaned_data["fallback_models"] == ["openrouter/google/gemini-3.8-flash", SONNET]


def test_a_retired_model_may_be_kept_with_a_warning(made):
    name = "openrouter/anthropic/claude-sonnet-4.5"
    given = form(made, model=name, instead="keep")
    assert given.is_valid(), given.errors
    assert given.cleaned_data["model"] == name
    assert any(SONNET in warning for warning in given.warnings)


def test_a_retired_name_that_nobody_serves_cannot_be_kept(made):
    assert "Nothing decides" in faults(made, model="gpt-4", instead="keep")["model"]


def test_the_page_of_a_bot_with_a_retired_model_offers_the_successor(made, boss):
    Bot.objects.update(status="stopped", model="openrouter/x-ai/grok-4")
    page = boss.get(reverse("admin:accounts_bot_change", args=[made.bot.pk])).content.decode()
    assert "Use openrouter/x-ai/grok-4.3 in place of openrouter/x-ai/grok-4" in page


# -- the page ---------------------------------------------------------------------------------------------


def test_models_are_offered_with_price_context_end_and_schema(made, boss):
    page = boss.get(reverse("admin:accounts_bot_add")).content.decode()
    assert page.count('<datalist id="models-offered">') == 1
    assert (
        '<option value="openrouter/x-ai/grok-4.3">$1.25 in, $2.5 out per million · context 1M · takes a schema</option>'
        in page
    )
    assert "takes no schema" in page
    assert "<script>" not in page.split("<form")[1].split("</form>")[0]
    for part in ("Who", "Model", "Prompt", "Budget", "Several models", "Trading"):
        assert f">{part}</h2>" in page


def test_a_change_is_on_record_and_its_warnings_are_told(made, boss):
    Bot.objects.update(status="stopped", model=GROK, shadow_models=[SONNET])
    page = reverse("admin:accounts_bot_change", args=[made.bot.pk])
    data = {**GIVEN, "model": "openrouter/nobody/knows", "fallback_models": [SONNET, GROK], "shadow_models": ["", ""]}
    answer = boss.post(page, data, follow=True)
    assert answer.redirect_chain, answer.context["errors"]
    told = " ".join(str(message) for message in answer.context["messages"])
    assert "Note: openrouter does not list nobody/knows" in told
    made.bot.refresh_from_db()
    assert (made.bot.fallback_models, made.bot.shadow_models) == ([SONNET, GROK], [])
    entry = AuditEntry.objects.filter(action="bot-change").latest("pk")
    assert entry.after["fallback_models"] == str([SONNET, GROK])
    assert entry.before["shadow_models"] == str([SONNET])


def test_saving_the_page_as_it_is_changes_nothing(made, boss):
    made.bot.status, made.bot.model, made.bot.interval, made.bot.timeframes = "stopped", GROK, "15m", ["15m", "1h"]
    made.bot.fallback_models, made.bot.served_models = [SONNET], ["x-ai/other"]
    made.bot.save()
    page = reverse("admin:accounts_bot_change", args=[made.bot.pk])
    shown = boss.get(page).context["adminform"].form
    data = {name: shown[name].value() for name in shown.fields if shown[name].value() not in (None, False, "")}
    data |= {"symbols": "\n".join(made.bot.symbols), "timeframes": "15m\n1h"}
    entries = AuditEntry.objects.count()
    assert boss.post(page, data).status_code == 302
    assert AuditEntry.objects.count() == entries
