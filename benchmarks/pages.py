"""Pages with a hundred bots and a million candles behind them: queries, time of the server, size, first paint."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Final

from benchmarks import house
from benchmarks.report import Table
from vibex.lib.env import ROOT

QUERIES, SERVER_MS, WIRE_KB, PAINT_S = 12, 200.0, 300.0, 1.0
LOOKED_AT: Final = (
    "desk",
    "market",
    "diary",
    "books",
    "bot",
    "cycle",
    "alerts",
    "profile",
    "overview",
    "arena",
    "operations",
)
"""Of the pages that are photographed: those that a browser is asked about."""


def measure() -> list[Table]:
    with house.folder() as home, house.postgres() as url:
        found = [_rounds(home / "sqlite")]
        if url:
            found.append(_rounds(home / "postgresql", DATABASE_URL=url))
        return [_served(found), _painted(home / "browser")]


def _served(found: list[dict[str, Any]]) -> Table:
    rows = [_row(path, run["vendor"], page) for run in found for path, page in run["pages"].items()]
    columns = ("page", "database", "queries", "median", "p95", "on the clock", "size", "target")
    how = (
        "A person with 100 accounts with a running bot each; 1,000,000 candles, 100,000 rows of each history. All queries, those "
        "for session and person included. Through Django's test client; median and p95 at the machine's full speed, as for the lists."
    )
    notes = (how, f"Target: ≤ {QUERIES} queries, median ≤ {SERVER_MS:g} ms.")
    return Table("Pages with a hundred bots", columns, tuple(rows), notes)


def _row(path: str, vendor: str, page: dict[str, Any]) -> tuple[str, ...]:
    if page["status"] != 200:
        return path, vendor, "", "", "", "", "", f"answers {page['status']}"
    middle, p95, wall = (page[name] * 1000 for name in ("median", "p95", "wall"))
    missed = [
        name
        for name, value, limit in (("queries", page["queries"], QUERIES), ("median", middle, SERVER_MS))
        if value > limit
    ]
    verdict = f"**missed**: {', '.join(missed)}" if missed else "kept"
    size = f"{page['bytes'] / 1000:.0f} kB"
    return path, vendor, str(page["queries"]), f"{middle:.0f} ms", f"{p95:.0f} ms", f"{wall:.0f} ms", size, verdict


def _painted(home: Path) -> Table:
    """Ask a browser about the pages of the demo data: bytes on the wire without the chart library, and first paint."""
    from benchmarks.screenshots import PAGES
    from tests.support.browser import Served, browser, sign_in

    home.mkdir()
    served, rows = Served(home), []
    served.start()
    try:
        with browser() as chromium:
            for name in LOOKED_AT:
                if name not in PAGES:
                    continue
                who, path = PAGES[name]
                context = chromium.new_context(viewport={"width": 1440, "height": 1000})
                page = context.new_page()
                if who:
                    sign_in(page, served.url, who)
                rows.append((name, *_looked_at(page, served.url + path)))
                context.close()
    finally:
        served.stop()
    how = (
        f"Headless Chromium on loopback, nothing kept from before. Target: ≤ {WIRE_KB:g} kB without the chart library, "
        f"first contentful paint ≤ {PAINT_S:g} s (median of five looks)."
    )
    return Table("Pages in a browser", ("page", "on the wire", "first paint", "target"), tuple(rows), (how,))


def _looked_at(page: Any, url: str) -> tuple[str, str, str]:
    wire = page.context.new_cdp_session(page)
    wire.send("Network.enable")
    wire.send("Network.setCacheDisabled", {"cacheDisabled": True})
    paints, kilobytes = [], 0.0
    for _ in range(5):
        addresses: dict[str, str] = {}
        sizes: dict[str, float] = {}
        wire.on(
            "Network.requestWillBeSent",
            lambda told, into=addresses: into.update({told["requestId"]: told["request"]["url"]}),
        )
        wire.on(
            "Network.loadingFinished",
            lambda told, into=sizes: into.update({told["requestId"]: told["encodedDataLength"]}),
        )
        page.goto(url)
        page.wait_for_timeout(500)
        entry = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
        paints.append(page.evaluate(entry) or 0.0)
        kilobytes = sum(size for name, size in sizes.items() if "plotly" not in addresses.get(name, "")) / 1000
    paint = sorted(paints)[2] / 1000
    kept = kilobytes <= WIRE_KB and paint <= PAINT_S
    return f"{kilobytes:.0f} kB", f"{paint:.2f} s", "kept" if kept else "**missed**"


def _rounds(home: Path, **more: str) -> dict[str, Any]:
    environment = house.environment(home, **more)
    command = house.python("-m", "benchmarks.pages_rounds")
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"no page was measured:\n{ran.stderr[-3000:]}")
    told: dict[str, Any] = json.loads(ran.stdout.strip().splitlines()[-1])
    return told
