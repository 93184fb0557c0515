"""The page of a bot shows what its models cost and when they end, and warns of those that go away."""

from __future__ import annotations

import pytest
from django.urls import reverse

from accounts.models import Bot
from tests.support.demo import demo

pytestmark = pytest.mark.django_db


@pytest.fixture
def made():
    return demo(cycles=1, equity_points=2)


def shown(client, made, **fields):
    Bot.objects.filter(pk=made.bot.pk).update(**fields)
    client.force_login(made.user)
    return client.get(reverse("bot", args=[made.bot.pk])).content.decode()


def test_price_context_and_schema_of_each_model_are_shown(client, made):
    page = shown(client, made, model="openrouter/x-ai/grok-4.3", shadow_models=["openrouter/google/gemini-3.8-flash"])
    assert "$1.25 in, $2.5 out per million · context 1M · takes a schema" in page
    assert "$0.75 in, $3.75 out per million" in page
    assert "limit-warnings" not in page


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("openrouter/x-ai/grok-4", "Use openrouter/x-ai/grok-4.3 instead."),
        ("openrouter/nobody/knows", "openrouter does not list nobody/knows"),
        ("anthropic/claude-sonnet-5", "The catalogue of anthropic has not been read yet."),
    ],
)
def test_what_is_wrong_with_a_model_is_said(client, made, model, said):
    assert said in shown(client, made, model="openrouter/x-ai/grok-4.3", fallback_models=[model])


def test_only_who_may_change_the_bot_is_led_to_the_admin(client, made):
    page = shown(client, made, model="openrouter/x-ai/grok-4")
    assert "Choose it in the admin" not in page
    made.user.is_staff = True
    made.user.save()
    assert "Choose it in the admin" in shown(client, made)


def test_a_bot_that_follows_rules_shows_nothing_of_models(client, made):
    page = shown(client, made, model="rules/trend")
    assert "per million" not in page
    assert "limit-warnings" not in page
