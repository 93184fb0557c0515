"""The workflows are well-formed, run the commands that a person runs, and give nobody more rights than the work needs."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
import yaml

from tests.oracles.environments import environment, newest_day, uv
from vibex.lib.env import ROOT

FOLDER = ROOT / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))
ZIZMOR, SCHEMA = "zizmor==1.32.0", "check-jsonschema==0.39.0"


def run(requirement: str, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [uv(), "run", "--quiet", "--no-project", "--isolated", "--exclude-newer", newest_day(), "--python", sys.executable,
         "--with", requirement, *command],
        capture_output=True, text=True, cwd=ROOT, env=environment(), timeout=180, check=False,
    )  # fmt: skip


def commands(name: str) -> str:
    return "\n".join(step.get("run", "") for job in jobs(name).values() for step in job.get("steps", []))


def jobs(name: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load((FOLDER / name).read_text())["jobs"]
    return found


def test_every_make_target_and_script_that_a_workflow_runs_is_there():
    makefile = (ROOT / "Makefile").read_text()
    for file in FILES:
        for target in re.findall(r"^make ([a-z-]+)", commands(file.name), re.MULTILINE):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{file.name}: make {target}"
    assert ".ci/run" in commands("ci.yml")
    assert (ROOT / ".ci" / "run").exists()


def test_a_known_fault_fails_the_workflow_and_a_release():
    for name in ("ci.yml", "release.yml"):
        assert "make audit" in commands(name)
        assert "unasked-is-fine" not in commands(name)
    assert "audit ARGS=--unasked-is-fine" in (ROOT / ".ci" / "run").read_text()


def test_a_release_builds_the_image_and_attaches_the_bill_of_materials():
    told = commands("release.yml")
    for image, options in (('"${IMAGE,,}:$TAG"', ""), ('"${IMAGE,,}-proxy:$TAG"', " --target proxy")):
        assert f"docker build --file Containerfile{options} --tag {image} .\n" in told
        assert f"docker push {image}" in told
    assert "make sbom SBOM=dist/vibex.cdx.json" in told
    assert "dist/vibex.cdx.json --verify-tag" in told


def test_nothing_is_released_before_everything_has_gone_through():
    released = jobs("release.yml")
    gates = {name for name, job in released.items() if job.get("uses") == "./.github/workflows/ci.yml"}
    assert gates
    assert all(job["needs"] in gates for name, job in released.items() if name not in gates)
    assert "  workflow_call:" in (FOLDER / "ci.yml").read_text()
    # Who releases could leave tests out, were they only run in some cases.
    assert jobs("ci.yml")["test"]["if"] == "${{ github.event_name != 'schedule' }}"


def test_only_actions_of_github_itself_are_used_and_each_by_a_tag():
    for file in FILES:
        for action in re.findall(r"uses: (\S+)", file.read_text()):
            assert re.fullmatch(r"actions/[a-z-]+@v\d+|\./\.github/workflows/ci\.yml", action), f"{file.name}: {action}"


@pytest.mark.ci
def test_the_workflows_are_what_github_takes():
    done = run(SCHEMA, "check-jsonschema", "--builtin-schema", "vendor.github-workflows", *map(str, FILES))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.ci
def test_nothing_in_the_workflows_can_be_turned_against_them():
    done = run(ZIZMOR, "zizmor", "--offline", "--no-progress", "--config", ".github/zizmor.yml", str(FOLDER))
    assert done.returncode == 0, done.stdout + done.stderr
