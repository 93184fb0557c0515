"""What a page names is there: variables, files, and the words above a block that say how it is run."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.docs.commands import RUNNABLE, Command, UnknownWord, commands_of
from tests.docs.told import PAGES, all_commands, named, summary
from vibex.lib.account_keys import FORMS
from vibex.lib.env import ROOT
from vibex.lib.variables import VARIABLES

CODE = ("vibex", "accounts", "marketdata", "decisions", "trading", "benchmarks", "tests", "supply")
FENCE: Final = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
SPAN: Final = re.compile(r"`([^`\n]+)`")
ALONE: Final = re.compile(r"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?:=.*)?")
SET: Final = re.compile(r"(?<![\w$%{\"'])([A-Z][A-Z0-9]*_[A-Z0-9_]+)=")
FILE: Final = re.compile(r"[\w.@-]+(?:/[\w.@*-]+)*\.(?:py|yaml|yml|toml|md|html|css|js|json|lock|sh)")
FOLDER: Final = re.compile(
    r"(?:vibex|accounts|marketdata|decisions|trading|templates|static|benchmarks|docs|tests|deploy|supply)/[\w./-]*/"
)

OTHERS: Final = frozenset({"UV_PYTHON", "SSL_CERT_FILE", "SHARED_DATA_ARCHIVE", "SOPS_AGE_KEY_FILE"})
"""Variables of uv, OpenSSL, sops and of the repository at its host: not ours."""
WRITTEN: Final = frozenset(
    {
        "up.lock",
        "utils.py",
        "accounts.yaml",
        "out.html",
        "vibex.sqlite3",
        "stderr.json",
        "docker-compose.yml",
        "plotly.min.js",
        "person.json",
        "summary.json",
        "vibex.cdx.json",
    }
)
"""Files that an installation, a package or a person brings, or that there must not be."""


@pytest.fixture(params=PAGES, ids=named)
def page(request: pytest.FixtureRequest) -> Path:
    return request.param


def spans(text: str) -> list[str]:
    return SPAN.findall(FENCE.sub("", text))


def variables(text: str) -> Iterator[str]:
    """Yield the names that look like variables: alone between backticks, or given a value."""
    for span in spans(text):
        if alone := ALONE.fullmatch(span):
            yield alone[1]
    yield from SET.findall("\n".join([*FENCE.findall(text), *spans(text)]))


@cache
def words_of_the_code() -> frozenset[str]:
    """Return the names in capitals of all that is code: codes of venues, and what tools and tests read."""
    files = [
        file for room in CODE for file in (ROOT / room).rglob("*.py") if ROOT / "tests" / "docs" not in file.parents
    ]
    files += [ROOT / "Makefile", ROOT / "Containerfile", *ROOT.glob("compose*.yaml"), *(ROOT / ".ci").iterdir()]
    files += [file for folder in (".github", "deploy") for file in (ROOT / folder).rglob("*") if file.is_file()]
    text = "\n".join(file.read_text(encoding="utf-8", errors="ignore") for file in files)
    return frozenset(re.findall(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b", text))


@cache
def endings() -> frozenset[str]:
    """Return every file and folder of the project by each of its endings: `a/b/c.py`, `b/c.py`, `c.py`."""
    found: set[str] = set()
    for file in [*ROOT.glob("*"), *ROOT.glob(".*"), *(one for room in (*CODE, "docs", "templates", "static", "deploy", ".ci", ".github") for one in (ROOT / room).rglob("*"))]:  # fmt: skip
        parts = file.relative_to(ROOT).parts
        found |= {"/".join(parts[start:]) for start in range(len(parts))}
    return frozenset(found)


def known(name: str) -> bool:
    base = name.removesuffix("_FILE")
    return (
        base in VARIABLES or name in VARIABLES or name in OTHERS or name in words_of_the_code() or of_an_account(base)
    )


def of_an_account(name: str) -> bool:
    return any(name.startswith(f"{part.variable}_") for form in FORMS.values() for part in form.parts)


def test_every_variable_that_a_page_names_is_one_that_something_reads(page: Path) -> None:
    assert sorted({name for name in variables(page.read_text(encoding="utf-8")) if not known(name)}) == []


def test_every_file_and_folder_that_a_page_names_is_there(page: Path) -> None:
    named_files = {
        span for span in spans(page.read_text(encoding="utf-8")) if FILE.fullmatch(span) or FOLDER.fullmatch(span)
    }
    gone = [
        name for name in named_files
        if name.rstrip("/") not in endings() and name not in WRITTEN and not list(ROOT.glob(name))
    ]  # fmt: skip
    assert sorted(gone) == []


def test_what_is_said_of_commands_is_understood_and_those_that_run_are_known_programs(page: Path) -> None:
    for command in commands_of(page):
        if not command.why_not:
            assert program(command) in RUNNABLE, f"{command.place}: say <!-- run: no, WHY --> above {command.text!r}"
        else:
            assert len(command.why_not) > 9, f"{command.place}: {command.why_not!r} is no reason"


def program(command: Command) -> str:
    words = command.text.split()
    return next((word for word in words if not re.match(r"^[A-Za-z_]\w*=", word)), "")


def test_most_commands_are_run_and_the_rest_say_why(capsys: pytest.CaptureFixture[str]) -> None:
    commands = all_commands()
    with capsys.disabled():
        sys.stdout.write(f"\n{summary(commands)}\n")
    assert len(commands) > 90
    assert sum(not command.why_not for command in commands) > 60


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "```sh\nmake up  # all\n\n# a remark\nA=1 uv run x \\\n  --y\n```",
            ["make up  # all", "A=1 uv run x \\\n  --y"],
        ),
        ("```console\n$ uv run a\nuv run is output\n```", ["uv run a"]),
        ("```\nuv run a\nNAME=value\nsome text\n```", ["uv run a"]),
        ("```python\nmake(up)\n```", []),
        ("text\n\n    uv run a\n    more\n", ["uv run a"]),
        ("```sh\ncat > f <<'E'\nuv run inside\nE\nuv run b\n```", ["cat > f <<'E'\nuv run inside\nE", "uv run b"]),
        ("- item\n\n   ```\n   uv run a\n   ```\n", ["uv run a"]),
    ],
)
def test_commands_are_told_from_what_stands_beside_them(text: str, found: list[str], tmp_path: Path) -> None:
    written = tmp_path / "page.md"
    written.write_text(text)
    assert [command.text for command in commands_of(written)] == found


def test_the_words_above_a_block_say_how_it_is_run(tmp_path: Path) -> None:
    written = tmp_path / "page.md"
    words = ('no "bad", is bad', 'exit 3 "odd"', 'with "OLD" as "new"', 'first "make it"', 'server "serve" until "up"')
    above = "\n".join(f"<!-- run: {word} -->" for word in words)
    written.write_text(f"{above}\n```sh\nuv run bad\nuv run odd OLD\nuv run serve\n```\n\n```sh\nuv run plain\n```\n")
    bad, odd, serve, plain = commands_of(written)
    assert (bad.why_not, bad.before) == ("is bad", ())
    assert (odd.run_as, odd.code, odd.before) == ("uv run odd new", 3, ("make it",))
    assert (serve.until, serve.stays) == ("up", True)
    assert (plain.why_not, plain.until, plain.code, plain.before) == ("", "", 0, ())


@pytest.mark.parametrize("word", ["maybe", 'no "absent", is not there', "no"])
def test_words_that_are_not_understood_or_speak_of_nothing_are_refused(word: str, tmp_path: Path) -> None:
    written = tmp_path / "page.md"
    written.write_text(f"<!-- run: {word} -->\n```sh\nuv run a\n```\n")
    with pytest.raises(UnknownWord):
        commands_of(written)


def test_what_troubleshooting_quotes_is_said_by_the_code() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    said = "\n".join(
        file.read_text(encoding="utf-8")
        for room in CODE[:5]
        for file in [*(ROOT / room).rglob("*.py"), *(ROOT / "templates").rglob("*.html")]
        if "tests" not in file.parts
    )
    quoted = [
        quote for quote in re.findall(r"“([^”]+)”", page) if quote not in {"quotation marks", "CSRF", "No agent found"}
    ]
    parts = [part.strip(" .") for quote in quoted for part in quote.split("…")]
    assert len(quoted) > 15
    assert [part for part in parts if part and part not in said] == []
