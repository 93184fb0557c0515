"""Rules, alerts and dashboards: what they name is there, and their own checkers find no fault in them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.deploy.debian import located
from tests.deploy.files import DEPLOY
from tests.deploy.watch_kit import (
    DASHBOARDS,
    LABEL,
    PROMETHEUS,
    RUNBOOKS,
    SELECTOR,
    SERVERS_OWN,
    alerts,
    dashboards,
    expressions,
    family_name,
    of_dashboards,
    panels,
    recorded,
)
from tests.oracles.environments import environment, newest_day, uv
from vibex.lib.env import ROOT
from vibex.metrics.families import BY_NAME, FAMILIES

SEVERITIES = {"critical", "error", "warning"}
SECTIONS = ("## What it means", "## What it costs", "## Look here", "## Do this")
ALERTMANAGER = DEPLOY / "alertmanager" / "alertmanager.yml"
URL_FILE_SINCE = (0, 26)
"""Some distributions have an older one, which knows no address in a file."""
HANDBOOK = "{{ $externalLabels.handbook }}/"
SDK = "grafana-foundation-sdk"


@pytest.fixture(scope="module")
def promtool() -> Path:
    return located("prometheus", "prometheus", "promtool")[1]


def checked(program: Path, *words: str | Path) -> str:
    done = subprocess.run([program, *words], cwd=PROMETHEUS, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_metric_that_is_named_is_printed_or_recorded() -> None:
    known = set(BY_NAME) | recorded() | SERVERS_OWN
    unknown = [(each.where, name) for each in expressions() for name in each.names if family_name(name) not in known]
    assert unknown == []


def test_every_label_that_is_asked_for_is_one_of_its_metric() -> None:
    wrong = []
    for each in expressions():
        for name, inside in SELECTOR.findall(each.text):
            family = BY_NAME.get(family_name(name))
            known = {*family.labels, "le"} if family else None
            wrong += [(each.where, name, label) for label in LABEL.findall(inside) if known and label not in known]
    assert wrong == []


def test_every_metric_is_looked_at_by_somebody() -> None:
    named = {family_name(name) for each in expressions() for name in each.names}
    assert {family.name for family in FAMILIES} - named == set()


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_says_how_grave_it_is_and_what_to_do(alert: dict) -> None:
    notes = alert["annotations"]
    assert alert["labels"]["severity"] in SEVERITIES
    assert alert["for"]
    assert notes["summary"]
    assert notes["description"]
    assert notes["runbook_url"].startswith(HANDBOOK)
    page = RUNBOOKS.parent / notes["runbook_url"].removeprefix(HANDBOOK)
    text = page.read_text(encoding="utf-8")
    assert f"`{alert['alert']}` ({alert['labels']['severity']})" in " ".join(text.split())
    places = [text.index(section) for section in SECTIONS]
    assert places == sorted(places)


def test_every_runbook_belongs_to_an_alert_and_stands_in_the_list() -> None:
    told = {Path(alert["annotations"]["runbook_url"]).name for alert in alerts()}
    there = {page.name for page in RUNBOOKS.glob("*.md")} - {"README.md"}
    assert there == told
    contents = (RUNBOOKS / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\((vibex-[a-z-]+\.md)\)", contents)) == told
    assert set(re.findall(r"^\| `(\w+)` \|", contents, re.MULTILINE)) == {alert["alert"] for alert in alerts()}


def test_the_page_on_monitoring_explains_every_metric() -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `(vibex_\w+)`", page, re.MULTILINE))
    assert told == set(BY_NAME)


def test_what_prometheus_is_told_fits_the_containers() -> None:
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))
    scrape = next(job for job in config["scrape_configs"] if job["job_name"] == "vibex")
    assert scrape["metrics_path"] == "/metrics"
    assert scrape["authorization"]["credentials_file"] == "/run/secrets/METRICS_TOKEN"
    assert scrape["static_configs"][0]["targets"] == ["web:3000"]
    services = yaml.safe_load((ROOT / "compose.prod.yaml").read_text(encoding="utf-8"))["services"]
    assert "web" in services
    assert "METRICS_TOKEN" in services["prometheus"]["secrets"]
    assert config["global"]["external_labels"]["handbook"] == "${PUBLIC_URL}/handbook"
    assert services["prometheus"]["environment"]["PUBLIC_URL"] == services["proxy"]["environment"]["PUBLIC_URL"]
    # Each alert would carry it as a label of its own.
    assert config["alerting"]["alert_relabel_configs"] == [{"regex": "handbook", "action": "labeldrop"}]
    assert "./deploy/prometheus:/etc/prometheus:ro" in services["prometheus"]["volumes"]


def test_what_alertmanager_is_told_fits_the_containers() -> None:
    there = yaml.safe_load((ROOT / "compose.prod.yaml").read_text(encoding="utf-8"))["services"]["alertmanager"]
    (asked,) = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))["alerting"]["alertmanagers"]
    assert asked["dns_sd_configs"] == [{"names": ["alertmanager"], "type": "A", "port": 9093}]
    assert "trading-network" in there["networks"]
    assert "./deploy/alertmanager:/etc/alertmanager:ro" in there["volumes"]
    assert f"--config.file=/etc/alertmanager/{ALERTMANAGER.name}" in there["command"]
    config = yaml.safe_load(ALERTMANAGER.read_text(encoding="utf-8"))
    (receiver,) = config["receivers"]
    assert [hook["url_file"] for hook in receiver["webhook_configs"]] == ["/run/secrets/ALERT_WEBHOOK_URL"]
    assert there["secrets"] == ["ALERT_WEBHOOK_URL"]
    named = set(re.findall(r'alertname = "(\w+)"', ALERTMANAGER.read_text(encoding="utf-8")))
    assert named <= {alert["alert"] for alert in alerts()}


@pytest.mark.ci
@pytest.mark.timeout(300)
def test_alertmanagers_own_checker_finds_no_fault_and_every_severity_is_told(tmp_path: Path) -> None:
    amtool = located("prometheus-alertmanager", "amtool")[0]
    config = tmp_path / ALERTMANAGER.name
    text = ALERTMANAGER.read_text(encoding="utf-8")
    said = subprocess.run([amtool, "--version"], capture_output=True, text=True, check=True)
    version = re.search(r"version (\d+)\.(\d+)", said.stdout + said.stderr)
    assert version is not None
    if (int(version[1]), int(version[2])) < URL_FILE_SINCE:
        text = re.sub("url_file: .*", "url: https://alerts.example.com/hook", text)
    config.write_text(text, encoding="utf-8")
    checked(amtool, "check-config", config)
    for severity in SEVERITIES:
        words = ("config", "routes", "test", f"--config.file={config}", f"severity={severity}")
        assert checked(amtool, *words).strip() == "operator"


@pytest.mark.parametrize("name", sorted(dashboards()))
def test_a_dashboard_has_a_key_of_its_own_and_known_sources(name: str) -> None:
    dashboard = dashboards()[name]
    assert dashboard["uid"] == f"vibex-{name.removesuffix('.json')}"
    sources = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/vibex.yaml").read_text(encoding="utf-8"))
    known = {source["uid"] for source in sources["datasources"]}
    for panel in panels(dashboard):
        assert panel["datasource"]["uid"] in known, panel["title"]
        assert panel["targets"], panel["title"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
    titles = [panel["title"] for panel in panels(dashboard)]
    assert len(titles) == len(set(titles))


@pytest.mark.ci
def test_prometheus_own_checker_finds_no_fault_in_rules_and_configuration(promtool: Path) -> None:
    checked(promtool, "check", "config", "--syntax-only", "prometheus.yml")
    checked(promtool, "check", "rules", *sorted((PROMETHEUS / "rules").glob("*.yml")))


@pytest.mark.ci
def test_alerts_fire_when_they_have_to_and_not_before(promtool: Path) -> None:
    tests = sorted((PROMETHEUS / "tests").glob("*.yml"))
    assert tests
    checked(promtool, "test", "rules", *tests)


@pytest.mark.ci
def test_prometheus_reads_every_expression_of_the_dashboards(promtool: Path, tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": each.text} for number, each in enumerate(of_dashboards())]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}), encoding="utf-8")
    assert f"{len(rules)} rules found" in checked(promtool, "check", "rules", file)


@pytest.mark.ci
def test_the_dashboards_are_what_grafanas_own_library_makes_of_the_panels() -> None:
    command = [uv(), "run", "--quiet", "--no-project", "--isolated", "--exclude-newer", newest_day(), "--python",
               sys.executable, "--with", SDK, "python", DEPLOY / "grafana" / "make_dashboards.py", "--print"]  # fmt: skip
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == dashboards(), f"run make_dashboards.py: {DASHBOARDS} is not in step"
