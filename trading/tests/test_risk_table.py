"""Every rule on both sides of its edge: the rows of data/risk_table.json, each a change of one clean entry."""

import json
from pathlib import Path
from typing import Any

import pytest

from decisions.domain.proposal import Verdict
from trading.domain.risk import NO_POSITION, RULES
from trading.tests.risk_kit import rule_row

ROWS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "data" / "risk_table.json").read_text())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["row"])
def test_the_ruling_is_the_one_in_the_table(row: dict[str, Any]) -> None:
    ruling = rule_row(row["given"])
    size = "" if ruling.quantity is None else f" {ruling.quantity.normalize():f}"
    assert f"{ruling.verdict}{size}" == row["ruling"]
    assert list(ruling.rule_ids) == row["rules"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["row"])
def test_the_effects_of_the_rules_explain_the_verdict(row: dict[str, Any]) -> None:
    ruling = rule_row(row["given"])
    effects = [hit.effect for hit in ruling.hits]
    assert ruling.verdict == max(effects, key=list(Verdict).index, default=Verdict.ACCEPTED)
    assert effects.count(Verdict.REFUSED) <= 1
    assert (ruling.quantity is None) or ruling.verdict is not Verdict.REFUSED


@pytest.mark.parametrize("rule", [*[rule.id for rule in RULES], NO_POSITION])
def test_the_table_has_a_row_for_every_rule(rule: str) -> None:
    assert any(rule in row["rules"] for row in ROWS)


def test_the_table_is_long_enough_to_mean_something() -> None:
    assert len(ROWS) >= 250
    assert len({row["row"] for row in ROWS}) == len(ROWS)
