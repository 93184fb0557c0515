"""Compose files: the agreed names, nothing reachable that should not be, and the processes of the one list."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.deploy.files import (
    COMPOSE_FILES,
    DEVELOPMENT,
    OURS,
    PRODUCTION,
    TESTS,
    compose,
    host_paths,
    services,
    variables_named,
)
from vibex.lib.env import ROOT
from vibex.lib.variables import VARIABLES
from vibex.processes import SERVICES, Service

OF_COMPOSE = {
    *("POSTGRES_PASSWORD", "TESTS", "VIBEX_CI_WITHOUT_DATA"),
    *("ETC_FOLDER", "IMAGE_TAG", "LOG_DRIVER", "JOURNAL_GID"),
}
"""Variables that only compose files read."""
OF_OTHERS = {"postgres", "redis", "proxy", "prometheus", "alertmanager", "loki", "alloy", "grafana"}
FROM_OTHERS = {"ALERT_WEBHOOK_URL"}
"""Secrets that the operator brings along."""
PROXY, LOOPBACK = "proxy", "127.0.0.1:"


@pytest.mark.parametrize("name", COMPOSE_FILES)
def test_the_database_has_the_agreed_names(name: str) -> None:
    postgres = services(name)["postgres"]
    assert postgres["image"].startswith("docker.io/timescale/timescaledb:")
    assert postgres["image"].endswith("-pg16")
    assert postgres["environment"]["POSTGRES_USER"] == "trading_user"
    assert postgres["environment"]["POSTGRES_DB"] == "trading_db"
    assert "postgres_data:/var/lib/postgresql/data" in postgres["volumes"]
    assert "postgres_data" in compose(name)["volumes"]
    assert postgres["networks"] == ["trading-network"]
    assert "trading-network" in compose(name)["networks"]


@pytest.mark.parametrize("name", [DEVELOPMENT, TESTS])
def test_there_is_no_default_password(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert set(re.findall(r"\$\{POSTGRES_PASSWORD(..)", text)) == {":?"}


def test_in_production_the_password_is_a_file() -> None:
    assert services(PRODUCTION)["postgres"]["environment"]["POSTGRES_PASSWORD_FILE"] == "/run/secrets/POSTGRES_PASSWORD"
    assert "POSTGRES_PASSWORD" in services(PRODUCTION)["postgres"]["secrets"]
    assert "${POSTGRES_PASSWORD" not in (ROOT / PRODUCTION).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", COMPOSE_FILES)
def test_every_image_has_a_version(name: str) -> None:
    for service in services(name).values():
        image = service["image"].removeprefix(OURS)
        assert image == service["image"] or "build" in service, "an image of ours is built here"
        assert image != service["image"] or re.search(r":v?\d+\.\d+", image), image


@pytest.mark.parametrize("name", COMPOSE_FILES)
def test_every_variable_that_is_set_or_put_in_exists(name: str) -> None:
    assert variables_named((ROOT / name).read_text(encoding="utf-8")) <= set(VARIABLES) | OF_COMPOSE
    files = {f"{variable}_FILE" for variable, declared in VARIABLES.items() if declared.has_file}
    for service in services(name).values():
        if service["image"].startswith(f"{OURS}:") and "TESTS" not in service["environment"]:
            assert set(service.get("environment", {})) <= set(VARIABLES) | files


@pytest.mark.parametrize("name", COMPOSE_FILES)
def test_no_value_would_be_read_as_a_boolean_or_a_number(name: str) -> None:
    for service in services(name).values():
        assert all(isinstance(value, str) for value in service.get("environment", {}).values())
        assert all(isinstance(word, str) for word in service.get("command", []))


@pytest.mark.parametrize("name", COMPOSE_FILES)
def test_what_is_mounted_from_here_exists_and_cannot_be_written(name: str) -> None:
    for service in services(name).values():
        for path in host_paths(service):
            assert (ROOT / path).exists(), path
        for volume in service.get("volumes", []):
            if volume.startswith((".", "/", "${")):
                assert re.search(r":ro(,z)?$", volume), volume


def test_development_is_reached_from_this_machine_only() -> None:
    ports = [port for service in services(DEVELOPMENT).values() for port in service["ports"]]
    assert sorted(ports) == ["127.0.0.1:3000:3000", "127.0.0.1:5432:5432"]


def test_development_sees_the_code_that_the_image_has_and_starts_anew_when_it_changes() -> None:
    web = services(DEVELOPMENT)["web"]
    copied = re.findall(r"^COPY (\w+) \1$", (ROOT / "Containerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {path.removeprefix("./") for path in host_paths(web)} == {*copied, "manage.py", "pyproject.toml"}
    assert "--reload" in web["command"]
    assert web["environment"]["LOG_FILES"] == "yes"
    assert "vibex_logs:/var/log/vibex" in web["volumes"]


def test_the_tests_have_servers_that_nothing_else_reaches() -> None:
    assert not any("ports" in service for service in services(TESTS).values())
    assert compose(TESTS)["networks"]["trading-network"] is None, "a name of its own would be shared with development"
    tests = services(TESTS)["tests"]
    assert "@postgres:5432/" in tests["environment"]["CI_POSTGRES_URL"]
    assert "//redis:6379/" in tests["environment"]["CI_REDIS_URL"]
    assert tests["build"]["target"] == "tests"


# Production


@pytest.mark.parametrize("one", SERVICES, ids=lambda one: one.name)
def test_production_runs_what_the_list_of_processes_says(one: Service) -> None:
    there = services(PRODUCTION)[one.name]
    assert tuple(there["command"]) == one.command
    assert there["stop_grace_period"] == f"{one.stop_seconds}s"
    given = {name: _default(there["environment"].get(name, "")) for name in one.environment}
    assert given == dict(one.environment)
    waits = {name for name, how in there["depends_on"].items() if how["condition"] == "service_completed_successfully"}
    assert waits == set(one.needs)
    if one.once:
        assert there["restart"] == "no"
    else:
        assert tuple(there["healthcheck"]["test"]) == ("CMD", *one.health)


def test_production_runs_nothing_else() -> None:
    assert set(services(PRODUCTION)) == {one.name for one in SERVICES} | OF_OTHERS


@pytest.mark.parametrize("name", services(PRODUCTION))
def test_a_service_of_production_has_no_rights_and_limits(name: str) -> None:
    there = services(PRODUCTION)[name]
    assert there["read_only"] is True
    assert there["cap_drop"] == ["ALL"]
    assert not there.get("cap_add")
    assert there["security_opt"] == ["no-new-privileges"]
    assert there["user"].split(":")[0] not in ("0", "root")
    assert there["mem_limit"]
    assert there["pids_limit"]
    assert there["restart"] == ("no" if name == "migrate" else "unless-stopped")
    assert ("healthcheck" in there) != (name == "migrate")
    assert not there.get("privileged")
    assert not any("docker.sock" in volume or "podman.sock" in volume for volume in there.get("volumes", []))


def test_only_the_proxy_is_reached_from_outside() -> None:
    published = {name: there["ports"] for name, there in services(PRODUCTION).items() if "ports" in there}
    assert published.pop(PROXY) == ["80:8080", "443:8443"]
    assert all(port.startswith(LOOPBACK) for ports in published.values() for port in ports)


def test_what_asks_nobody_outside_cannot() -> None:
    networks = compose(PRODUCTION)["networks"]
    assert networks["trading-network"]["internal"] is True
    for name in ("postgres", "redis", "prometheus", "loki", "alloy"):
        assert services(PRODUCTION)[name]["networks"] == ["trading-network"]


def test_a_service_reads_only_secrets_that_it_was_given() -> None:
    declared = compose(PRODUCTION)["secrets"]
    for name, there in services(PRODUCTION).items():
        read = {value for value in there.get("environment", {}).values() if value.startswith("/run/secrets/")}
        read |= set(re.findall(r"/run/secrets/\w+", str(there.get("healthcheck", ""))))
        assert {path.rpartition("/")[2] for path in read} <= set(there.get("secrets", [])), name
        assert set(there.get("secrets", [])) <= set(declared), name


def test_secrets_are_files_that_the_script_makes() -> None:
    script = (ROOT / "deploy" / "make-secrets").read_text(encoding="utf-8")
    made = set(re.findall(r"\| keep (\w+)", script))
    for name, secret in compose(PRODUCTION)["secrets"].items():
        folder = "keys" if name in FROM_OTHERS else "secrets"
        assert secret == {"file": f"${{ETC_FOLDER:-/etc/vibex}}/{folder}/{name}"}
    assert set(compose(PRODUCTION)["secrets"]) == made | FROM_OTHERS


def test_production_alone_has_no_variable_with_a_secret() -> None:
    secret = {name for name, variable in VARIABLES.items() if variable.secret}
    for there in services(PRODUCTION).values():
        assert not secret & set(there.get("environment", {}))


def test_what_is_optional_stands_in_a_profile() -> None:
    profiles: dict[str, Any] = {name: there.get("profiles") for name, there in services(PRODUCTION).items()}
    assert {name for name, which in profiles.items() if which == ["proxy"]} == {"proxy"}
    # It wants an address that nobody has made up: without one the rest of the monitoring would not start.
    assert {name for name, which in profiles.items() if which == ["alerting"]} == {"alertmanager"}
    assert {name for name, which in profiles.items() if which == ["monitoring"]} == OF_OTHERS - {
        "alertmanager",
        "proxy",
        "postgres",
        "redis",
    }


def _default(text: str) -> str:
    """Return what compose puts in where nothing is set: ${NAME:-default} becomes default."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
