"""Make the dashboards of `panels.py` with Grafana's own library, which knows the schema.

    uv run --no-project --isolated --with grafana-foundation-sdk python deploy/grafana/make_dashboards.py

writes `dashboards/*.json`; with `--print` it prints them as one JSON object instead, for the test that compares.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from grafana_foundation_sdk.builders import common, dashboard, logs, loki, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as shapes
from grafana_foundation_sdk.models import dashboard as forms
from panels import PAGES, Page, Panel

PROMETHEUS = forms.DataSourceRef(type_val="prometheus", uid="prometheus")
LOKI = forms.DataSourceRef(type_val="loki", uid="loki")
HEIGHTS = {"stat": 5, "table": 8, "logs": 10}
BUILDERS = {
    "stat": stat.Panel, "lines": timeseries.Panel, "bars": timeseries.Panel, "table": table.Panel, "logs": logs.Panel,
}  # fmt: skip


def page(made: Page) -> dashboard.Dashboard:
    """Return a page with its rows, one below the other."""
    board = (
        dashboard.Dashboard(made.title)
        .uid(made.uid)
        .description(made.text)
        .tags(["vibex"])
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("utc")
        .tooltip(forms.DashboardCursorSync.CROSSHAIR)
        .readonly()
        .link(dashboard.DashboardLink("Vibex").type(forms.DashboardLinkType.DASHBOARDS).tags(["vibex"]).keep_time(True))
    )
    if made.by_account:
        board.with_variable(
            dashboard.QueryVariable("account")
            .label("Account")
            .query("label_values(vibex_account_locked, name)")
            .datasource(PROMETHEUS)
            .refresh(forms.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(forms.VariableSort.ALPHABETICAL_ASC)
            .multi(True)
            .include_all(True)
            .all_value(".*")
        )
    for title, panels in made.rows:
        board.with_row(dashboard.Row(title))
        for panel in panels:
            board.with_panel(_panel(panel))
    return board


def _panel(panel: Panel) -> Any:
    made = BUILDERS[panel.kind]().title(panel.title).span(panel.width).height(HEIGHTS.get(panel.kind, 8))
    made.datasource(LOKI if panel.kind == "logs" else PROMETHEUS)
    if panel.text:
        made.description(panel.text)
    for number, (expression, legend) in enumerate(panel.queries):
        made.with_target(_query(panel, expression, legend, chr(ord("A") + number)))
    if panel.kind == "logs":
        return made.show_time(True).wrap_log_message(True)
    made.unit(panel.unit).thresholds(_thresholds(panel))
    return _drawn(made, panel)


def _query(panel: Panel, expression: str, legend: str, reference: str) -> Any:
    if panel.kind == "logs":
        return loki.Dataquery().expr(expression).ref_id(reference)
    query = prometheus.Dataquery().expr(expression).ref_id(reference)
    if panel.kind == "table":
        return query.instant().format("table")
    return query.range().legend_format(legend) if legend else query.range()


def _thresholds(panel: Panel) -> Any:
    steps = [forms.Threshold(value=None, color="green")]
    if panel.bad_below is not None:
        steps = [forms.Threshold(value=None, color="red"), forms.Threshold(value=panel.bad_below, color="green")]
    if panel.bad_above is not None:
        steps.append(forms.Threshold(value=panel.bad_above, color="red"))
    return dashboard.ThresholdsConfig().mode(forms.ThresholdsMode.ABSOLUTE).steps(steps)


def _drawn(made: Any, panel: Panel) -> Any:
    if panel.kind == "stat":
        newest = common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)
        return made.reduce_options(newest).color_mode(shapes.BigValueColorMode.BACKGROUND)
    if panel.kind == "table":
        return made
    made.legend(common.VizLegendOptions().show_legend(True).placement(shapes.LegendPlacement.BOTTOM))
    made.tooltip(common.VizTooltipOptions().mode(shapes.TooltipDisplayMode.MULTI))
    if panel.kind == "bars":
        made.draw_style(shapes.GraphDrawStyle.BARS).fill_opacity(60)
        return made.stacking(common.StackingConfig().mode(shapes.StackingMode.NORMAL))
    if panel.bad_above is not None or panel.bad_below is not None:
        made.thresholds_style(common.GraphThresholdsStyleConfig().mode(shapes.GraphTresholdsStyleMode.LINE))
    return made


def main() -> None:
    """Write the pages, or print them."""
    made = {
        f"{each.uid.removeprefix('vibex-')}.json": json.loads(
            json.dumps(page(each).build(), sort_keys=True, cls=JSONEncoder)
        )
        for each in PAGES
    }
    if "--print" in sys.argv:
        print(json.dumps(made))  # noqa: T201 - what was asked for
        return
    folder = Path(__file__).parent / "dashboards"
    for name, content in made.items():
        (folder / name).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
