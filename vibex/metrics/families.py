"""Every metric: its name, what it means, its labels. The table of docs/monitoring.md is checked against this."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Final, Literal

from decisions.domain.proposal import Action, Verdict
from decisions.models import Cycle
from trading.models import Order
from trading.services.journal.base import Stage

type Kind = Literal["counter", "gauge", "histogram"]

PREFIX: Final = "vibex_"

MILLISECONDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
WAITS: Final = (0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0)
SHARES: Final = (0.0, 0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05)


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. Seconds, bytes, shares (0.01 is one per cent), or units of the account's quote asset."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    starts: tuple[tuple[str, ...], ...] = ()
    """Label values that are told as 0 before anything happened: an increase from nothing is one that is seen."""


def _counter(name: str, help: str, *labels: str, starts: tuple[tuple[str, ...], ...] = ()) -> Family:
    return Family(f"{PREFIX}{name}_total", "counter", help, labels, starts=starts if labels else ((),))


def _gauge(name: str, help: str, *labels: str) -> Family:
    return Family(f"{PREFIX}{name}", "gauge", help, labels)


def _histogram(
    name: str, help: str, buckets: tuple[float, ...], *labels: str, starts: tuple[tuple[str, ...], ...] = ()
) -> Family:
    return Family(f"{PREFIX}{name}", "histogram", help, labels, buckets, starts if labels else ((),))


def _each(*values: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Return every combination of label values, one set of them for each label."""
    return tuple(tuple(str(value) for value in each) for each in product(*values))


ENDS: Final = (
    Cycle.Status.DONE,
    Cycle.Status.AWAITING,
    Cycle.Status.FAILED,
    Cycle.Status.ABANDONED,
    Cycle.Status.SKIPPED,
)
MODES: Final = ("paper", "testnet", "live")
ROLES: Final = Order.Role.values
ACCOUNT: Final = ("account", "name", "mode")
"""Labels of what belongs to an account: its number, its name, and paper, testnet or live."""

# -- the installation ----------------------------------------------------------------------------------------------------

BUILD = _gauge("build_info", "Always 1; the labels say what runs.", "version", "environment", "database", "processes")
READY = _gauge("ready", "1 while /api/v1/health/ready/ says yes.")
CHECK = _gauge("check", "1 while one of the looks that make ready is right.", "check")
BEAT_AGE = _gauge("scheduler_age_seconds", "Since a worker ran the task that beat sends every ten seconds.")
QUEUE = _gauge("queue_tasks", "Tasks that wait for a worker; absent in one process.", "queue")
SOCKETS = _gauge("websocket_clients", "Open WebSocket connections, of all web processes.")
DISK = _gauge("disk_free_bytes", "Room in the data folder.")
BACKUP_AGE = _gauge("backup_age_seconds", "Since the newest whole backup was begun; absent before the first one.")
BACKUPS = _gauge("backup_present", "1 when there is a whole backup.")
BACKUPS_DUE = _gauge("backup_hourly", "1 where one is made each hour; 0 with BACKUP_HOURLY=no.")
PART_FAILED = _gauge("metrics_part_failed", "1 where a part of these metrics could not be read.", "part")
SCRAPE_SECONDS = _gauge("metrics_seconds", "How long reading all of this took.")

# -- cycles --------------------------------------------------------------------------------------------------------------

CYCLES = _counter("cycles", "Cycles that ended, by how.", "status", starts=_each(ENDS))
CYCLES_GOOD = _counter("cycles_in_time", "Of them: through all nine steps within the deadline of the bot and a minute.")
CYCLE_SECONDS = _histogram("cycle_seconds", "From the lease to the end of a cycle that ran.", WAITS)
STAGE_SECONDS = _histogram("cycle_stage_seconds", "Of one step.", MILLISECONDS, "stage", starts=_each(Stage))
RUNNING = _gauge("cycles_running", "Cycles that run now.")
OVERDUE = _gauge("cycles_lease_overdue", "Running cycles whose lease has run out: their process died, or hangs.")
OLDEST = _gauge("cycle_oldest_seconds", "Age of the oldest running cycle; 0 without one.")
BOTS = _gauge("bots", "Bots by status.", "status")
LATE = _gauge("late", "Services that are late: guards, decisions, leases, the scheduler, backups.", "subject")
APPROVALS = _gauge("approvals_awaiting", "Entries that wait for a person.")

# -- models --------------------------------------------------------------------------------------------------------------

CALLS = _counter("model_calls", "Answers of models, and what became of them.", "model", "purpose", "outcome")
CALL_SECONDS = _histogram("model_seconds", "From question to answer.", WAITS, "model")
TOKENS = _counter("model_tokens", "Tokens of prompts and replies.", "model", "kind")
COST = _counter("model_cost_usd", "US dollars: as told, else as estimated.", "model")
SPENT = _gauge("model_spend_today_usd", "US dollars that a running bot with a budget used today.", *ACCOUNT, "bot")
BUDGET = _gauge("model_budget_usd", "US dollars that it may use in a day.", *ACCOUNT, "bot")

