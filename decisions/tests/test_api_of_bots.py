"""The funnel and the shadows of a bot over the API, for a time that is named and bounded."""

from datetime import timedelta

import pytest
from django.utils import timezone

from decisions.tests.api_kit import Records

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice():
    made = Records()
    made.at = timezone.now() - timedelta(days=2)
    return made


def test_the_funnel_counts_the_questions_of_its_time(alice):
    for outcome, reason in (("answered", ""), ("no_answer", "http.429: busy"), ("rejected", "reply.shape: a list")):
        alice.call(alice.cycle(), outcome=outcome, reason=reason)
    alice.decision(verdict="refused", action="buy_to_enter", hits=[{"rule": "size.min", "effect": "refused"}])
    told = alice.get(f"bots/{alice.bot.pk}/funnel/")
    assert [(step["name"], step["count"]) for step in told["replies"]] == [
        ("asked", 3), ("answered", 2), ("parsed", 2), ("read", 1),
    ]  # fmt: skip
    assert told["replies"][1]["ended"] == {"http.429": 1}
    assert {step["name"]: step["ended"] for step in told["symbols"]}["ruled"] == {"size.min": 1}
    early = alice.get(f"bots/{alice.bot.pk}/funnel/", until=(alice.at - timedelta(days=1)).isoformat())
    assert early["replies"][0]["count"] == 0


@pytest.mark.parametrize(
    "asked",
    [
        {"since": "2026-01-01T00:00:00Z", "until": "2026-03-01T00:00:00Z"},
        {"since": "2026-03-01T00:00:00Z", "until": "2026-03-01T00:00:00Z"},
        {"since": "2026-03-02T00:00:00Z", "until": "2026-03-01T00:00:00Z"},
        {"until": "0001-01-01T00:00:00Z"},
        {"since": "0001-01-01T00:00:00Z"},
        {"days": 3},
    ],
)
def test_a_time_that_is_none_or_too_long_is_refused(alice, asked):
    assert alice.refused(f"bots/{alice.bot.pk}/funnel/", **asked)


def test_shadows_are_compared_over_the_days_that_are_named(alice):
    call = alice.call(alice.cycle(), purpose="shadow", provider="peer", model_requested="one", cost="0.01")
    alice.decision(call.cycle, kind="shadow", interaction=call, agrees=True)
    path = f"bots/{alice.bot.pk}/shadows/"
    (one,) = alice.get(path)["shadows"]
    assert (one["model"], one["cost"], one["answered"]["part"], one["same_action"]["part"]) == (
        "peer/one",
        "0.01",
        1,
        1,
    )
    assert alice.get(path, days=1)["shadows"] == []
    for days in (0, 32, "x"):
        assert "days" in alice.refused(path, days=days)


def test_another_persons_bot_has_neither(alice):
    bob = Records("bob")
    for name in ("funnel", "shadows"):
        assert bob.client.get(f"/api/v1/bots/{alice.bot.pk}/{name}/").status_code == 404
