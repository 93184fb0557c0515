"""The pages say what is: links lead somewhere, commands exist, the tables are those of the models."""

from __future__ import annotations

import re
import shlex
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command, get_commands, load_command_class

from decisions.domain.providers import KEY_OWNERS
from vibex.lib.env import ROOT

DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
NAMED = [str(page.relative_to(ROOT)) for page in PAGES]

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
URL = re.compile(r"https?://([^\s/:)`\"'<>|]+)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
MANAGE = re.compile(r"manage\.py ([a-z_]+)([^`\n|#]*)")
MAKE = re.compile(r"\bmake ([a-z][a-z-]*)(?=[`\s])")
COMMAND_BLOCK = re.compile(r"^```(?:sh|bash|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

HOSTS = {
    "127.0.0.1",
    "localhost",
    "example.com",
    "vibex.example.com",
    "desk.example.com",
    "s3.example.com",
    "age-encryption.org",
    "key@sentry.example.com",
    "github.com",
} | {
    "openrouter.ai",
    "fapi.asterdex.com",
    "fstream.asterdex.com",
    "fapi.asterdex-testnet.com",
    "squawkhq.com",  # what lints migrations and workflows
    "docs.zizmor.sh",
    *KEY_OWNERS.values(),  # servers of models that the house knows
}
"""Hosts a page may name. Anything else is a mistake, or needs a reason to stand here."""


@pytest.fixture(params=PAGES, ids=NAMED)
def page(request: pytest.FixtureRequest) -> Path:
    return request.param


def anchors(text: str) -> set[str]:
    """Return the fragments that GitHub makes of the headings."""
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(FENCE.sub("", text)))
    return {word.strip().replace(" ", "-") for word in words}


def links(text: str) -> Iterator[tuple[str, str]]:
    for target in LINK.findall(FENCE.sub("", text)):
        if not target.startswith(("http://", "https://", "mailto:")):
            path, _, fragment = target.partition("#")
            yield path, fragment


def code(text: str) -> str:
    """Return what a person may copy: fenced blocks and code in lines."""
    return "\n".join([*FENCE.findall(text), *re.findall(r"`([^`\n]+)`", FENCE.sub("", text))])


def test_every_link_leads_to_a_file_and_a_heading_that_exist(page: Path) -> None:
    for path, fragment in links(page.read_text()):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{path} does not exist"
        if fragment:
            assert fragment in anchors(target.read_text()), f"{path} has no heading #{fragment}"


def test_every_page_is_reached_from_the_index() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        here = waiting.pop()
        if here in reached:
            continue
        reached.add(here)
        targets = ((here.parent / path).resolve() for path, _ in links(here.read_text()) if path.endswith(".md"))
        waiting += targets
    assert sorted(set(PAGES) - reached) == []


def test_pages_name_no_foreign_host_and_no_path_of_a_machine(page: Path) -> None:
    text = page.read_text()
    assert set(URL.findall(text)) <= HOSTS
    assert not re.search(r"(?<![\w.])/(work|root|home|Users)/", text)


def test_every_command_that_a_page_names_exists_with_its_options(page: Path) -> None:
    for name, rest in MANAGE.findall(code(page.read_text())):
        assert name in get_commands(), f"manage.py {name} does not exist"
        known = options_of(name)
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", rest):
            assert option in known, f"manage.py {name} has no {option}"


def options_of(name: str) -> set[str]:
    app = get_commands()[name]
    command = load_command_class(app, name) if isinstance(app, str) else app
    parser: ArgumentParser = command.create_parser("manage.py", name)
    return {option for action in parser._actions for option in action.option_strings}


def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(MAKE.findall(code(page.read_text()))) <= targets


def test_shell_blocks_are_well_formed(page: Path) -> None:
    for block in COMMAND_BLOCK.findall(page.read_text()):
        for line in block.replace("\\\n", " ").splitlines():
            shlex.split(line, comments=True)


def test_the_tree_in_the_readme_is_the_tree() -> None:
    block = next(
        block for block in FENCE.findall((ROOT / "README.md").read_text()) if "manage.py" in block and "├" in block
    )
    named = re.findall(r"[├└]── (\S+)", block)
    assert named
    assert [name for name in named if not list(ROOT.glob(name.rstrip("/")))] == []


def test_the_tables_on_the_page_are_those_of_the_models() -> None:
    call_command("table_diagram", "--check")


def test_every_table_of_the_project_is_on_the_page() -> None:
    page = (DOCS / "database.md").read_text()
    ours = {"accounts", "marketdata", "decisions", "trading"}
    models = [model.__name__ for model in apps.get_models() if model._meta.app_label in ours]
    assert len(models) > 40
    assert [name for name in models if f"    {name} {{" not in page] == []


def test_a_page_that_is_out_of_step_fails_the_check_and_is_mended(tmp_path: Path) -> None:
    stale = tmp_path / "database.md"
    stale.write_text((DOCS / "database.md").read_text().replace("text host UK", "text address UK"))
    with pytest.raises(CommandError, match="out of step"):
        call_command("table_diagram", "--check", page=stale)
    call_command("table_diagram", page=stale)
    assert stale.read_text() == (DOCS / "database.md").read_text()


def test_a_page_without_markers_is_refused_and_left_alone(tmp_path: Path) -> None:
    bare = tmp_path / "database.md"
    bare.write_text("# Database\n")
    with pytest.raises(CommandError, match="lost its markers"):
        call_command("table_diagram", page=bare)
    assert bare.read_text() == "# Database\n"
