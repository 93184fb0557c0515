"""`manage.py replay CYCLE`: a cycle once more, by its stored reply or by its stored prompt. It never trades."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from trading.management.replay_words import (
    asked_lines,
    plain,
    repeat_data,
    repeat_lines,
    replay_data,
    replay_lines,
    summary_lines,
)
from vibex.lib.commands import faults_told

MOST = 100
"""Repeats of one prompt."""


class Command(BaseCommand):
    help = (
        "Go through a cycle once more. Without --model: its stored reply through the gate and rules of today, without "
        "network; nothing is written. With --model: its stored prompt to another model; what it says is ruled and "
        "compared, never traded, kept as an interaction and paid out of the bot's budget."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("cycle", type=int, help="Number of the cycle, as on its page.")
        parser.add_argument("--model", help="Ask this model, for example openrouter/x-ai/grok-4.3.")
        parser.add_argument("--repeat", type=int, default=1, metavar="N", help=f"Ask so often, 1 to {MOST}.")
        parser.add_argument(
            "--limits", choices=("now", "then"), default="now", help="Whose limits rule: those of now, or of then."
        )
        parser.add_argument(
            "--fail-on-difference", action="store_true", help="Exit with 1 when anything is not decided as it was."
        )
        parser.add_argument("--json", action="store_true", help="Print it as JSON, and progress to stderr.")

    def handle(self, **options: Any) -> None:
        if not 1 <= options["repeat"] <= MOST:
            raise CommandError(f"--repeat takes 1 to {MOST}, not {options['repeat']}", returncode=2)
        if options["repeat"] > 1 and not options["model"]:
            raise CommandError("--repeat needs --model: a stored reply is read the same each time", returncode=2)
        same = self._model(options) if options["model"] else self._stored(options)
        if options["fail_on_difference"] and not same:
            raise CommandError("it is not decided as it was")

    def _stored(self, options: dict[str, Any]) -> bool:
        from trading.services.replay import cycle_find, replay_stored

        with faults_told():
            replay = replay_stored(cycle=cycle_find(options["cycle"]), limits=options["limits"])
        self._print(replay_lines(replay) if not options["json"] else [_json(replay_data(replay))])
        return replay.same

    def _model(self, options: dict[str, Any]) -> bool:
        from trading.services.replay import cycle_find
        from trading.services.replay_ask import replay_asked, replay_prepare, replay_summary

        as_json, repeat, done = options["json"], options["repeat"], []
        with faults_told():
            cycle = cycle_find(options["cycle"])
            asked = replay_prepare(cycle=cycle, model=options["model"], limits=options["limits"])
            if not as_json:
                self._print(asked_lines(asked, options["limits"], repeat))
            stopped = False
            try:
                for one in replay_asked(asked, repeat=repeat):
                    done.append(one)
                    if as_json:
                        self.stderr.write(f"{one.number} of {repeat}: {one.outcome} in {one.seconds:.1f} s")
                    else:
                        self._print(repeat_lines(one, repeat))
            except KeyboardInterrupt:
                stopped = True
        summary = replay_summary(done, asked.moment.question.bot.symbols)
        if as_json:
            told = {"cycle": asked.cycle, "model": asked.model, "limits_changed": asked.limits_changed}
            repeats = [repeat_data(one) for one in done]
            self._print([_json({**told, "repeats": repeats, "summary": summary, "stopped": stopped})])
        elif done:
            self._print(summary_lines(summary))
        if stopped:
            self.stderr.write(
                f"Interrupted after {len(done)} of {repeat}. What was answered is kept and paid for; a request that was under "
                "way may be charged, and is not kept."
            )
            raise SystemExit(130)
        return bool(done) and all(one.same for one in done)

    def _print(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.stdout.write(line)
        self.stdout.flush()


def _json(data: dict[str, Any]) -> str:
    return json.dumps(data, indent=1, default=_part)


def _part(value: object) -> Any:
    from dataclasses import asdict, is_dataclass

    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else plain(value)
