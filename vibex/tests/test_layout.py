"""The files around the code: each is well-formed, in step with the code, and names nothing it must not. Those of a deployment: tests/deploy."""

import re
import subprocess
import tomllib

import pytest
import yaml

from vibex.lib.env import ROOT


@pytest.fixture(scope="module")
def workflow() -> dict:
    return yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())


def requirements() -> list[str]:
    return (ROOT / "requirements.lock").read_text().split("\n")


def test_every_locked_package_has_a_hash_and_no_host_is_named():
    text = "\n".join(requirements())
    assert "://" not in text
    assert "--index" not in text
    packages = re.findall(r"^([a-z0-9-]+)==\S+.*\\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE)
    assert len(packages) == len(re.findall(r"^[a-z0-9-]+==", text, re.MULTILINE)) > 30


def test_the_lock_holds_what_the_project_asks_for_and_no_tool_of_development():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    locked = {line.split("==")[0] for line in requirements() if "==" in line}
    asked = {re.split(r"[\[<>=]", name)[0] for name in project["project"]["dependencies"]}
    tools = {re.split(r"[\[<>=]", name)[0] for group in project["dependency-groups"].values() for name in group}
    assert asked <= locked
    assert not {"pytest", "ruff", "mypy"} & locked
    assert tools


def test_the_workflow_runs_the_same_command_on_both_pythons(workflow):
    job = workflow["jobs"]["test"]
    assert job["strategy"]["matrix"]["python"] == ["3.12", "3.13"]
    assert job["steps"][-1]["run"] == ".ci/run"
    assert "timescaledb" in job["services"]["postgres"]["image"]
    assert "redis" in job["services"]


@pytest.mark.parametrize(
    "target",
    [
        *("help", "setup", "up", "dev", "test", "test-ci", "soak"),
        *("lint", "format", "types", "bench", "lock", "screenshots"),
    ],
)
def test_make_has_the_target_and_help_names_it(target):
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(rf"^{target}:.* ## ", makefile, re.MULTILINE)


def test_pre_commit_hooks_need_no_network():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repo["repo"] for repo in hooks["repos"]] == ["local"]


@pytest.mark.parametrize("name", [".ci/run", ".ci/setup"])
def test_scripts_are_well_formed_and_executable(name):
    script = ROOT / name
    assert script.stat().st_mode & 0o111
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0


@pytest.mark.parametrize(
    "name",
    ["logs/app.log", "data/vibex.sqlite3", ".env.local", ".env", "data/secret_key", "data/credentials_key", "uv.lock"],
)
def test_what_an_installation_writes_is_never_committed(name):
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    assert subprocess.run(["git", "check-ignore", "-q", name], check=False, cwd=ROOT).returncode == 0


def test_the_example_of_the_environment_is_committed():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    assert subprocess.run(["git", "check-ignore", "-q", ".env.example"], check=False, cwd=ROOT).returncode == 1


def test_the_licence_is_mit():
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")
