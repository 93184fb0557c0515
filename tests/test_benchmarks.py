"""The benchmarks' own parts. What they measure is never asserted here."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import guard, guard_rounds, streams
from benchmarks.__main__ import BENCHMARKS, PAGE, main, write
from benchmarks.history import growth, tables
from benchmarks.indicators import bare, walk
from benchmarks.report import Table
from benchmarks.timing import in_turns, percentile
from benchmarks.user_streams import FIGURES
from benchmarks.user_streams import table as listening
from marketdata.domain.indicators import compute


def test_an_unknown_benchmark_is_a_usage_error_that_lists_the_known_ones(capsys):
    with pytest.raises(SystemExit) as end:
        main(["indicator"])
    assert end.value.code == 2
    told = capsys.readouterr().err
    assert [name for name in BENCHMARKS if name not in told] == []


def test_every_benchmark_exists_and_has_its_place_on_the_page():
    page = PAGE.read_text()
    for name in (*BENCHMARKS, "machine"):
        assert f"<!-- figures: {name} -->" in page
    for name in BENCHMARKS:
        assert (PAGE.parents[1] / "benchmarks" / f"{name}.py").exists()


def test_figures_replace_those_before_and_nothing_else(tmp_path):
    page = tmp_path / "performance.md"
    page.write_text("# Head\n<!-- figures: check -->\nold\n<!-- end of check -->\nfoot\n")
    write(page, "check", "new")
    assert page.read_text() == "# Head\n<!-- figures: check -->\n\nnew\n\n<!-- end of check -->\nfoot\n"


def test_a_page_without_a_place_for_the_figures_is_left_alone(tmp_path):
    page = tmp_path / "performance.md"
    page.write_text("# Head\n")
    with pytest.raises(SystemExit, match="no place for check"):
        write(page, "check", "new")
    assert page.read_text() == "# Head\n"


def test_a_table_is_markdown_with_aligned_columns():
    table = Table("Title", ("a", "bb"), (("long", "x"),), ("A note.",))
    assert table.markdown() == "### Title\n\n| a    | bb |\n| ---- | -- |\n| long | x  |\n\nA note."


def test_candidates_take_turns_and_both_orders_occur():
    order: list[str] = []
    in_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds=2)
    assert order == ["a", "b", "b", "a"]


def test_a_percentile_is_one_of_the_values():
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([1.0, 2.0, 3.0], 0.99) == 3.0


def test_both_sides_of_the_indicator_benchmark_compute_the_same():
    candles = walk(300)
    ours, theirs = compute(candles), bare(candles)
    assert len(ours) == len(theirs)
    for mine in ours.values():
        assert any(np.array_equal(mine, other, equal_nan=True) for other in theirs)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_the_growth_that_is_fitted_is_the_one_that_is_there(power):
    sizes = [1e4, 1e5, 1e6]
    assert growth(sizes, [3.0 * size**power for size in sizes]) == pytest.approx(power, abs=1e-9)


def test_a_list_that_is_too_slow_or_broken_is_said_to_be():
    fine = {"status": 200, "queries": 3, "median": 0.004, "p95": 0.006}
    slow, broken = fine | {"p95": 0.2}, fine | {"status": 500}
    run = {"scale": 0.1, "accounts": 2, "gigabytes": 1.0, "rows": 1e6}
    paths = {"/api/v1/a/": fine, "/api/v1/b/": slow, "/c/": broken}
    (table,) = tables([run | {"rows": 1e5, "paths": paths}, run | {"paths": paths}])
    assert [row[-1] for row in table.rows] == ["kept", "**missed**: p95", "answers 500"]


@pytest.mark.django_db(transaction=True)
def test_a_pass_of_the_guard_sends_the_same_statements_for_more_accounts_on_paper_and_live():
    found = guard_rounds.measured([2, 5], rounds=1, looks=1)
    assert [(one["kind"], one["accounts"]) for one in found["passes"]] == [
        ("paper", 2), ("live", 2), ("paper", 5), ("live", 5),
    ]  # fmt: skip
    for few, more in zip(found["passes"][:2], found["passes"][2:], strict=True):
        assert more["statements"] <= few["statements"]


def test_a_pass_that_takes_too_long_or_grows_too_fast_is_said_to():
    one = {"kind": "paper", "pass": 1.0, "fastest": 0.1, "busy": 0.1, "statements": 25}
    live = one | {"kind": "live", "accounts": 100}
    slow = [one | {"accounts": 100}, one | {"accounts": 1_000, "pass": 6.0, "busy": 6.0}, live]
    table, _ = guard.tables([{"vendor": "postgresql", "passes": slow, "look": 0.2}])
    assert [row[-1] for row in table.rows] == ["", "≤ 5 s: **missed**; growth: **missed**", "≤ 5 s: kept; growth: kept"]


def test_events_that_nobody_watches_and_cost_more_with_more_bots_are_said_to():
    latency = {"events": 200, "p50": 0.05, "p99": 0.3}
    run = {
        "clients": 1_000, "redis": False, "single": latency, "burst": latency, "lost": 0, "twice": 0, "storm": 1.0,
        "connected": 1.0, "memory": 1e4, "rss": 1e8, "cpu": {"burst": 2.0, "storm": 1.0},
        "unwatched": [{"bots": 10, "server": 1e-5}, {"bots": 1_000, "server": 1e-4}],
    }  # fmt: skip
    watched, sizes, unwatched = streams.tables([run | {"clients": 100}, run])
    assert [row[-1] for row in watched.rows[:3]] == ["p99 ≤ 250 ms: **missed**"] * 2 + ["none: kept"]
    assert {row[-1] for row in sizes.rows} == {"kept"}
    assert [row[-2:] for row in unwatched.rows] == [("+0.50", "**missed**")]


def test_handles_that_grow_with_more_than_a_connection_for_each_account_are_said_to_be_too_many():
    sizes = (100, 1_000)
    run = dict.fromkeys(FIGURES, 1.0) | {"vendor": "sqlite"}
    fine = listening(sizes, [run | {"handles": 150.0, "idle": 0.2}, run | {"handles": 1_080.0, "idle": 2.0}])
    told = {row[0]: row[-2:] for row in fine.rows}
    assert told["handles"] == ("+0.86", "≤ 1,140: kept")
    assert told[FIGURES["idle"][0]] == ("+1.00", "growth ≤ 1.1: kept")
    worse = listening(sizes, [run | {"handles": 630.0, "idle": 0.2}, run | {"handles": 6_030.0, "idle": 20.0}])
    assert {row[0]: row[-1] for row in worse.rows if "missed" in row[-1]} == {
        "handles": "≤ 1,140: **missed**",
        FIGURES["idle"][0]: "growth ≤ 1.1: **missed**",
    }
