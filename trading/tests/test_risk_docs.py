"""The rules document themselves, and the page says what the code says."""

from dataclasses import fields
from pathlib import Path

import pytest

from accounts.domain.limits import DEFAULTS, Limits
from decisions.domain.proposal import Verdict
from trading.domain.risk import ELSEWHERE, RULES, as_table, as_table_of_others, rules_of_limit

PAGE = Path(__file__).parents[2] / "docs" / "risk.md"
LIMITS = [limit.name for limit in fields(Limits)]


@pytest.mark.parametrize("table", [as_table, as_table_of_others])
def test_the_page_has_the_tables_of_the_rules_as_they_are(table) -> None:
    assert table() in PAGE.read_text(), f"docs/risk.md is out of step; its table has to be:\n\n{table()}"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_rule_says_in_one_line_what_has_to_hold(rule) -> None:
    assert rule.doc.endswith(".")
    assert "\n" not in rule.doc


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_the_limits_that_a_rule_names_are_limits_of_an_account(rule) -> None:
    assert set(rule.limits) <= set(LIMITS)
    assert len(set(rule.limits)) == len(rule.limits)


@pytest.mark.parametrize("name", LIMITS)
def test_every_limit_is_compared_by_a_rule_or_somebody_else_is_named(name: str) -> None:
    assert bool(rules_of_limit()[name]) != (name in ELSEWHERE)


def test_the_rules_of_a_limit_are_those_that_name_it() -> None:
    assert [rule.id for rule in rules_of_limit()["min_hold_minutes"]] == ["hold.reversal", "entry.cooldown"]
    assert set(rules_of_limit()) == set(LIMITS)


@pytest.mark.parametrize("name", LIMITS)
def test_the_page_tells_the_default_of_every_limit(name: str) -> None:
    told = {"None": "none", "True": "yes", "False": "no"}.get(
        str(getattr(DEFAULTS, name)), str(getattr(DEFAULTS, name))
    )
    assert f"`{name}` {told}" in PAGE.read_text()


def test_no_two_rules_share_an_id() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)


def test_form_is_looked_at_before_size_and_the_minimum_last() -> None:
    effects = [rule.effect for rule in RULES]
    first_reduction = effects.index(Verdict.REDUCED)
    assert Verdict.REFUSED not in effects[first_reduction:-1]
    assert RULES[-1].id == "size.minimum"
