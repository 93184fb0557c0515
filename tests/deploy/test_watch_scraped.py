"""A real Prometheus reads a real installation by the configuration of the repository, and evaluates every rule and panel."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.debian import located
from tests.deploy.watch_kit import PROMETHEUS, of_dashboards
from vibex.tests.running import Up, free_port

pytestmark = pytest.mark.ci
TOKEN = "a-token-for-prometheus-alone"


class Server:
    """Prometheus with the files of the repository: only addresses differ, and how often it looks."""

    def __init__(self, folder: Path, target: str) -> None:
        self.folder, self.port = folder, free_port()
        folder.mkdir()
        (folder / "token").write_text(f"{TOKEN}\n", encoding="utf-8")
        config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))
        config["global"] |= {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        config["scrape_configs"] = [job for job in config["scrape_configs"] if job["job_name"] == "vibex"]
        config["scrape_configs"][0]["authorization"]["credentials_file"] = str(folder / "token")
        config["scrape_configs"][0]["static_configs"] = [{"targets": [target]}]
        config["scrape_configs"][0] |= {"scrape_interval": "2s", "scrape_timeout": "2s"}
        for file in (PROMETHEUS / "rules").glob("*.yml"):
            groups = yaml.safe_load(file.read_text(encoding="utf-8"))
            for group in groups["groups"]:
                group["interval"] = "1s"
            (folder / "rules").mkdir(exist_ok=True)
            (folder / "rules" / file.name).write_text(yaml.safe_dump(groups), encoding="utf-8")
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = located("prometheus", "prometheus", "promtool")[0]
        words = [f"--config.file={self.folder / 'prometheus.yml'}", f"--storage.tsdb.path={self.folder / 'data'}",
                 f"--web.listen-address=127.0.0.1:{self.port}"]  # fmt: skip
        with (self.folder / "said.txt").open("wb") as said:
            self.process = subprocess.Popen([program, *words], stdout=said, stderr=said, start_new_session=True)

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def asked(self, path: str, **query: str) -> Any:
        address = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(address, timeout=30) as answer:
            return json.load(answer)["data"]

    def value(self, expression: str) -> float | None:
        """Return the one value of an expression; None while there is none, or nobody answers."""
        try:
            found = self.asked("query", query=expression)["result"]
        except OSError:
            return None
        return float(found[0]["value"][1]) if found else None


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    made = Up(tmp_path / "data", METRICS_TOKEN=TOKEN)
    yield made
    made.kill()


@pytest.fixture
def server(up: Up, tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "prometheus", f"127.0.0.1:{up.port}")
    yield made
    made.kill()


def test_it_is_read_every_rule_holds_and_every_panel_has_an_answer(up: Up, server: Server) -> None:
    up.start()
    server.start()
    up.wait_for(lambda: server.value('up{job="vibex"}') == 1)
    up.wait_for(lambda: server.value("installation:vibex_ready:min") == 1)
    up.wait_for(lambda: server.value('sum(vibex_bots{status="running"})') == 1)
    up.wait_for(lambda: server.value("vibex_scheduler_age_seconds < 60") is not None)
    assert server.value("sum(vibex_metrics_part_failed)") == 0
    assert server.value("installation:vibex_unready:ratio_5m") is not None
    assert server.value("installation:vibex_availability:ratio_30d") is not None

    def all_evaluated() -> bool:
        rules = [rule for group in server.asked("rules")["groups"] for rule in group["rules"]]
        broken = {rule["name"]: rule["lastError"] for rule in rules if rule.get("lastError")}
        assert broken == {}
        return len(rules) > 50 and all(rule["health"] == "ok" for rule in rules)

    up.wait_for(all_evaluated)
    for each in of_dashboards():
        assert "result" in server.asked("query", query=each.text), each.where
    assert server.value('ALERTS{alertname="VibexPositionUnprotected"}') is None

    assert up.process is not None
    up.process.send_signal(signal.SIGKILL)
    up.wait_for(lambda: server.value('up{job="vibex"}') == 0)
    up.wait_for(lambda: server.value("installation:vibex_ready:min") == 0)
    up.wait_for(lambda: server.value('ALERTS{alertname="VibexDown", alertstate="pending"}') == 1)
