"""What models wrote leaves the API without secrets and with nothing in it that eyes cannot see, wherever it stands."""

import json

import pytest

from decisions.api.said import LONGEST, MARGIN, Said, SaidData, said, said_shortly
from decisions.models import Approval
from decisions.tests.api_kit import AT, Records

SECRET = "sk-or-v1-0123456789abcdef0123456789abcdef"
HIDDEN = "buy \u202eyub\u202c now\u200b"
WRITTEN = f"{HIDDEN} with api_key={SECRET} {SECRET}"


@pytest.fixture
def alice(db):
    return Records()


def clean(answer):
    """Return whether an answer shows neither the secret nor anything invisible."""
    text = answer.content.decode()
    seen = json.dumps(answer.json(), ensure_ascii=False)
    return "0123456789abcdef" not in text and not {"\u202e", "\u202c", "\u200b"} & set(seen)


def test_every_text_of_a_model_is_masked_and_visible_in_lists_and_alone(alice):
    cycle = alice.cycle(error=WRITTEN, seen={"BTCUSDT": {"problem": WRITTEN}})
    call = alice.call(
        cycle, reply=WRITTEN, user_prompt=WRITTEN, system_prompt=WRITTEN, reasoning=WRITTEN, reason=WRITTEN,
        finish_reason=HIDDEN, model_served=HIDDEN, generation_id=HIDDEN, parameters={"said": WRITTEN, HIDDEN: 1},
    )  # fmt: skip
    made = alice.decision(
        cycle, justification=WRITTEN, invalidation_condition=WRITTEN, hits=[{"rule": "x", "text": WRITTEN}]
    )
    Approval.objects.create(decision=made, until=AT, reason=WRITTEN)
    entry = alice.entry(WRITTEN, data={"text": WRITTEN, "list": [WRITTEN]})
    for path in ("decisions/", "interactions/", "cycles/", "diary/"):
        assert clean(alice.client.get(f"/api/v1/{path}")), path
    for path in (f"decisions/{made.pk}/", f"interactions/{call.pk}/", f"cycles/{cycle.pk}/", f"diary/{entry.pk}/"):
        assert clean(alice.client.get(f"/api/v1/{path}")), path
    assert "⟦U+202E⟧" in alice.get(f"decisions/{made.pk}/")["justification"]


def test_markup_goes_as_it_is_for_json_is_no_page(alice):
    made = alice.decision(justification="<script>alert(1)</script>\nsecond line")
    assert alice.get(f"decisions/{made.pk}/")["justification"] == "<script>alert(1)</script>\nsecond line"


def test_a_long_text_comes_with_its_beginning_and_says_so(alice):
    call = alice.call(reply="x" * (LONGEST + 1), reasoning="y" * LONGEST)
    texts = alice.get(f"interactions/{call.pk}/")["texts"]
    assert (len(texts["reply"]), len(texts["reasoning"]), texts["cut"]) == (LONGEST, LONGEST, ["reply"])


@pytest.mark.parametrize("place", [LONGEST - 20, LONGEST, LONGEST + MARGIN - 20])
def test_no_secret_is_shown_by_its_half_where_a_text_is_cut(place):
    padding = f"{SECRET} " * 200  # what is masked is shorter: what was behind the end moves up
    text = (padding + "x" * place)[: place - 1] + " " + SECRET + "y" * 10_000
    shown, cut = said_shortly(text)
    assert cut
    assert "0123" not in shown


def test_numbers_that_json_does_not_know_become_text_and_others_stay():
    told = SaidData().to_representation({"a": 1.5, "b": float("nan"), "c": [True, None, 3], "d": float("inf")})
    assert json.loads(json.dumps(told, allow_nan=False)) == {"a": 1.5, "b": "nan", "c": [True, None, 3], "d": "inf"}


def test_the_schema_says_that_these_texts_are_not_to_be_trusted():
    assert "not to be trusted" in str(Said().help_text)
    assert said("EMA20 is above EMA50") == "EMA20 is above EMA50"
