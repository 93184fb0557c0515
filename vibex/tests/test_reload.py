"""A change of code ends the running child in order and starts it anew."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.template import Context, engines

from vibex import reload

WORKS = """
import pathlib, signal, sys, time
runs = pathlib.Path("runs")
with runs.open("a") as file:
    file.write(" ".join(sys.argv[1:]) + "\\n")
if len(runs.read_text().splitlines()) > 1:
    sys.exit(7)
signal.signal(signal.SIGTERM, lambda *_: (pathlib.Path("in-order").touch(), sys.exit(0)))
while True:
    time.sleep(0.1)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a command, a file that is watched, and nobody's signal handlers disturbed."""
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reload, "ROOT", tmp_path)
    monkeypatch.setattr(reload, "LOOK_SECONDS", 0.05)
    (tmp_path / ".env").touch()
    yield tmp_path
    signal.signal(signal.SIGTERM, before)


def command(place: Path, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "manage.py").write_text(code)
    monkeypatch.setattr(sys, "argv", ["manage.py", "up", "--port", "3000", "--reload"])


def change_when(place: Path, seen: str) -> None:
    """Change the watched file once `seen` is there."""
    while not (place / seen).exists():
        time.sleep(0.05)
    time.sleep(0.2)
    (place / ".env").write_text("DEBUG=no")


def test_a_change_stops_the_child_in_order_and_starts_it_anew(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command(place, WORKS, monkeypatch)
    told: list[str] = []
    threading.Thread(target=change_when, args=(place, "runs"), daemon=True).start()
    assert reload.run_again_on_change(told.append) == 7
    assert (place / "in-order").exists()
    assert (place / "runs").read_text().splitlines() == ["up --port 3000 --reloaded"] * 2
    assert told == ["Code has changed: starting anew."]


def test_code_that_does_not_load_waits_for_the_next_change(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command(place, "import pathlib, sys; pathlib.Path('runs').touch(); sys.exit(1)", monkeypatch)

    def mend() -> None:
        while not (place / "runs").exists():
            time.sleep(0.05)
        (place / "manage.py").write_text("import sys; sys.exit(0)")
        change_when(place, "runs")

    threading.Thread(target=mend, daemon=True).start()
    assert reload.run_again_on_change(lambda _: None) == 0


def test_an_edited_template_shows_at_the_next_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine: Any = engines["django"].engine  # type: ignore[attr-defined]
    monkeypatch.setattr(engine, "dirs", [tmp_path])
    monkeypatch.setattr(engine, "loaders", engine.loaders)
    kept = engine.__dict__.pop("template_loaders", None)
    try:
        reload.templates_uncached()
        for text in ("before", "after"):
            (tmp_path / "page.html").write_text(text)
            assert engine.get_template("page.html").render(Context()) == text
    finally:
        engine.__dict__.pop("template_loaders", None)
        if kept is not None:
            engine.template_loaders = kept
