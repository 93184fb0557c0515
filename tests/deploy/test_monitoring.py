"""Grafana, Loki and Alloy fit together, and with what they watch. No package brings the three, so their files are read here."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from tests.deploy.files import DEPLOY, PRODUCTION, services
from vibex.processes import SERVICES

ALLOY = (DEPLOY / "alloy" / "config.alloy").read_text(encoding="utf-8")
PROVISIONING = DEPLOY / "grafana" / "provisioning"


def in_yaml(path: str) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((DEPLOY / path).read_text(encoding="utf-8"))
    return read


def blocks() -> dict[str, str]:
    """Return the text of each component of Alloy by its name, `loki.write.local`."""
    found = re.findall(r'^([a-z.]+) "(\w+)" \{$(.*?)^\}$', ALLOY, re.MULTILINE | re.DOTALL)
    return {f"{kind}.{label}": text for kind, label, text in found}


def service_of(field: str, value: str) -> str | None:
    """Return the label `service` that Alloy gives to a line of the journal."""
    for rule in re.findall(r"rule \{(.*?)\n  \}", blocks()["loki.relabel.journal"], re.DOTALL):
        if f'["{field}"]' in rule and (pattern := re.search(r'regex\s+= "(.*)"', rule)):
            found = re.fullmatch(pattern[1].replace("\\\\", "\\"), value)
            return found[1] if found else None
    raise AssertionError(f"nobody reads {field}")


def mounted(service: str) -> dict[str, str]:
    """Return where what of this folder lies inside of a service."""
    volumes = [volume for volume in services(PRODUCTION)[service]["volumes"] if volume.startswith("./deploy/")]
    return {volume.split(":")[1]: volume.split(":")[0].removeprefix("./deploy/") for volume in volumes}


@pytest.mark.parametrize("one", [*(one.name for one in SERVICES), "postgres", "redis", "proxy"])
def test_a_line_is_labelled_with_its_service_whatever_runs_it(one: str) -> None:
    for name in (f"vibex-{one}-1", f"vibex_{one}_1", f"vibex-{one}-12", f"vibex-{one}"):
        assert service_of("__journal_container_name", name) == one
    for name in (f"vibex-{one}.service", f"vibex-{one}@2.service", f"vibex-app-{one}.service"):
        assert service_of("__journal__systemd_unit", name) == one


def test_lines_of_others_are_not_shipped() -> None:
    assert service_of("__journal__systemd_unit", "ssh.service") is None
    assert service_of("__journal_container_name", "somebody-elses-1") is None
    assert re.search(r'source_labels = \["service"\]\s+regex\s+= "\.\+"\s+action\s+= "keep"', ALLOY)


def test_every_component_that_is_named_is_there_and_nothing_is_left_open() -> None:
    named = re.findall(r"\b((?:loki|prometheus)\.[a-z_.]+\.\w+)\.(?:receiver|rules)\b", ALLOY)
    assert named
    assert set(named) <= set(blocks())
    assert ALLOY.count("{") == ALLOY.count("}")
    assert ALLOY.count("[") == ALLOY.count("]")


def test_lines_go_where_loki_listens() -> None:
    loki = in_yaml("loki/loki.yaml")
    assert f"http://loki:{loki['server']['http_listen_port']}/loki/api/v1/push" in blocks()["loki.write.local"]
    assert mounted("loki")["/etc/loki/loki.yaml"] == "loki/loki.yaml"
    assert "-config.file=/etc/loki/loki.yaml" in services(PRODUCTION)["loki"]["command"]


def test_loki_keeps_lines_for_a_time_and_all_it_keeps_is_in_its_volume() -> None:
    loki = in_yaml("loki/loki.yaml")
    assert loki["limits_config"]["retention_period"] == "2160h"
    assert loki["compactor"]["retention_enabled"] is True
    folders = [loki["common"]["path_prefix"], loki["compactor"]["working_directory"]]
    folders += loki["common"]["storage"]["filesystem"].values()
    assert all(folder.startswith("/loki") for folder in folders)
    assert "loki_data:/loki" in services(PRODUCTION)["loki"]["volumes"]


def test_dashboards_ask_only_sources_that_are_set_up() -> None:
    sources = {
        source["uid"]: source for source in in_yaml("grafana/provisioning/datasources/vibex.yaml")["datasources"]
    }
    assert {uid: source["url"] for uid, source in sources.items()} == {
        "prometheus": "http://prometheus:9090",
        "loki": "http://loki:3100",
    }
    dashboards = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
    assert dashboards
    for path in dashboards:
        json.loads(path.read_text(encoding="utf-8"))
        asked = set(re.findall(r'"uid":\s*"(prometheus|loki|[A-Z]\w{8,})"', path.read_text(encoding="utf-8")))
        assert asked <= set(sources), path.name


def test_grafana_finds_its_dashboards_and_shows_one_first() -> None:
    [provider] = in_yaml("grafana/provisioning/dashboards/vibex.yaml")["providers"]
    there = mounted("grafana")
    assert there[provider["options"]["path"]] == "grafana/dashboards"
    assert there["/etc/grafana/provisioning"] == "grafana/provisioning"
    home = services(PRODUCTION)["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (DEPLOY / "grafana" / "dashboards" / home.rpartition("/")[2]).exists()


def test_prometheus_finds_its_files_and_a_service_that_answers() -> None:
    assert mounted("prometheus")["/etc/prometheus"] == "prometheus"
    config = in_yaml("prometheus/prometheus.yml")
    [vibex] = [job for job in config["scrape_configs"] if job["job_name"] == "vibex"]
    assert vibex["authorization"]["credentials_file"] == "/run/secrets/METRICS_TOKEN"
    [target] = vibex["static_configs"][0]["targets"]
    host, port = target.split(":")
    assert services(PRODUCTION)[host]["environment"]["API_PORT"] == port
    example = (DEPLOY / "vibex.env.example").read_text(encoding="utf-8")
    allowed = re.search(r"^ALLOWED_HOSTS=(.*)$", example, re.MULTILINE)
    assert allowed is not None
    assert host in allowed[1].split(","), "production answers nobody who asks for a host that it does not know"
