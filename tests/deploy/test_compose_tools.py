"""The programs that start compose files, and a linter, read ours without a complaint. None of them needs an engine for it."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy import tools
from tests.deploy.files import COMPOSE_FILES, DEPLOY, DEVELOPMENT, PRODUCTION, TESTS, environment_file, services
from vibex.lib.env import ROOT, read
from vibex.lib.variables import VARIABLES

pytestmark = [pytest.mark.ci, pytest.mark.timeout(300)]

PROFILES = ("--profile", "proxy", "--profile", "monitoring", "--profile", "alerting")
RULES = """
extends: default
rules:
  line-length: disable
  document-start: disable
  truthy: disable
"""
A_PODMAN = "#!/bin/sh\necho 'podman version 5.4.0'\n"
"""podman-compose asks for the version of podman before it reads a file, and for nothing else."""


@pytest.fixture(scope="module")
def etc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what /etc/vibex is on a server: secrets as the script makes them, variables as the example has them."""
    folder = tmp_path_factory.mktemp("etc") / "vibex"
    subprocess.run([DEPLOY / "make-secrets", folder], check=True, capture_output=True)
    (folder / "keys" / "ALERT_WEBHOOK_URL").write_text("https://alerts.example.com/hook\n", encoding="ascii")
    (folder / "vibex.env").write_text((DEPLOY / "vibex.env.example").read_text(encoding="utf-8"), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def podman_on_the_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    program = tmp_path_factory.mktemp("bin") / "podman"
    program.write_text(A_PODMAN, encoding="utf-8")
    program.chmod(0o755)
    return f"{program.parent}:{os.environ['PATH']}"


def words(name: str, etc: Path) -> list[str]:
    if name == PRODUCTION:
        return ["--env-file", str(etc / "vibex.env"), "-f", name, *PROFILES]
    return ["-f", name]


def variables(name: str, etc: Path) -> dict[str, str]:
    return {"ETC_FOLDER": str(etc)} if name == PRODUCTION else {"POSTGRES_PASSWORD": "letters"}


@pytest.mark.parametrize("name", COMPOSE_FILES)
def test_docker_compose_accepts_it(name: str, etc: Path) -> None:
    done = tools.run(tools.COMPOSE, *words(name, etc), "config", "--format", "json", **variables(name, etc))
    assert (done.returncode, done.stderr) == (0, "")
    assert set(json.loads(done.stdout)["services"]) == set(services(name))


@pytest.mark.parametrize("name", COMPOSE_FILES)
def test_podman_compose_accepts_it(name: str, etc: Path, podman_on_the_path: str) -> None:
    given = variables(name, etc) | {"PATH": podman_on_the_path}
    done = tools.run(tools.PODMAN_COMPOSE, *words(name, etc), "config", **given)
    assert done.returncode == 0, done.stderr
    assert set(yaml.safe_load(done.stdout)["services"]) == set(services(name))


@pytest.mark.parametrize("name", [DEVELOPMENT, TESTS])
def test_neither_starts_without_a_password(name: str, podman_on_the_path: str) -> None:
    for program in (tools.COMPOSE, tools.PODMAN_COMPOSE):
        done = tools.run(program, "-f", name, "config", POSTGRES_PASSWORD="", PATH=podman_on_the_path)
        assert done.returncode != 0
        assert "set POSTGRES_PASSWORD" in done.stderr


def test_production_takes_its_variables_and_secrets_from_the_folder_of_the_server(etc: Path) -> None:
    given = variables(PRODUCTION, etc)
    done = tools.run(tools.COMPOSE, *words(PRODUCTION, etc), "config", "--format", "json", **given)
    web = json.loads(done.stdout)["services"]["web"]
    assert web["environment"]["ALLOWED_HOSTS"] == "vibex.example.com,web"
    assert web["environment"]["LOG_LEVEL"] == "INFO"
    assert json.loads(done.stdout)["services"]["proxy"]["environment"] == {"PUBLIC_URL": "https://vibex.example.com"}
    files = [Path(secret["file"]) for secret in json.loads(done.stdout)["secrets"].values()]
    assert all(file.read_text(encoding="ascii").strip() for file in files)


def test_what_a_service_of_production_is_given_is_an_environment_that_production_accepts(
    etc: Path, tmp_path: Path
) -> None:
    given = services(PRODUCTION)["web"]["environment"]
    here = {name: value.replace("/run/secrets", str(etc / "secrets")) for name, value in given.items()}
    here["WEB_PROCESSES"] = "4"
    environment = read(tmp_path, process=environment_file(etc / "vibex.env") | here)
    assert environment.VIBEX_ENV == "prod"
    assert environment.DATABASE_URL is not None
    assert environment.DATABASE_URL.endswith("@postgres:5432/trading_db")


def test_the_linter_finds_nothing() -> None:
    files = [*COMPOSE_FILES, *map(str, DEPLOY.rglob("*.y*ml"))]
    done = tools.run(tools.YAMLLINT, "--strict", "-d", RULES, *files)
    assert (done.returncode, done.stdout) == (0, "")


def test_shellcheck_finds_nothing() -> None:
    done = tools.run(tools.SHELLCHECK, DEPLOY / "make-secrets")
    assert (done.returncode, done.stdout) == (0, "")


def test_the_proxy_accepts_its_file_and_it_is_formatted() -> None:
    caddyfile = DEPLOY / "caddy" / "Caddyfile"
    given = ("--adapter", "caddyfile", "--config", caddyfile)
    done = tools.run(tools.CADDY, "validate", *given, PUBLIC_URL="https://vibex.example.com")
    assert done.returncode == 0, done.stderr
    formatted = tools.run(tools.CADDY, "fmt", caddyfile).stdout
    assert formatted == caddyfile.read_text(encoding="utf-8")


def test_secrets_are_made_once_and_the_folder_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "vibex"
    made = [subprocess.run([DEPLOY / "make-secrets", folder], check=True, capture_output=True) for _ in range(2)]
    before = {path.name: path.read_bytes() for path in (folder / "secrets").iterdir()}
    assert b"kept  " not in made[0].stdout
    assert b"made  " not in made[1].stdout
    assert stat.S_IMODE(folder.stat().st_mode) & 0o007 == 0
    assert stat.S_IMODE((folder / "secrets").stat().st_mode) == 0o700
    (folder / "secrets" / "METRICS_TOKEN").unlink()
    subprocess.run([DEPLOY / "make-secrets", folder], check=True, capture_output=True)
    after = {path.name: path.read_bytes() for path in (folder / "secrets").iterdir()}
    assert after.keys() == before.keys()
    assert {name for name in after if after[name] != before[name]} == {"METRICS_TOKEN"}
    assert after["POSTGRES_PASSWORD"] in after["DATABASE_URL"]
    assert not any(content in b"".join(one.stdout for one in made) for content in after.values())


@pytest.mark.parametrize("host", ["postgres", "127.0.0.1"])
def test_addresses_name_the_host_that_is_asked_for(host: str, tmp_path: Path) -> None:
    words = [] if host == "postgres" else [host]
    subprocess.run([DEPLOY / "make-secrets", tmp_path / "vibex", *words], check=True, capture_output=True)
    assert f"@{host}:5432/" in (tmp_path / "vibex" / "secrets" / "DATABASE_URL").read_text(encoding="ascii")


def test_the_example_of_the_variables_needs_no_line_more(etc: Path) -> None:
    text = (DEPLOY / "vibex.env.example").read_text(encoding="utf-8")
    offered = {line.removeprefix("# ").split("=")[0] for line in text.splitlines() if "_FILE=" in line}
    assert {"OPENROUTER_API_KEY_FILE"} <= offered
    assert not set(environment_file(etc / "vibex.env")) & offered, "keys are for whoever has some"
    assert ROOT.name not in text


def test_every_variable_of_the_example_exists_also_those_that_are_offered() -> None:
    text = (DEPLOY / "vibex.env.example").read_text(encoding="utf-8")
    named = set(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]+)=", text, re.MULTILINE)) - {"JOURNAL_GID"}
    files = {f"{name}_FILE" for name, variable in VARIABLES.items() if variable.has_file}
    of_an_account = {name for name in named if name.endswith("_MAIN_FILE")}
    assert named - of_an_account <= set(VARIABLES) | files
