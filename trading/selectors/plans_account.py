"""What will be done to a bot or to a whole account when somebody presses a button of it. None for what is not there."""

from __future__ import annotations

from collections.abc import Iterable

from accounts.models import Account, Bot
from trading.domain.orders import FINAL
from trading.models import EquityPoint, Halt, Order, Position
from trading.selectors.halts import RESUME, halt_in_force
from trading.selectors.plans import Condition, Plan, digest, told, version_of, worth
from trading.selectors.standing import PositionLine, line_from, with_market
from trading.templatetags.figures import money


def stop_bot(account: Account, subject: int) -> Plan | None:
    bot = _bot(account, subject)
    if bot is None:
        return None
    count = Position.objects.filter(bot=bot, closed__isnull=True).count()
    blocked = f"{bot.name} is stopped already." if bot.status == Bot.Status.STOPPED else ""
    held = (
        f"Its {count} open position{'' if count == 1 else 's'} keep stop and target." if count else "It holds nothing."
    )
    return Plan(
        act="stop-bot",
        account=account,
        row=bot,
        title=f"Stop {bot.name}?",
        says=blocked or f"Stop {bot.name} ({bot.model}): it makes no new decisions. {held}",
        after="" if blocked else "A cycle that has begun still ends. Start it again on this desk.",
        button=f"Stop {bot.name}",
        blocked=blocked,
        version=digest(bot.pk, bot.status),
    )


def start_bot(account: Account, subject: int, *, barred: str = "") -> Plan | None:
    """Say what a start does; with `barred`, why the account may open nothing, that it would be refused."""
    bot = _bot(account, subject)
    if bot is None:
        return None
    blocked = f"{bot.name} runs already." if bot.status == Bot.Status.RUNNING else ""
    return Plan(
        act="start-bot",
        account=account,
        row=bot,
        title=f"Start {bot.name}?",
        says=blocked
        or f"Start {bot.name}: from now on {bot.model} decides at every {bot.interval} candle of {_symbols(bot)}, {_with(account)}.",
        lines=() if blocked else tuple(_trading(bot)),
        after="" if blocked else "It decides at once where its latest candle is fresh.",
        button=f"Start {bot.name}",
        blocked=blocked,
        warned=f"{barred} Until then a start is refused." if barred and not blocked else "",
        conditions=() if blocked else tuple(_may_open(account)),
        version=_of_bot(bot),
    )


def decide(account: Account, subject: int, *, barred: str = "") -> Plan | None:
    """Say what a decision at once does; with `barred`, why the account may open nothing, that it can only close."""
    bot = _bot(account, subject)
    if bot is None:
        return None
    return Plan(
        act="decide",
        account=account,
        row=bot,
        title=f"Let {bot.name} decide now?",
        says=f"Ask {bot.model} once about {_symbols(bot)} at the prices of now, beside its {bot.interval} candles, {_with(account)}.",
        warned=f"{barred} Until then nothing of it opens a position." if barred else "",
        lines=tuple(_trading(bot)),
        after="What it decides is ruled by the limits of the account and carried out. What waits for an answer of yours ends.",
        button="Decide now",
        conditions=tuple(_may_open(account)),
        version=_of_bot(bot),
    )


def _bot(account: Account, subject: int) -> Bot | None:
    bot = Bot.objects.filter(account=account, pk=subject).first()
    if bot is not None:
        bot.account = account
    return bot


def _symbols(bot: Bot) -> str:
    return ", ".join(bot.symbols)


def _with(account: Account) -> str:
    if account.real:
        return f"with real money of {account.name} at {account.venue}"
    return f"on {account.name} at {account.venue}, {account.badge}: no real money"


def _trading(bot: Bot) -> Iterable[str]:
    """Yield with how much it trades, and whether anybody is asked."""
    equity = EquityPoint.objects.filter(account=bot.account).order_by("-at").values_list("equity", flat=True).first()
    known = "not known yet" if equity is None else f"{money(equity)} USDT"
    sized = "all of it counts for its sizes" if bot.capital is None else f"it sizes by {money(bot.capital)} USDT of it"
    yield f"Equity of {bot.account.name}: {known}; {sized}"
    yield "Its entries wait for a person" if bot.approval else "Its entries are carried out without asking anybody"


def _may_open(account: Account) -> Iterable[Condition]:
    state = account.get_state_display()
    if account.state != Account.State.ACTIVE:
        reason = f": {account.state_reason}" if account.state_reason else ""
        halted = account.state == Account.State.HALTED
        yield Condition(False, f"{account.name} is {state}{reason}; while it is, nothing opens", needed=halted)


