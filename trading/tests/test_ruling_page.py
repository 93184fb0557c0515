"""The page of a decision shows what was asked, what was allowed, and which rules spoke with which numbers."""

import pytest

from decisions.models import Decision, DiaryEntry
from tests.support.demo import demo
from trading.domain.risk import RULES

pytestmark = pytest.mark.django_db


@pytest.fixture
def made(client):
    made = demo(cycles=3, equity_points=5)
    client.force_login(made.user)
    return made


def ruled(made, **fields):
    """Change the entry of the first cycle and return its decision."""
    decision = Decision.objects.filter(cycle=made.cycles[0]).first()
    Decision.objects.filter(pk=decision.pk).update(**fields)
    return decision


def page_of(client, made):
    return " ".join(client.get(f"/cycles/{made.cycles[0].pk}/").content.decode().split())


def hit(rule, effect, text, **numbers):
    return {"rule": rule, "effect": effect, "text": text, "numbers": numbers}


def test_a_reduction_shows_both_sizes_and_every_rule_that_spoke(client, made):
    ruled(
        made,
        verdict="reduced",
        asked_quantity="0.036",
        quantity="0.018",
        hits=[
            hit("size.risk", "reduced", "Reduced from 0.036 to 0.020: the stop.", equity="10164.2", share="0.01"),
            hit("cap.gross", "reduced", "Reduced from 0.020 to 0.018: gross.", limit="20328.4"),
        ],
    )
    page = page_of(client, made)
    assert "Reduced to 0.018 of 0.036." in page
    for text in ("size.risk", "10164.2", "cap.gross", "20328.4", "Asked", "Allowed"):
        assert text in page
    doc = next(rule.doc for rule in RULES if rule.id == "cap.gross").replace("`", "")
    assert f'title="{doc}"' in page


def test_a_refusal_says_plainly_that_nothing_was_opened_and_why(client, made):
    ruled(
        made,
        verdict="refused",
        quantity=None,
        leverage=None,
        hits=[
            hit("size.risk", "reduced", "Reduced from 2 to 1: the stop."),
            hit("size.minimum", "refused", "0.0 is below what the venue takes.", quantity="0"),
        ],
    )
    page = page_of(client, made)
    assert "<strong>Refused: nothing was opened.</strong> 0.0 is below what the venue takes." in page
    assert ">nothing</td>" in page
    assert "status-refused" in page
    assert "no numbers" in page


def test_what_was_allowed_as_asked_says_that_no_rule_objected(client, made):
    ruled(made, verdict="accepted", hits=[], rule_ids=[])
    page = page_of(client, made)
    assert "Allowed as it was asked." in page
    assert "No rule objected." in page


def test_a_close_says_that_nothing_bars_it(client, made):
    ruled(
        made,
        action="close_position",
        verdict="accepted",
        asked_quantity=None,
        asked_leverage=None,
        hits=[],
        rule_ids=[],
    )
    assert "Allowed as it was asked: nothing bars a close." in page_of(client, made)


def test_a_rule_that_is_no_more_and_hostile_text_are_shown_as_they_are(client, made):
    ruled(made, verdict="refused", hits=[hit("gone.rule", "refused", "<script>alert(1)</script>", **{"<b>": "<i>"})])
    page = page_of(client, made)
    assert "gone.rule" in page
    assert "<script>alert" not in page
    assert "<i>" not in page


def test_the_desk_marks_decisions_with_their_verdict(client, made):
    DiaryEntry.objects.create(
        bot=made.bot, cycle=made.cycles[0], at=made.now, kind="decision", symbol="ETHUSDT", text="Buy, refused: …",
        data={"verdict": "refused"},
    )  # fmt: skip
    page = client.get(f"/accounts/{made.account.pk}/").content.decode()
    assert '<span class="status status-refused">refused</span>' in page
