"""The question as text. The frame is a template, kept as data; the sections are filled in here.

The constant part comes first and is the same in every call of a bot, what changes slowly before what changes fast, the
time last: providers cache prefixes. A template that lacks something is refused, never replaced.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from string import Template
from typing import Final

from decisions.domain import sections
from decisions.domain.layouts import ARENA, Section, layout_of
from decisions.domain.outside import outside_section
from decisions.domain.question import Prompt, Question
from decisions.domain.quoting import word
from decisions.domain.schema import response_schema
from vibex.lib.errors import Rejected

SEPARATOR: Final = "\n=== user ===\n"
"""Between the system text and the changing text of a template."""

OUTSIDE: Final = re.compile(r"^[ \t]*\$(?:outside|\{outside\})[ \t]*(?:\n|\Z)(?:[ \t]*\n)?", re.MULTILINE)
"""The line of a template that texts from outside stand in, with the empty one behind it: without a text both go."""

CONSTANT: Final[Mapping[str, Section]] = {
    "venue": lambda question: word(question.snapshot.venue),
    "interval": lambda question: question.bot.interval,
    "limits": sections.limits,
    "universe": lambda question: layout_of(question).universe(question),
    "legend": lambda question: layout_of(question).legend,
    "schema": lambda question: json.dumps(response_schema(question.bot.symbols), separators=(",", ":")),
}
CHANGING: Final[Mapping[str, Section]] = {
    "slow": lambda question: layout_of(question).slow(question),
    "fast": lambda question: layout_of(question).fast(question),
    "account": lambda question: layout_of(question).account(question),
    "feedback": sections.feedback,
    "outside": lambda question: outside_section(question.outside),
    "now": sections.now,
    "decision_id": lambda question: question.decision_id,
}
OPTIONAL: Final = frozenset({"venue", "interval", "legend", "outside"})


def build_prompt(question: Question, template: str) -> Prompt:
    """Return both texts of the question. Raises Rejected when the template is broken: then nothing is asked."""
    system, user = template_parts(template)
    if not question.outside:
        system, user = template_parts(without_outside(template))
    name = f"{question.bot.prompt_template}#{sha256(template.encode()).hexdigest()[:8]}"
    texts = (_filled(system, _constant(system, question), question), _filled(user, CHANGING, question))
    return Prompt(*texts, template=name, digest=sha256("\0".join((name, *texts)).encode()).hexdigest())


def without_outside(template: str) -> str:
    """Return a template without the line of texts from outside: it vanishes without a trace."""
    return OUTSIDE.sub("", template)


def _constant(system: Template, question: Question) -> Mapping[str, Section]:
    """Return what fills the constant part. A template from before there were layouts explains those of Arena only."""
    layout = layout_of(question)
    if layout is ARENA or "legend" in system.get_identifiers():
        return CONSTANT
    return {**CONSTANT, "universe": lambda asked: f"{layout.universe(asked)}\n\n{layout.legend}"}


def template_parts(template: str) -> tuple[Template, Template]:
    """Return the constant and the changing part of a template. Raises Rejected that says what is wrong with it."""
    constant, separator, changing = template.partition(SEPARATOR)
    if not separator or SEPARATOR in changing:
        raise _broken(f"it needs the line {SEPARATOR.strip()!r} exactly once")
    return _part(constant, CONSTANT, "above"), _part(changing, CHANGING, "below")


def _part(text: str, known: Mapping[str, object], where: str) -> Template:
    part = Template(text.strip())
    if not part.is_valid():
        raise _broken(f"a $ {where} the separator does not begin a placeholder; write $$ for a dollar sign")
    names = set(part.get_identifiers())
    if unknown := names - known.keys():
        raise _broken(f"${', $'.join(sorted(unknown))} is not known {where} the separator")
    if missing := known.keys() - names - OPTIONAL:
        raise _broken(f"${', $'.join(sorted(missing))} is missing {where} the separator")
    return part


def _filled(part: Template, known: Mapping[str, Section], question: Question) -> str:
    return part.substitute({name: known[name](question) for name in part.get_identifiers()})


def _broken(what: str) -> Rejected:
    return Rejected(
        f"The prompt template is broken: {what}. Nothing is asked until it is mended.", code="template_broken"
    )