def _of_bot(bot: Bot) -> str:
    """Return the version of what a bot is and may do: who decides, on what, with how much, and how its account stands."""
    who = (
        bot.model,
        bot.fallback_models,
        bot.ensemble_models,
        bot.ensemble_rule,
        bot.prompt_template,
        bot.prompt_version,
    )
    what = (bot.symbols, bot.interval, bot.capital, bot.approval)
    return digest(bot.pk, bot.status, *who, *what, bot.account.epoch, bot.account.state)


# -- the account -----------------------------------------------------------------------------------------------------


def halt(account: Account, *, keep: bool) -> Plan:
    """Say what a halt does; with `keep` positions stay, unless a halt before closes them already."""
    held = Position.objects.filter(account=account, closed__isnull=True).order_by("symbol")
    lines = [line_from(row) for row in with_market(held, account)]
    before = halt_in_force(account)
    kept = keep and (before is None or before.keep_positions)
    again = " It is halted already: this tries at once again." if account.state == Account.State.HALTED else ""
    if keep and not kept:
        again += " That halt closes positions: they are not kept."
    return Plan(
        act="halt",
        account=account,
        title=f"Halt {account.name}?",
        says=f"Halt {account.name}: nothing opens any more, {_halting(account, lines, kept=kept)}{again}",
        lines=tuple(told(line) for line in lines),
        after=f"{'' if kept else 'It also closes what Vibex did not open. '}It stays halted, over restarts too, until a person lifts it.",
        button=f"Halt {account.name}",
        wants=frozenset({"reason", "keep"}),
        version=version_of(account, *(line.position for line in lines)),
    )


def _halting(account: Account, lines: list[PositionLine], *, kept: bool) -> str:
    working = Order.objects.filter(account=account).exclude(state__in=FINAL)
    if kept:
        count = working.filter(role=Order.Role.ENTRY).count()
        orders = f"cancel {_orders(count)} that could open" if count else "no order of ours that could open is working"
        stay = f"keep {worth(lines)} with stop and target" if lines else "nothing is open by our books"
        return f"{orders}, {stay}. {account.venue} is read until no order is left that could open."
    count = working.count()
    orders = f"cancel {_orders(count)}" if count else "no order of ours is working"
    what = f"close {worth(lines)} at market" if lines else "nothing is open by our books"
    unless = " Positions and what protects them stay only with the box below ticked." if lines else ""
    return f"{orders}, {what}. {account.venue} is read until it is flat.{unless}"


def _orders(count: int) -> str:
    return f"{count} working order{'' if count == 1 else 's'}"


def resume(account: Account) -> Plan:
    halt = halt_in_force(account)
    flat = halt is None or halt.flat_at is not None
    blocked = (
        f"{account.name} is active already: it may open positions." if account.state == Account.State.ACTIVE else ""
    )
    reason = account.state_reason or "no reason was kept"
    return Plan(
        act="resume",
        account=account,
        title=f"Let {account.name} open positions again?",
        says=blocked or f"{account.name} is {account.get_state_display()}: {reason}. Let it open positions again.",
        after="" if blocked else "Bots that run decide at their next candle.",
        button="Let it trade again",
        blocked=blocked,
        wants=frozenset({"reason"}),
        conditions=() if blocked else tuple(_conditions(account, halt)),
        version=digest(account.state, account.epoch, halt.pk if halt else 0, flat),
    )


def _conditions(account: Account, halt: Halt | None) -> Iterable[Condition]:
    """Yield what has to be so before an account may open positions again."""
    may = account.owner.has_perm(RESUME)
    permission = (
        "You have the permission to lift a halt" if may else "You need the permission to lift a halt: ask an operator"
    )
    yield Condition(may, permission, needed=True)
    if halt is not None:
        proved = "The exchange has shown that the halt did its work"
        open_still = (
            f"The exchange has not shown it flat yet{f': {halt.problem}' if halt.problem else ''}; the guard goes on"
        )
        yield Condition(halt.flat_at is not None, proved if halt.flat_at else open_still, needed=True)
    last = account.reconciliations.order_by("-at").first()
    agreed = last is not None and last.agreed
    then = "were not compared yet" if last is None else "agreed last time" if agreed else "differed last time"
    yield Condition(
        agreed, f"Books and exchange {then}. They are compared anew when you press: while they differ nothing is lifted"
    )
