"""Units of systemd and quadlets of podman: the processes of the one list, and keys that systemd and podman know."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.files import DEPLOY, PRODUCTION, services
from vibex.processes import SERVICES, Service

SYSTEMD, QUADLET = DEPLOY / "systemd", DEPLOY / "quadlet"
PROGRAMS = "/opt/vibex/current/.venv/bin/"
MORE_THAN_ONE = re.compile(r"(?<= -n )(\w+)-%i(?=@)")
"""Workers of one machine need names of their own: cycles-1, cycles-2."""
EXPOSURE = 2.0
"""What `systemd-analyze security` may find at most; 10 is no protection at all."""
NOT_INSTALLED_HERE = "is not executable: No such file or directory"

QUADLET_KEYS = {
    "Container": {
        *("ContainerName", "DropCapability", "Environment", "EnvironmentFile", "Exec", "Group", "HealthCmd"),
        *("HealthInterval", "HealthOnFailure", "HealthRetries", "HealthStartPeriod", "HealthTimeout", "Image"),
        *("LogDriver", "Network", "NetworkAlias", "NoNewPrivileges", "PodmanArgs", "PublishPort", "ReadOnly", "Tmpfs"),
        *("User", "Volume"),
    },
    "Network": {"NetworkName", "Internal"},
    "Volume": {"VolumeName"},
}
"""Those of podman-systemd.unit(5) that are used here. All are in podman 5.4, whose generator has read these files."""


def read(*files: Path) -> dict[tuple[str, str], list[str]]:
    """Return the values of each key, in the order in which systemd reads the files; an empty one forgets those before."""
    found: dict[tuple[str, str], list[str]] = {}
    for file in files:
        section = ""
        for line in file.read_text(encoding="utf-8").splitlines():
            if line.startswith("["):
                section = line.strip("[]")
            elif line and not line.startswith("#"):
                key, value = line.split("=", 1)
                found.setdefault((section, key), []).append(value)
    return found


def unit_of(one: Service) -> Path:
    plain, template = SYSTEMD / f"vibex-{one.name}.service", SYSTEMD / f"vibex-{one.name}@.service"
    return template if template.exists() else plain


def unit(one: Service) -> dict[tuple[str, str], list[str]]:
    return read(unit_of(one), SYSTEMD / "vibex-.service.d" / "10-vibex.conf")


def quadlet(name: str) -> dict[tuple[str, str], list[str]]:
    drop_ins = [QUADLET / "vibex-.container.d" / "10-hardened.conf"]
    if name.startswith("app-"):
        drop_ins.append(QUADLET / "vibex-app-.container.d" / "20-app.conf")
    return read(QUADLET / f"vibex-{name}.container", *drop_ins)


def variables(lines: list[str]) -> dict[str, str]:
    return dict(word.split("=", 1) for line in lines for word in shlex.split(line))


# systemd


@pytest.mark.parametrize("one", SERVICES, ids=lambda one: one.name)
def test_a_unit_runs_what_the_list_of_processes_says(one: Service) -> None:
    found = unit(one)
    [command] = found["Service", "ExecStart"]
    words = MORE_THAN_ONE.sub(r"\1", command).replace("%%", "%").split()
    assert words[0].startswith(PROGRAMS)
    assert (words[0].removeprefix(PROGRAMS), *words[1:]) == one.command
    assert found["Service", "TimeoutStopSec"] == [str(one.stop_seconds)]
    given = variables(found["Service", "Environment"])
    assert given.keys() >= one.environment.keys() - {"WEB_PROCESSES"}
    assert given.get("API_HOST", "127.0.0.1") == "127.0.0.1", "behind the proxy of the machine"


@pytest.mark.parametrize("one", SERVICES, ids=lambda one: one.name)
def test_a_unit_waits_for_the_tables_and_is_started_again(one: Service) -> None:
    found = unit(one)
    if one.once:
        assert found["Service", "Restart"] == ["on-failure"]
        return
    assert found["Service", "Restart"] == ["always"]
    assert "vibex-migrate.service" in found["Unit", "After"]
    assert found["Service", "ExecStartPre"] == [f"{PROGRAMS}python manage.py migrate --check"]
    assert found["Unit", "StartLimitIntervalSec"] == ["0"]


def test_the_target_starts_every_process_and_stops_it() -> None:
    found = read(SYSTEMD / "vibex.target")
    wanted = {word.replace("@1.", "@.") for line in found["Unit", "Wants"] for word in line.split()}
    assert wanted == {unit_of(one).name for one in SERVICES} == {path.name for path in SYSTEMD.glob("*.service")}
    assert all(unit(one)["Unit", "PartOf"] == ["vibex.target"] for one in SERVICES)


@pytest.mark.parametrize("one", SERVICES, ids=lambda one: one.name)
def test_a_unit_reads_secrets_from_files_of_its_own(one: Service) -> None:
    found = unit(one)
    loaded = dict(line.split(":") for line in found["Service", "LoadCredential"])
    assert all(path == f"/etc/vibex/secrets/{name}" for name, path in loaded.items())
    files = {
        name: value for name, value in variables(found["Service", "Environment"]).items() if name.endswith("_FILE")
    }
    assert files == {f"{name}_FILE": f"%d/{name}" for name in loaded}
    assert {"SECRET_KEY", "CREDENTIALS_KEY", "DATABASE_URL", "REDIS_URL"} <= set(loaded)


@pytest.fixture(scope="module")
def analyze() -> str:
    """Return systemd-analyze. No package index brings it, so it is not asked for where systemd is not."""
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("needs systemd-analyze, which comes with systemd")
    return found


def instances() -> list[str]:
    return [unit_of(one).name.replace("@.", "@1.") for one in SERVICES]


@pytest.mark.ci
def test_systemd_finds_nothing_wrong(analyze: str, tmp_path: Path) -> None:
    shutil.copytree(SYSTEMD, tmp_path / "units", ignore=shutil.ignore_patterns("caddy.service.d"))
    words = [analyze, "verify", "--man=no", "vibex.target", *instances()]
    # The colon: the machine's own units as well.
    given = {"SYSTEMD_UNIT_PATH": f"{tmp_path / 'units'}:", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(words, capture_output=True, text=True, env=given, check=False)
    complaints = [line for line in done.stderr.splitlines() if NOT_INSTALLED_HERE not in line]
    assert [line for line in complaints if "vibex" in line] == []


@pytest.mark.ci
@pytest.mark.parametrize("name", instances())
def test_systemd_says_that_a_unit_may_do_little(name: str, analyze: str, tmp_path: Path) -> None:
    shutil.copytree(SYSTEMD, tmp_path / "etc" / "systemd" / "system")
    words = [analyze, "security", "--no-pager", "--offline=true", f"--root={tmp_path}", name]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    found = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found is not None, done.stderr
    assert float(found[1]) <= EXPOSURE


# Quadlets


@pytest.mark.parametrize("one", SERVICES, ids=lambda one: one.name)
def test_a_quadlet_runs_what_the_list_of_processes_says(one: Service) -> None:
    found = quadlet(f"app-{one.name}")
    assert tuple(found["Container", "Exec"][0].replace("%%", "%").split()) == one.command
    assert found["Container", "ContainerName"] == [f"vibex-{one.name}"]
    arguments = " ".join(found["Container", "PodmanArgs"])
    assert f"--stop-timeout {one.stop_seconds}" in arguments
    given = variables(found["Container", "Environment"])
    assert {name: given.get(name) for name in one.environment.keys() - {"WEB_PROCESSES"}} == {
        name: value for name, value in one.environment.items() if name != "WEB_PROCESSES"
    }
    if not one.once:
        assert tuple(found["Container", "HealthCmd"][0].split()) == one.health
        # Nobody is killed for looking sick: who hangs ends itself, and it alone knows whether its work gets on.
        assert ("Container", "HealthOnFailure") not in found
        assert int(found["Service", "TimeoutStopSec"][0]) > one.stop_seconds
        assert found["Unit", "Requires"] == ["vibex-app-migrate.service"]


@pytest.mark.parametrize("name", ["postgres", "redis", "proxy", *(f"app-{one.name}" for one in SERVICES)])
def test_a_quadlet_is_hardened_and_limited_as_its_service_of_compose_is(name: str) -> None:
    found, there = quadlet(name), services(PRODUCTION)[name.removeprefix("app-")]
    assert found["Container", "ReadOnly"] == ["true"]
    assert found["Container", "DropCapability"] == ["all"]
    assert found["Container", "NoNewPrivileges"] == ["true"]
    assert found["Container", "User"] == [there["user"].split(":")[0]]
    assert found["Container", "Image"] == [re.sub(r"\$\{\w+:-(\w+)\}", r"\1", there["image"])]
    assert f"--memory {there['mem_limit']}" in " ".join(found["Container", "PodmanArgs"])
    assert found.get(("Container", "PublishPort"), []) == there.get("ports", [])
    secrets = {line.split(":")[1] for line in found["Container", "Volume"] if "/secrets/" in line}
    assert secrets == {f"/run/secrets/{secret}" for secret in there.get("secrets", [])}
    assert found["Service", "Restart"] == (["on-failure"] if name == "app-migrate" else ["always"])


def test_every_key_of_a_quadlet_is_one_that_podman_knows() -> None:
    files = [path for path in QUADLET.rglob("*") if path.suffix in (".container", ".network", ".volume", ".conf")]
    for path in files:
        for section, key in read(path):
            assert section in ("Unit", "Service") or key in QUADLET_KEYS[section], f"{path.name}: {key}"


def test_every_network_and_volume_of_a_quadlet_is_one_of_them() -> None:
    for path in QUADLET.glob("*.container"):
        found = quadlet(path.stem.removeprefix("vibex-"))
        named = [*found["Container", "Network"], *(line.split(":")[0] for line in found["Container", "Volume"])]
        for name in named:
            assert name.startswith("/") or (QUADLET / name).exists(), f"{path.name}: {name}"


def test_the_target_of_quadlets_starts_every_container() -> None:
    wanted = {word for line in read(QUADLET / "vibex.target")["Unit", "Wants"] for word in line.split()}
    assert wanted == {f"{path.stem}.service" for path in QUADLET.glob("*.container")}
    assert all(quadlet(path.stem.removeprefix("vibex-"))["Unit", "PartOf"] for path in QUADLET.glob("*.container"))
