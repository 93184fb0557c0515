"""Take a picture of every page, at two widths and in both themes, and stop at the first complaint of the browser.

`python -m benchmarks.screenshots [FOLDER]` writes PNG files to FOLDER, by default `data/screenshots`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.browser import ROOT, Served, browser, complaints_of, sign_in

WIDTHS = {"wide": (1440, 1000), "phone": (390, 844)}
THEMES = ("dark", "light")

PAGES: dict[str, tuple[str | None, str]] = {
    "sign-in": (None, "/sign-in/"),
    "overview": ("operator@vibex.local", "/"),
    "overview-weeks": ("arena@vibex.local", "/"),
    "arena": ("arena@vibex.local", "/arena/"),
    "arena-all": ("arena@vibex.local", "/arena/?span=all"),
    "performance": ("judged@vibex.local", "/performance/?days=all"),
    "performance-figures": ("judged@vibex.local", "/performance/figures/?days=all"),
    "performance-baselines": ("judged@vibex.local", "/performance/baselines/?days=all"),
    "performance-trades": ("judged@vibex.local", "/performance/trades/?days=all"),
    "performance-few": ("operator@vibex.local", "/performance/"),
    "performance-empty": ("nobody@vibex.local", "/performance/"),
    "desk": ("operator@vibex.local", "/accounts/1/"),
    "desk-empty": ("beginner@vibex.local", "/"),
    "desk-still": ("operator@vibex.local", "/accounts/3/"),
    "setup": ("nobody@vibex.local", "/"),
    "no-account": ("viewer@vibex.local", "/"),
    "market": ("operator@vibex.local", "/accounts/1/market/?interval=15m"),
    "market-all": (
        "operator@vibex.local",
        "/accounts/1/market/?symbol=SOLUSDT&interval=1m&show=ema20,bollinger,rsi14,macd,atr14,adx14,funding",
    ),
    "market-empty": ("operator@vibex.local", "/accounts/3/market/"),
    "diary": ("operator@vibex.local", "/accounts/1/diary/"),
    "books": ("operator@vibex.local", "/accounts/1/books/"),
    "alerts": ("operator@vibex.local", "/alerts/?seen=all"),
    "alert-channels": ("operator@vibex.local", "/alerts/channels/"),
    "alert-channel": ("operator@vibex.local", "/alerts/channels/1/"),
    "halt": ("operator@vibex.local", "/halt/"),
    "halt-state": ("operator@vibex.local", "/halt/state/"),
    "bot": ("operator@vibex.local", "/bots/1/"),
    "cycle": ("operator@vibex.local", "/cycles/1/"),
    "cycle-model": ("operator@vibex.local", "/cycles/40/"),
    "approvals": ("operator@vibex.local", "/approvals/"),
    "cycle-approval": ("operator@vibex.local", "/cycles/62/"),
    "cycle-ladder": ("operator@vibex.local", "/cycles/63/"),
    "cycle-together": ("operator@vibex.local", "/cycles/64/"),
    "cycle-no-answer": ("operator@vibex.local", "/cycles/65/"),
    "prompts": ("operator@vibex.local", "/prompts/"),
    "prompt-version": ("operator@vibex.local", "/prompts/of/arena/2/"),
    "prompt-preview": ("operator@vibex.local", "/prompts/now/1/"),
    "second-factor": ("operator@vibex.local", "/profile/second-factor/"),
    "operations": ("operator@vibex.local", "/operations/"),
    "operations-log": ("operator@vibex.local", "/operations/log/"),
    "orders": ("operator@vibex.local", "/accounts/1/orders/"),
    "trades": ("operator@vibex.local", "/accounts/1/trades/"),
    "act": ("operator@vibex.local", "/accounts/1/acts/close-all/"),
    "password": ("operator@vibex.local", "/password/"),
    "profile": ("operator@vibex.local", "/profile/"),
    "confirm": ("operator@vibex.local", "/confirm/"),
    "password-forgotten": (None, "/password/forgotten/"),
    "not-found": ("operator@vibex.local", "/nothing/"),
    "admin": ("operator@vibex.local", "/admin/"),
    "admin-import": ("operator@vibex.local", "/admin/accounts/account/import/"),
    "admin-cycle": ("operator@vibex.local", "/admin/decisions/cycle/40/change/"),
    "admin-bots": ("operator@vibex.local", "/admin/accounts/bot/"),
    "admin-positions": ("operator@vibex.local", "/admin/trading/position/"),
    "admin-account": ("operator@vibex.local", "/admin/accounts/account/1/change/"),
    "desk-live": ("operator@vibex.local", "/accounts/5/"),
    "desk-testnet": ("operator@vibex.local", "/accounts/6/"),
    "admin-account-live": ("operator@vibex.local", "/admin/accounts/account/5/change/"),
    "admin-gate": ("operator@vibex.local", "/admin/accounts/account/5/live/"),
    "admin-check": ("operator@vibex.local", "/admin/accounts/account/5/check/"),
    "admin-promote": ("operator@vibex.local", "/admin/accounts/account/4/promote/"),
}
"""Name of the picture: who looks (None: nobody signed in), and at which address."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "data" / "screenshots")
    parser.add_argument("--only", help="Part of the name of the pages to take.", default="")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        served = Served(Path(folder))
        served.start()
        try:
            taken = list(take_all(served.url, options.folder, options.only))
        finally:
            served.stop()
    print(f"{len(taken)} pictures in {options.folder}")


def take_all(url: str, folder: Path, only: str) -> Iterator[Path]:
    """Take every picture; raises RuntimeError with what the browser complained of."""
    with browser() as chromium:
        for theme in THEMES:
            for width, (across, down) in WIDTHS.items():
                for who in dict.fromkeys(person for person, _ in PAGES.values()):
                    context = chromium.new_context(
                        viewport={"width": across, "height": down}, color_scheme=theme, device_scale_factor=1
                    )
                    yield from take(context, url, who, folder, f"{width}-{theme}", only)
                    context.close()


def take(context: Any, url: str, who: str | None, folder: Path, suffix: str, only: str) -> Iterator[Path]:
    """Take the pictures of one person."""
    wanted = {name: path for name, (person, path) in PAGES.items() if person == who and only in name}
    if not wanted:
        return
    page = context.new_page()
    complaints = complaints_of(page, [])
    if who:
        sign_in(page, url, who)
    for name, path in wanted.items():
        page.goto(url + path)
        if page.locator("[data-chart] svg polyline").count():
            page.wait_for_selector("[data-drawn] .main-svg")
        page.wait_for_timeout(300)
        file = folder / f"{name}-{suffix}.png"
        page.screenshot(path=file, full_page=True)
        if name == "not-found":  # the browser reports the 404 itself
            complaints[:] = [text for text in complaints if "404" not in text]
        if complaints:
            raise RuntimeError(f"{name} {suffix}: {complaints}")
        yield file


if __name__ == "__main__":
    main()
