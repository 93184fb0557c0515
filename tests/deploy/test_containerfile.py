"""The images that are ours: built in stages with checked hashes, whole, without rights and without a secret."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.deploy import tools
from vibex.lib.env import ROOT

TEXT = (ROOT / "Containerfile").read_text(encoding="utf-8")


def stages() -> dict[str, str]:
    """Return the text of each stage by its name."""
    parts = re.split(r"^FROM \S+ AS (\w+)$", TEXT, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def sent() -> set[str]:
    """Return what of the folder is sent to be built."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in lines, "nothing is sent but what is named"
    return {line[1:] for line in lines if line.startswith("!")}


def test_the_image_of_the_services_is_the_one_that_is_built_when_none_is_named() -> None:
    assert list(stages())[-1] == "vibex"


def test_the_python_is_the_newest_that_the_tests_know_and_has_a_version() -> None:
    assert re.search(r"^ARG PYTHON=docker\.io/library/python:3\.13-slim-\w+$", TEXT, re.MULTILINE)
    assert all(re.search(r":\S*\d", base) for base in re.findall(r"^ARG \w+=(\S+)$", TEXT, re.MULTILINE))


def test_packages_are_installed_with_their_hashes_and_without_the_installer() -> None:
    assert "--require-hashes" in stages()["packages"]
    assert "--without-pip" in stages()["packages"]
    assert "pip install" not in stages()["vibex"]


@pytest.mark.parametrize("stage", ["vibex", "proxy", "tests"])
def test_an_image_runs_as_a_user_without_rights(stage: str) -> None:
    assert re.findall(r"^USER (\S+)$", stages()[stage], re.MULTILINE)[-1] == "10001:10001"


def test_the_image_gets_every_package_of_the_code() -> None:
    copied = set(re.findall(r"^COPY (\w+) \1$", stages()["vibex"], re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    apps = set(project["tool"]["importlinter"]["root_packages"])
    assert copied == apps | {"templates", "static"}
    compiled = re.search(r"compileall .* manage\.py (.*)$", stages()["vibex"], re.MULTILINE)
    assert compiled is not None
    assert set(compiled[1].split()) == apps


def test_everything_that_is_copied_is_sent_and_nothing_that_holds_a_secret() -> None:
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", TEXT, re.MULTILINE)
    assert {word for words in copies for word in words.split()} <= sent()
    assert not any(name.startswith((".env", "data", "logs", ".git")) for name in sent())


def test_dumps_are_made_by_a_client_that_is_not_newer_than_the_server() -> None:
    server = re.search(r"-pg(\d+)$", (ROOT / "compose.prod.yaml").read_text(encoding="utf-8"), re.MULTILINE)
    assert server is not None
    assert f"postgres:{server[1]}-" in TEXT
    clients = set(re.findall(r"/usr/lib/postgresql/(\d+)/bin/(\w+)", stages()["vibex"]))
    assert clients == {(server[1], name) for name in ("pg_dump", "pg_restore", "psql")}


@pytest.mark.ci
def test_hadolint_finds_nothing() -> None:
    done = tools.run(tools.HADOLINT, "Containerfile")
    assert (done.returncode, done.stdout) == (0, "")
