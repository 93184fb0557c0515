"""`manage.py models [SEARCH]`: the models that can be asked, with price, context, end and what they take."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from vibex.lib.commands import faults_told

if TYPE_CHECKING:
    from decisions.selectors.model_list import ModelLine

HEADS = ("model", "in $/M", "out $/M", "context", "ends", "schema", "note")
SCHEMA = {True: "yes", False: "no", None: "?"}
LONGEST_NOTE = 90


class Command(BaseCommand):
    help = "Show the models that bots can ask, as the catalogues of their providers list them (docs/models.md)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("search", nargs="*", help="Words that have to stand in the name.")
        parser.add_argument("--provider", default="", help="Only this provider: openrouter, openai, anthropic, …")
        parser.add_argument("--refresh", action="store_true", help="Read the catalogue first; without it no network.")
        parser.add_argument("--gone", action="store_true", help="Also models that are not listed any more.")
        parser.add_argument("--json", action="store_true", help="Print it as JSON.")

    def handle(self, **options: Any) -> None:
        from decisions.selectors.model_list import model_lines

        faults: list[str] = []
        with faults_told():
            if options["provider"]:
                _refuse_unknown(options["provider"])
            if options["refresh"]:
                faults = list(self._refresh(options["provider"], quiet=options["json"]))
            lines = model_lines(provider=options["provider"], search=" ".join(options["search"]), gone=options["gone"])
        if options["json"]:
            self.stdout.write(json.dumps([_as_json(line) for line in lines], indent=1))
        else:
            self.stdout.write("\n".join(_table(lines)) if lines else _none_found(options))
        if faults:
            raise CommandError("\n".join(faults))

    def _refresh(self, provider: str, *, quiet: bool) -> Iterator[str]:
        """Read the catalogues that are meant, and yield what went wrong."""
        from decisions.selectors.models_asked import providers_in_use, providers_with_key
        from decisions.services.catalogue import catalogue_refresh

        wanted = [provider] if provider else sorted(providers_in_use() | providers_with_key())
        if not wanted:
            yield "No provider has a key, and no bot asks one: name it by --provider, or set a key."
        for name in wanted:
            done = catalogue_refresh(provider=name)
            if done.fault:
                yield f"{done.provider}: {done.fault}"
            elif not quiet:
                self.stdout.write(f"{done.provider}: {done.models} models, {done.new} new, {done.gone} gone")


def _refuse_unknown(provider: str) -> None:
    """Raise Rejected for a provider that nobody knows, with the names that are known."""
    from decisions.domain.providers import LOCAL
    from decisions.llm.endpoints import spec_of

    if provider != LOCAL:
        spec_of(provider)


def _none_found(options: dict[str, Any]) -> str:
    """Return why nothing is listed, and what to do about it."""
    words, provider = " ".join(options["search"]), options["provider"]
    where = f"at {provider}" if provider else "at any provider"
    if words:
        return f"No model {where} has {words!r} in its name. Look for less, or read the catalogue anew by --refresh."
    return f"No model is known {where}: read a catalogue by --refresh."


def _table(lines: Sequence[ModelLine]) -> Iterator[str]:
    from decisions.domain.model_state import plain, short

    def cells(line: ModelLine) -> tuple[str, ...]:
        facts = line.state.facts
        price = [None, None] if facts is None else [facts.input_price, facts.output_price]
        note = line.note if len(line.note) <= LONGEST_NOTE else f"{line.note[: LONGEST_NOTE - 1]}…"
        return (
            line.name,
            *("?" if each is None else plain(each) for each in price),
            short(facts.context) if facts and facts.context else "?",
            f"{facts.expires:%F}" if facts and facts.expires else "",
            SCHEMA[line.state.schema],
            note,
        )

    rows = [HEADS, *(cells(line) for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    for row in rows:
        padded = (
            cell.rjust(width) if 0 < at < 4 else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(padded).rstrip()


def _as_json(line: ModelLine) -> dict[str, Any]:
    facts = line.state.facts
    return {
        "model": line.name,
        "title": line.title,
        "state": line.state.kind.value,
        "input_price": None if facts is None or facts.input_price is None else str(facts.input_price),
        "output_price": None if facts is None or facts.output_price is None else str(facts.output_price),
        "context": facts.context if facts else None,
        "max_output": facts.max_output if facts else None,
        "expires": facts.expires.isoformat() if facts and facts.expires else None,
        "schema": line.state.schema,
        "efforts": list(facts.efforts) if facts else [],
        "successor": line.state.successor or None,
        "note": line.note,
    }
