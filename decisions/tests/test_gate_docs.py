"""The page of the gate says what is: every row of the adversarial table with its test, and every reason code."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

from decisions.tests.gate_rows import ROWS, Row, as_table
from decisions.tests.test_gate_table import ENVELOPES, REJECT, TEXTS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reply-gate.md"
CODES = re.compile(r"""(?:Unreadable|Doubtful)\(\s*f?"([\w{}.]+)["]""")
RETURNED = ("text.salvaged", "reply.unknown_symbol", "gate_fault")
"""Codes that no exception carries."""
APPS = ("accounts", "decisions", "marketdata", "trading", "vibex")
TABLES = re.compile(r"text/csv|csv\.writer|DictWriter|to_csv|openpyxl|xlsxwriter")


def cases() -> dict[int, set[str]]:
    """Return the outcomes of the cases of the table test, by the number that their names begin with."""
    found: dict[int, set[str]] = defaultdict(set)
    named = [(name, outcome) for name, _, outcome in TEXTS] + [(name, REJECT) for name, _ in ENVELOPES]
    for name, outcome in named:
        number = name.partition(" ")[0]
        if number.isdigit():
            found[int(number)].add(outcome)
    return found


def test_the_page_has_the_rows_as_they_are():
    assert as_table() in PAGE.read_text(encoding="utf-8"), f"{PAGE.name} is out of step; it has to be:\n\n{as_table()}"


def test_every_row_is_there_once_and_in_order():
    assert [row.number for row in ROWS] == list(range(1, 78))


def test_there_are_more_cases_than_the_research_had():
    names = [name for name, *_ in (*TEXTS, *ENVELOPES)]
    assert len(set(names)) == len(names) > 107


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.number))
def test_a_row_has_the_outcomes_of_its_cases_and_its_tests_exist(row: Row):
    assert row.outcomes == cases().get(row.number, set())
    assert row.outcomes or row.elsewhere
    for test in row.elsewhere:
        path, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), test


def test_the_page_names_every_reason_code():
    sources = [ROOT / "decisions" / "domain" / f"{name}.py" for name in ("envelope", "strict_json", "gate")]
    codes = {code for path in sources for code in CODES.findall(path.read_text(encoding="utf-8"))} | set(RETURNED)
    assert len(codes) > 30
    text = PAGE.read_text(encoding="utf-8")
    assert sorted(code for code in codes if f"`{code.replace('{name}', '<price>')}`" not in text) == []


def test_77_tables_are_written_by_one_module_only():
    """It is the one that defuses what begins like a formula. Whoever adds another has to do the same, and says so here."""
    sources = [path for app in APPS for path in (ROOT / app).rglob("*.py") if "tests" not in path.parts]
    assert len(sources) > 200
    found = {path.name: path.read_text(encoding="utf-8") for path in sources}
    about = {name for name, text in found.items() if TABLES.search(text)}
    assert about == {"admin_exports.py", "exports.py", "import_admin.py", "table.py"}
    assert "table_lines(" in found["admin_exports.py"], "the admin's lists are written by the same module"
    assert "defused(cell)" in found["exports.py"], "no cell begins like a formula"
    assert "cells.kept(" in found["table.py"], "nor does one that is read back"
    assert "accounts_table(" in found["import_admin.py"], "what is offered there comes from the table of accounts"
