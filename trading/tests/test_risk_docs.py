"""The rules document themselves, and the page says what the code says."""

from pathlib import Path

import pytest

from decisions.domain.proposal import Verdict
from trading.domain.risk import RULES, as_table

PAGE = Path(__file__).parents[2] / "docs" / "risk.md"


def test_the_page_has_the_table_of_the_rules_as_they_are() -> None:
    assert as_table() in PAGE.read_text(), f"docs/risk.md is out of step; its table has to be:\n\n{as_table()}"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_rule_says_in_one_line_what_has_to_hold(rule) -> None:
    assert rule.doc.endswith(".")
    assert "\n" not in rule.doc


def test_no_two_rules_share_an_id() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)


def test_form_is_looked_at_before_size_and_the_minimum_last() -> None:
    effects = [rule.effect for rule in RULES]
    first_reduction = effects.index(Verdict.REDUCED)
    assert Verdict.REFUSED not in effects[first_reduction:-1]
    assert RULES[-1].id == "size.minimum"