# -- decisions and orders ------------------------------------------------------------------------------------------------

DECISIONS = _counter(
    "decisions", "Proposals of the live decider, ruled.", "action", "verdict", starts=_each(Action, (*Verdict, "none"))
)
RULES = _counter("rule_hits", "How often a rule refused or reduced.", "rule")
ORDERS = _counter("orders", "Orders that were planned.", "role", starts=_each(ROLES))
REJECTIONS = _counter(
    "order_rejections",
    "Orders that were refused, by our own checks or by the venue.",
    "role",
    "by",
    starts=_each(ROLES, ("us", "venue")),
)
UNKNOWNS = _counter("orders_unknown", "Orders whose answer never came.", "role", starts=_each(ROLES))
OPEN_ORDERS = _gauge("orders_open", "Orders that are not over.", "role", "state")
FILLS = _counter("fills", "Executions.", "mode", "role", starts=_each(MODES, ROLES))
TURNOVER = _counter("turnover", "Quantity × price of executions, in quote units.", "mode", starts=_each(MODES))
FEES = _counter("fees", "Fees paid, in their own asset.", "mode", starts=_each(MODES))
SLIPPAGE = _histogram(
    "slippage_ratio",
    "Share by which a fill was worse than the trigger (stop, target) or the price that the bot was shown (entry, close); 0 when better.",
    SHARES,
    "mode",
    "role",
    starts=_each(MODES, ROLES),
)

# -- protection and books ------------------------------------------------------------------------------------------------

POSITIONS = _gauge("positions_open", "Open positions.", *ACCOUNT)
UNPROTECTED = _gauge("positions_unprotected", "Open positions without a stop that stands at the exchange.", *ACCOUNT)
PROTECTION_AGE = _gauge(
    "protection_age_seconds",
    "Since the guard last looked after an account with open positions, or since it should.",
    *ACCOUNT,
)
READ_AGE = _gauge(
    "exchange_read_age_seconds",
    "Since the exchange of an account in play was read to the end, or should have been.",
    *ACCOUNT,
)
HEARS = _gauge("user_stream_up", "1 while the events of a live account are heard.", *ACCOUNT)
COMPARISONS = _counter(
    "reconciliations", "Comparisons of books and exchange.", "result", starts=(("agreed",), ("left",))
)
MENDED = _counter("reconcile_mended", "Differences that a comparison mended.")
LEFT = _counter("reconcile_left", "Differences that a comparison left for a person.")
DIFFERENCES = _gauge("reconcile_differences", "What the newest comparison of an account left for a person.", *ACCOUNT)
INCIDENTS = _counter("incidents", "Incidents that were opened.", "kind", "severity")
INCIDENTS_OPEN = _gauge("incidents_open", "Incidents that are open.", "kind", "severity")
HALTED = _gauge("halts", "Accounts that are halted.")
UNPROVED = _gauge("halts_unproved", "Halted accounts that are not proved to be flat.")
DELIVERIES = _gauge("alert_deliveries", "Messages to people that wait, are held back, or failed within a day.", "state")

# -- accounts ------------------------------------------------------------------------------------------------------------

ACCOUNTS = _gauge("accounts", "Accounts that are told here, by state.", "state", "mode")
LEFT_OUT = _gauge("accounts_left_out", "Accounts that are not told one by one here: there are more than the cap.")
EQUITY = _gauge("account_equity", "Wallet and unrealised, in quote units.", *ACCOUNT)
DRAWDOWN = _gauge("account_drawdown_ratio", "Share below its peak, net of transfers.", *ACCOUNT)
DRAWDOWN_LIMIT = _gauge("account_drawdown_limit_ratio", "Its limit.", *ACCOUNT)
DAY_LOSS = _gauge("account_day_loss_ratio", "Share lost since its day began; negative for a gain.", *ACCOUNT)
DAY_LOSS_LIMIT = _gauge("account_day_loss_limit_ratio", "Its limit.", *ACCOUNT)
STATE = _gauge("account_state", "1 for the state the account is in.", *ACCOUNT, "state")
LOCKED = _gauge("account_locked", "1 while a lock bars all entries.", *ACCOUNT)

# -- markets -------------------------------------------------------------------------------------------------------------

FEED_AGE = _gauge("feed_age_seconds", "Since a market that is switched on wrote prices.", "venue", "kind")
FEED_WELL = _gauge("feed_well", "1 while the feed has no complaint.", "venue", "kind")
CLOCK_OFFSET = _gauge("venue_clock_offset_seconds", "By which the venue's clock is ahead of ours.", "venue")
WEIGHT = _gauge("venue_weight_ratio", "Share of the requests of a minute that was used.", "host")
BLOCKED = _gauge("venue_blocked", "1 while a host is not asked, or only to close.", "host")

FAMILIES: Final[tuple[Family, ...]] = tuple(value for value in list(globals().values()) if isinstance(value, Family))
BY_NAME: Final[dict[str, Family]] = {family.name: family for family in FAMILIES}
