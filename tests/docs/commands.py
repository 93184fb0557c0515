"""The shell commands that stand on the pages, each with what the page says of running it.

Every fenced or indented block is read. In a block marked `sh`, `bash` or `shell` each line is a command; in one marked
`console` those after `$ `; in one without a mark those that begin with a program that `PROGRAMS` names. Comments of
HTML right above a block say what has to be known to run it; they are not shown to who reads the page:

    <!-- run: no, WHY -->               nothing of the block is run
    <!-- run: no "TEXT", WHY -->        nor is the command that holds TEXT
    <!-- run: tried "TEXT" until "SEEN" -->    it goes on: it is ended when it has said SEEN, or when SEEN, an address, answers
    <!-- run: server "TEXT" until "SEEN" -->   the same, but it is ended when the page is over
    <!-- run: exit 1 "TEXT" -->         it ends with this code
    <!-- run: with "OLD" as "NEW" -->   NEW stands in for OLD, which a person would replace
    <!-- run: first "COMMAND" -->       is done before the block, and not told by the page
    <!-- run: beside "COMMAND" until "SEEN" -->    is begun before the block, and goes on until the page is over
    <!-- run: no on this page, WHY -->  anywhere: nothing of the page is run
    <!-- run: this page with PostgreSQL and Redis -->    anywhere: it has a database and a Redis of its own

Commands without any word about them are run.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from vibex.lib.env import ROOT

SHELL: Final = frozenset({"sh", "bash", "shell", "console"})
RUNNABLE: Final = frozenset(
    {"uv", ".uv/bin/uv", "make", "python", "python3", "curl", "export", "sh", "sqlite3", "pg_dump", "openssl", "age"}
)
"""What may be run at all on the machine of who runs the tests."""
PROGRAMS: Final = RUNNABLE | {
    "manage.py", "sudo", "apt-get", "systemctl", "journalctl", "podman", "podman-compose", "docker", "git", "wget",
    "psql", "pg_restore", "createdb", "redis-cli", "promtool", "npm", "npx", "cp", "mkdir", "chmod", "tar",
}  # fmt: skip
"""What a line begins with that is a command though its block does not say so."""

FENCE: Final = re.compile(r"^(?P<indent> *)```(?P<language>\S*)")
COMMENT: Final = re.compile(r"^\s*<!-- run: (.+?) -->\s*$")
WHOLE_PAGE: Final = re.compile(r"^<!-- run: no on this page, (.+?) -->$", re.MULTILINE)
WITH_SERVERS: Final = "<!-- run: this page with PostgreSQL and Redis -->"
FORMS: Final = tuple(
    re.compile(form)
    for form in (
        r"no(?: \"(?P<no>[^\"]+)\")?, (?P<why>.+)",
        r"(?P<how>tried|server) \"(?P<goes_on>[^\"]+)\" until \"(?P<seen>[^\"]+)\"",
        r"exit (?P<code>\d+) \"(?P<exit>[^\"]+)\"",
        r"with \"(?P<old>[^\"]+)\" as \"(?P<new>[^\"]*)\"",
        r"first \"(?P<first>.+)\"",
        r"beside \"(?P<beside>.+)\" until \"(?P<up>[^\"]+)\"",
    )
)
HEREDOC: Final = re.compile(r"<<-?\s*['\"]?(\w+)['\"]?")
ASSIGNMENT: Final = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*=")


class UnknownWord(ValueError):
    """A comment that begins with `run:` says nothing that is understood."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command as it stands on a page, and as it is run."""

    page: Path
    line: int
    text: str
    """As on the page, lines that are continued joined by a line feed."""
    run_as: str
    why_not: str = ""
    until: str = ""
    """What is seen of a command that goes on when it is up; nothing for one that ends."""
    stays: bool = False
    """Whether one that goes on does so until the page is over."""
    code: int = 0
    before: tuple[str, ...] = ()
    """What is done first, without the page telling it."""
    beside: tuple[tuple[str, str], ...] = ()
    """What is begun first and goes on, and what is seen of it when it is up."""

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True, slots=True)
class Block:
    line: int
    """Of its first line of text, from one."""
    language: str
    lines: tuple[str, ...]
    said: tuple[str, ...]
    """The comments above it, without their frame."""


