"""What an installation needs before it can trade, made once and found again at every later start."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from django.conf import settings
from django.core.management import call_command
from django.db import transaction
from django.utils.timezone import now

from accounts.models import TESTNET, Account, Bot, User
from accounts.selectors import on_market
from accounts.services import account_create, bot_create, incident_open, password_generate, user_create
from accounts.services.jobs import Jobs
from decisions.deciders.registry import default_model
from decisions.services import prompt_template_install
from marketdata.feed import FeedRunner
from marketdata.models import Feed
from marketdata.selectors import base_interval, clock_of, feed_of, wanted_symbols
from marketdata.services import feed_advance, feed_configure, feed_start, feed_stop
from marketdata.services.follow import feed_note
from marketdata.services.live import live_open
from marketdata.services.venues import venue_reachable
from marketdata.venues.recorded import list_folder
from trading.domain.schedule import at_least, timeframes_for
from trading.services import schedule
from trading.services.lease import cycles_abandon
from trading.services.periodic import system_schedules_install
from trading.services.reconcile import account_reconcile
from trading.services.user_streams import UserStreams
from vibex.celery import app
from vibex.lib.errors import Rejected, VibexError
from vibex.lib.variables import venue_symbols
from vibex.serve import Scheduler

log = logging.getLogger(__name__)

OPERATOR: Final = "operator@vibex.local"
SIMULATED: Final = "sim"
RECORDED: Final = "recorded"
AUTO_SECONDS: Final = 2.0
"""A venue has so long to answer before the simulated market is taken (MARKET=auto)."""
USUAL_SPEED: Final = {"sim": 1.0, "recorded": 60.0}
"""Of a market that is made now: a simulation keeps pace with the clock, an hour of a recording passes in a minute."""
ACCOUNT_NAMES: Final = {"sim": "paper", "recorded": "replay"}
"""Each market has an account of its own: prices of one must never move positions of the other."""


@dataclass(frozen=True, slots=True)
class Demo:
    """The demo operator with account and bot. The password is there only in the run that made the operator."""

    bot: Bot
    operator: str
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Market:
    """The market that this process runs: its feed, what can be traded there and its shortest candles."""

    feed: Feed
    symbols: tuple[str, ...]
    base: str

    @property
    def description(self) -> str:
        """What it is, so that nobody takes it for real money or real prices."""
        pace = "" if self.feed.speed == 1 else f" at {self.feed.speed:g} times the speed of the clock"
        what = {
            Feed.Kind.SIMULATED: "simulated, prices are made up",
            Feed.Kind.RECORDED: f"recorded candles of {self.feed.source}",
            Feed.Kind.LIVE: f"live prices of {self.feed.venue} from {self.feed.source}",
        }[Feed.Kind(self.feed.kind)]
        note = f" ({self.feed.note})" if self.feed.note else ""
        return f"{what}{pace}; {self.feed.problem or 'no real money'}{note}"


def prepare(data: Path | None, speed: float | None, *, run: bool, demo: bool) -> tuple[Market, Demo | None]:
    """Bring the market to the present, and make the demo where it is wanted. Arguments and errors as below."""
    market = market_prepare(data, speed, run=run)
    return market, demo_prepare(market) if demo else None


def market_prepare(data: Path | None, speed: float | None, *, run: bool = True) -> Market:
    """Configure the market that was asked for and write what is due until now.

    That is the recording of `data`, else what MARKET says; a speed is only for markets that are made, never for live
    prices. With `run` its clock begins to move and every other market stands still; without, another process does
    that. Raises Rejected for a folder that cannot be replayed; then nothing was configured.
    """
    if data is not None:
        return _made_market(RECORDED, _recorded_symbols(data), data, speed, run=run)
    simulated = venue_symbols(settings.ASSETS)
    if settings.MARKET == "simulated" or speed is not None:
        return _made_market(SIMULATED, simulated, None, speed, run=run)
    silent = venue_reachable(settings.VENUE, AUTO_SECONDS) if settings.MARKET == "auto" else None
    if silent is None:
        return _live_market(settings.VENUE, run=run)
    note = f"Because {settings.VENUE} was not reached within {AUTO_SECONDS:g} s at {now():%F %H:%M} UTC: {silent}"
    return _made_market(SIMULATED, simulated, None, speed, run=run, note=note)


def _made_market(
    venue: str, symbols: tuple[str, ...], data: Path | None, speed: float | None, *, run: bool, note: str = ""
) -> Market:
    known = Feed.objects.filter(venue=venue).first()
    kind = Feed.Kind.SIMULATED if data is None else Feed.Kind.RECORDED
    pace = speed or (known.speed if known else USUAL_SPEED[venue])
    _refuse_clock_back(known, pace)
    feed_configure(venue=venue, kind=kind, source=data or "", speed=pace)
    feed_note(venue=venue, note=note)
    if run:
        _run_only(venue)
    feed_advance(venue=venue)
    return Market(feed_of(venue), symbols, base_interval(venue))


def _live_market(venue: str, *, run: bool) -> Market:
    """Return the market of live prices, also of a venue that does not answer: then everything holds until it does."""
    live_open(venue=venue)
    if run:
        _run_only(venue)
    feed = feed_of(venue)
    symbols = wanted_symbols(venue, settings.ASSETS) or venue_symbols(settings.ASSETS)
    return Market(feed, tuple(symbols), feed.interval)


def feed_runner(market: Market) -> FeedRunner:
    """Return the thread that moves the market."""
    return FeedRunner(market.feed.venue)


def tables_prepare() -> None:
    """Bring the tables to the present version and install what is part of the program."""
    call_command("migrate", interactive=False, verbosity=0)
    prompt_template_install()
    system_schedules_install()


def user_streams() -> UserStreams:
    """Return the threads that listen to what venues tell of live accounts."""
    return UserStreams()


def jobs() -> Jobs:
    """Return what people asked for over the API and this process works on: what lowers risk gets its seconds at the end."""
    return Jobs()


def scheduler() -> Scheduler:
    """Return worker and beat, which begin once the books have been compared with the exchange."""
    return Scheduler(app, prepare=books_prepare)


def demo_prepare(market: Market) -> Demo:
    """Return the paper account's bot of this market, made and started when the market has no account yet."""
    venue = market.feed.venue
    account = Account.objects.filter(on_market(venue), mode=Account.Mode.PAPER).order_by("pk").first()
    bot = account.bots.order_by("pk").first() if account else None
    if account and bot:
        return Demo(_with_candles(bot, market.base), account.owner.email)
    with transaction.atomic():
        owner, password = (account.owner, None) if account else _operator()
        account = account or _first_account(owner, venue)
        bot = _first_bot(account, market.symbols, at_least(settings.INTERVAL, market.base))
        schedule.bot_start(bot=bot, actor=None, reason="the first start of this market")
    return Demo(bot, owner.email, password)


