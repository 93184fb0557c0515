"""The table of quirks in the documents, the tests that it names and the list in the recorded data are in step."""

import ast
import re
from pathlib import Path

import pytest

from vibex.lib.env import ROOT

PAGE = ROOT / "docs" / "market-data.md"
HEADING = "## Quirks we have met"
NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")
LISTED = {
    "**AsterDEX 4h BTC bar 2025-09-16 16:00**": "opens below its own low",
    "**AsterDEX 4h is not always the resample of 1h**": "not always made of their hours",
    "**Gaps between bars**": "not the close before it",
    "**Zero-volume flat candles**": "flat hours without volume",
    "**Last Aster candle of each file is still forming**": "still forming when it was collected",
    "**10 Oct 2025 21:00**": "10 October 2025 21:00",
    "**Funding**": "stamped up to 19 ms",
    "nautilus stamps bars": "",  # how files were made: see tests/quirks/__init__.py
    "AsterDEX sends `orderTypes`": "AsterDEX sends `orderTypes`",
    "`pricePrecision` is NOT": "`pricePrecision` is not the tick",
    "`PERCENT_PRICE`": "`PERCENT_PRICE`",
    "`fundingInfo` intervals": "funding caps are null",
    "Numbers arrive as strings": "the same number comes as text",
    "Live AsterDEX account": "a live SOL position",
    "ccxt records AsterDEX commissionRate": "commissions of 0.01 %",
}
"""How each item of the recorded data's list of quirks begins, and a part of the row that answers it."""


def rows() -> list[list[str]]:
    section = PAGE.read_text(encoding="utf-8").partition(HEADING)[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def named_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_every_row_names_a_quirk_what_is_done_and_a_test() -> None:
    assert len(rows()) >= 20
    for row in rows():
        assert len(row) == 3, row
        assert all(row), row
        assert NAMED.search(row[2]), row


def test_every_test_that_the_table_names_exists() -> None:
    named = {pair for row in rows() for pair in NAMED.findall(row[2])}
    assert [f"{path}::{name}" for path, name in sorted(named) if name not in named_in(ROOT / path)] == []


def test_every_file_of_quirks_is_named_in_the_table() -> None:
    files = {str(file.relative_to(ROOT)) for file in Path(__file__).parent.glob("test_*.py")}
    named = {path for row in rows() for path, _ in NAMED.findall(row[2])}
    assert files - named == {"tests/quirks/test_table.py"}


@pytest.fixture
def items(shared_data: Path) -> list[str]:
    """Return the items of both lists in the description of the recorded data."""
    text = (shared_data / "README.md").read_text(encoding="utf-8")
    found = []
    for begins in ("### Real quirks a product has to survive", "Facts in these payloads that differ"):
        after = text.partition(begins)[2].partition("\n")[2]
        found += [line[2:] for line in re.split(r"\n#+ ", after)[0].splitlines() if line.startswith("- ")]
    return found


def test_every_item_in_the_list_of_the_recorded_data_has_its_row(items) -> None:
    assert len(items) >= len(LISTED)
    quirks = [row[0] for row in rows()]
    for item in items:
        answers = [part for begins, part in LISTED.items() if item.startswith(begins)]
        assert len(answers) == 1, f"no row for: {item}"
        assert any(answers[0] in quirk for quirk in quirks), item