def commands_of(page: Path) -> list[Command]:
    """Return the commands of a page in order. Raises UnknownWord."""
    text = page.read_text(encoding="utf-8")
    whole = WHOLE_PAGE.search(text)
    found = [command for block in blocks(text) for command in _commands(page, block)]
    if whole is None:
        return found
    return [replace(each, why_not=each.why_not or whole[1]) for each in found]


def blocks(text: str) -> Iterator[Block]:
    """Yield the fenced and the indented blocks of a page."""
    said: list[str] = []
    lines = text.splitlines()
    place = 0
    while place < len(lines):
        line = lines[place]
        if opened := FENCE.match(line):
            end = next(n for n in range(place + 1, len(lines)) if lines[n].strip() == "```")
            inside = (each.removeprefix(opened["indent"]) for each in lines[place + 1 : end])
            yield Block(place + 2, opened["language"], tuple(inside), tuple(said))
            place, said = end, []
        elif line.startswith("    ") and place and not lines[place - 1].strip():
            end = next((n for n in range(place, len(lines)) if not lines[n].startswith("    ")), len(lines))
            yield Block(place + 1, "", tuple(each[4:] for each in lines[place:end]), tuple(said))
            place, said = end - 1, []
        elif comment := COMMENT.match(line):
            said += [] if "this page" in comment[1] else [comment[1]]
        elif line.strip():
            said = []
        place += 1


def _commands(page: Path, block: Block) -> Iterator[Command]:
    words = [_understood(page, word) for word in block.said]
    found = list(_written(block))
    for word in words:
        wanted = word.get("no") or word.get("goes_on") or word.get("exit") or word.get("old")
        if wanted and not any(wanted in text for _, text in found):
            raise UnknownWord(f"{page.name}:{block.line}: no command has {wanted!r}")
    before = tuple(word["first"] for word in words if word.get("first"))
    beside = tuple((word["beside"], word["up"]) for word in words if word.get("beside"))
    for line, text in found:
        command = _command(page, line, text, words)
        if command.why_not:
            yield command
            continue
        yield replace(command, before=before, beside=beside)
        before, beside = (), ()


def _understood(page: Path, word: str) -> dict[str, str]:
    for form in FORMS:
        if match := form.fullmatch(word):
            return {name: value for name, value in match.groupdict().items() if value is not None}
    raise UnknownWord(f"{page.name}: 'run: {word}' is not understood; tests/docs/commands.py has the words")


def _command(page: Path, line: int, text: str, words: list[dict[str, str]]) -> Command:
    run_as, why_not, until, stays, code = text, "", "", False, 0
    for word in words:
        if "old" in word:
            run_as = run_as.replace(word["old"], word["new"])
        if "why" in word and word.get("no", "") in text:
            why_not = word["why"]
        if "exit" in word and word["exit"] in text:
            code = int(word["code"])
        if "goes_on" in word and word["goes_on"] in text:
            until, stays = word["seen"], word["how"] == "server"
    return Command(page, line, text, run_as, why_not, until, stays, code)


def _written(block: Block) -> Iterator[tuple[int, str]]:
    """Yield line and text of each command: continued lines, open quotes and here-documents belong to one."""
    if block.lines and block.lines[0].startswith("#!"):
        yield block.line, "\n".join(block.lines)
        return
    rest = list(enumerate(block.lines, start=block.line))
    while rest:
        number, line = rest.pop(0)
        if not _is_command(line, block.language):
            continue
        text = line.removeprefix("$ ")
        while rest and _goes_on(text):
            text += "\n" + rest.pop(0)[1]
        yield number, text.strip()


def _is_command(line: str, language: str) -> bool:
    bare = line.strip()
    if not bare or bare.startswith("#"):
        return False
    if line.startswith("$ "):
        return True
    if language == "console" or (language and language not in SHELL):
        return False
    words = bare.split()
    program = next((word for word in words if not ASSIGNMENT.match(word)), None)
    if program is None:
        return False  # a line of a file of variables
    return language in SHELL or program in PROGRAMS


def _goes_on(text: str) -> bool:
    if text.endswith("\\"):
        return True
    if here := HEREDOC.search(text):
        return here[1] not in [line.strip() for line in text.splitlines()[1:]]
    try:
        shlex.split(text, comments=True)
    except ValueError:
        return True
    return False