def books_prepare() -> None:
    """Ask the exchange what became of everything that was open when the last process ended.

    An account that cannot be compared becomes an incident and holds up nobody. Only for the one process that runs
    cycles: one that is still marked as running cannot be.
    """
    cycles_abandon()
    for account_id in schedule.accounts_to_reconcile():
        try:
            account_reconcile(account_id=account_id, trigger="start")
        except VibexError as fault:
            log.warning("account %s could not be reconciled at the start: %s", account_id, fault)
            _hold(account_id, str(fault))
        except Exception:
            log.exception("account %s could not be reconciled at the start", account_id)
            _hold(account_id, "an error, see the log")


def _run_only(venue: str) -> None:
    for other in Feed.objects.exclude(venue=venue).filter(running=True):
        feed_start(venue=other.venue)  # back to its last write: it did not run while nobody wrote
        feed_stop(venue=other.venue)
    feed_start(venue=venue)


def _recorded_symbols(folder: Path) -> tuple[str, ...]:
    """Return those of ASSETS that were recorded. Raises Rejected when there is none."""
    recorded = list_folder(folder)
    symbols = tuple(symbol for symbol in venue_symbols(settings.ASSETS) if symbol in recorded)
    if not symbols:
        assets, there = ",".join(settings.ASSETS), ", ".join(sorted(recorded))
        raise Rejected(f"{folder} has no candles of ASSETS={assets}, only of {there}: set ASSETS to some of them.")
    return symbols


def _refuse_clock_back(known: Feed | None, pace: float) -> None:
    """A simulated market that was hurried is ahead of the clock: at speed 1 its time would jump back."""
    if known and known.kind == Feed.Kind.SIMULATED and pace == 1 != known.speed and clock_of(known).now() > now():
        raise Rejected(
            f"The simulated market of this data folder is ahead of the clock, at {known.market_at:%F %H:%M} UTC. "
            "Give it a --speed other than 1, or choose another folder with VIBEX_DATA_DIR.",
            code="clock_back",
        )


def _operator() -> tuple[User, str | None]:
    """Return the demo operator, and the password when the operator was made just now."""
    known = User.objects.filter(email=OPERATOR).first()
    if known:
        return known, None
    password = password_generate()
    return user_create(email=OPERATOR, password=password, operator=True), password


def _first_account(owner: User, market: str) -> Account:
    network = Account.Network.TESTNET if market.endswith(TESTNET) else Account.Network.MAINNET
    name = ACCOUNT_NAMES.get(market, f"{market}-paper")
    return account_create(owner=owner, name=name, venue=market.removesuffix(TESTNET), network=network)


def _first_bot(account: Account, symbols: tuple[str, ...], interval: str) -> Bot:
    model = default_model()
    return bot_create(
        account=account,
        name="first",
        model=model,
        symbols=symbols,
        interval=interval,
        timeframes=timeframes_for(interval),
    )


def _with_candles(bot: Bot, base: str) -> Bot:
    """Let a bot of an earlier recording decide no faster than this one has candles."""
    interval = at_least(bot.interval, base)
    if interval == bot.interval:
        return bot
    return schedule.bot_interval_change(bot=bot, interval=interval, actor=None, reason=f"the candles are of {base}")


def _hold(account_id: int, why: str) -> None:
    account = Account.objects.get(pk=account_id)
    incident_open(account=account, kind="reconcile-failed", text=f"Not compared with the exchange at the start: {why}")
