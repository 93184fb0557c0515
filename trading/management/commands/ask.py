"""`manage.py ask BOT --dry-run`: what a bot would ask now, what it is answered, and what the rules make of it. No trade."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from trading.domain.replayed import Told, told_of
from trading.management.bots import bot_found
from trading.management.replay_words import money, plain, ruling_line
from vibex.lib.commands import faults_told

if TYPE_CHECKING:
    from decisions.models import Interaction
    from trading.services.ask import DryAnswer, DryAsk


class Command(BaseCommand):
    help = (
        "Show the prompt that a bot would send now with its tokens and cost, send it, and show what the answer says and "
        "what the rules make of it. Nothing is traded and no cycle begins; the call is kept and paid out of the bot's "
        "budget. For the real thing use `manage.py cycle`."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("bot", help="Id, name, or <account>/<name> of the bot.")
        parser.add_argument("--dry-run", action="store_true", help="Trade nothing. Without it nothing is asked either.")
        parser.add_argument("--no-ask", action="store_true", help="Show the prompt, and ask nobody.")
        parser.add_argument("--yes", action="store_true", help="Do not ask before money is spent.")
        parser.add_argument("--json", action="store_true", help="Print it as JSON.")

    def handle(self, **options: Any) -> None:
        if not options["dry_run"]:
            raise CommandError(
                f"ask only ever looks: write `manage.py ask {options['bot']} --dry-run`. "
                f"To decide and trade now, use `manage.py cycle {options['bot']}`.",
                returncode=2,
            )
        from marketdata.services import feed_catch_up
        from trading.services.ask import ask_prepare, ask_send

        with faults_told():
            bot = bot_found(options["bot"])
            feed_catch_up(venue=bot.account.market)
            asked, answer = ask_prepare(bot=bot), None
            if not options["json"]:
                self._print(_question_lines(asked))
            try:
                if not options["no_ask"] and self._may(asked, options):
                    answer = ask_send(asked=asked)
            except KeyboardInterrupt:
                self.stderr.write(
                    "Interrupted. Nothing was traded; a request that was under way may be charged, and is not kept."
                )
                raise SystemExit(130) from None
        if options["json"]:
            self._print([json.dumps(_data(asked, answer), indent=1, default=plain)])
        elif answer is not None:
            self._print(_answer_lines(asked, answer))

    def _may(self, asked: DryAsk, options: dict[str, Any]) -> bool:
        """Ask a person who sits at the terminal before money is spent."""
        if asked.rules or asked.why_not or options["yes"] or options["json"] or not sys.stdin.isatty():
            return True
        about = f"up to about {money(asked.cost)}" if asked.cost is not None else "at an unknown price"
        return input(f"Ask {asked.run.bot.model} now, {about}? [y/N] ").strip().lower() in ("y", "yes")

    def _print(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.stdout.write(line)
        self.stdout.flush()


def _question_lines(asked: DryAsk) -> Iterator[str]:
    question, bot = asked.question, asked.run.bot
    yield f"{bot.name} would ask {bot.model} at {question.snapshot.at:%F %T} UTC. Nothing is traded."
    if question.prompt is None:
        yield "prompt   none: " + ("written rules decide, and nothing is sent" if asked.rules else asked.why_not)
        return
    yield "=== system ==="
    yield question.prompt.system
    yield "=== user ==="
    yield question.prompt.user
    yield "=== end of the prompt ==="
    yield f"prompt   {question.prompt.template}, about {asked.tokens} tokens"
    if asked.cost is None:
        yield "cost     unknown: no catalogue has the price of the model"
        return
    yield f"cost     about {money(asked.prompt_cost)} for the prompt, at most {money(asked.cost)} with the longest reply"


def _answer_lines(asked: DryAsk, answer: DryAnswer) -> Iterator[str]:
    decided, reading = answer.decided, answer.decided.reading
    served = f" by {decided.answer.model_served}" if decided.answer.model_served else ""
    yield f"answer   {reading.outcome.value}{served} in {decided.answer.latency:.1f} s" + (
        f": {reading.reason}" if reading.reason else ""
    )
    yield from (f"  {member.model}: {_outcome(member.reading)}" for member in decided.answer.members)
    yield from (f"  {symbol}  held by the gate: {code}" for symbol, code in reading.held.items())
    yield from (f"  {symbol}  {ruling_line(told)}" for symbol, told in _told(answer))
    waits = asked.run.approval and any(ruling.proposal.action.opens for ruling in decided.rulings)
    if waits:
        yield "  What may be opened would wait for a person: this bot asks for approval."
    for call in answer.calls:
        yield f"paid     {call.prompt_tokens} + {call.completion_tokens} tokens, {_paid(call)} (interaction {call.pk})"
    yield "Nothing was traded."


def _outcome(reading: Any) -> str:
    said = ", ".join(f"{proposal.symbol} {proposal.action.value}" for proposal in reading.proposals)
    return said or f"{reading.outcome.value} {reading.reason}".strip()


def _told(answer: DryAnswer) -> list[tuple[str, Told]]:
    return [(ruling.proposal.symbol, told_of(ruling)) for ruling in answer.decided.rulings]


def _data(asked: DryAsk, answer: DryAnswer | None) -> dict[str, Any]:
    from dataclasses import asdict

    prompt, bot = asked.question.prompt, asked.run.bot
    told: dict[str, Any] = {
        "bot": bot.name,
        "model": bot.model,
        "at": asked.question.snapshot.at,
        "prompt": None
        if prompt is None
        else {"system": prompt.system, "user": prompt.user, "template": prompt.template},
        "tokens": asked.tokens,
        "prompt_cost": asked.prompt_cost,
        "cost": asked.cost,
        "not_asked": asked.why_not,
        "answer": None,
    }
    if answer is None:
        return told
    decided = answer.decided
    return told | {
        "answer": {
            "outcome": decided.reading.outcome.value,
            "reason": decided.reading.reason,
            "held": dict(decided.reading.held),
            "text": decided.answer.text,
            "model_served": decided.answer.model_served,
            "seconds": round(decided.answer.latency, 3),
            "cost": answer.cost,
            "interactions": [call.pk for call in answer.calls],
            "rulings": [{"symbol": symbol, **asdict(each)} for symbol, each in _told(answer)],
        }
    }


def _paid(call: Interaction) -> str:
    """Return what a call counts as: what was said, else its estimate; without one nothing was sent, or it was refused."""
    if call.cost is not None:
        return money(call.cost)
    return "nothing" if call.estimate is None else f"about {money(call.estimate)}, nobody said"
