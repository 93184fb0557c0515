"""What the dashboards show, as data: pages of rows of panels. `make_dashboards.py` beside this makes Grafana's JSON of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

type Kind = Literal["stat", "lines", "bars", "table", "logs"]


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: queries with what each line is called. Widths are of 24."""

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: Kind = "lines"
    width: int = 8
    text: str = ""
    bad_above: float | None = None
    """From here on it is red."""
    bad_below: float | None = None
    """Under this it is red."""


@dataclass(frozen=True, slots=True)
class Page:
    uid: str
    title: str
    text: str
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]
    by_account: bool = False
    """Whether accounts can be chosen."""


def lines(title: str, *queries: tuple[str, str], unit: str = "short", **more: object) -> Panel:
    return Panel(title, queries, unit, **more)  # type: ignore[arg-type]


def stat(title: str, query: str, unit: str = "short", **more: object) -> Panel:
    return Panel(title, ((query, ""),), unit, "stat", **{"width": 4, **more})  # type: ignore[arg-type]


ACCOUNT: Final = 'name=~"$account"'
NAMED: Final = "{{name}} ({{mode}})"

OVERVIEW: Final = Page(
    "vibex-overview",
    "Vibex: overview",
    "Is it there, is it safe, what is wrong.",
    (
        (
            "Is it there",
            (
                stat(
                    "Availability, 30 days",
                    "installation:vibex_availability:ratio_30d",
                    "percentunit",
                    bad_below=0.99,
                    text="The lower of two shares: minutes in which it was ready, and due cycles that went through in time. The objective is 99 %.",
                ),
                stat("Ready now", "installation:vibex_ready:min", "bool_yes_no", bad_below=1),
                stat(
                    "Allowance left",
                    "1 - (1 - installation:vibex_availability:ratio_30d) / 0.01",
                    "percentunit",
                    bad_below=0.1,
                    text="Of the one per cent of 30 days that may be missed.",
                ),
                stat("Unprotected positions", "sum(vibex_positions_unprotected)", bad_above=1),
                stat("Critical incidents", 'sum(vibex_incidents_open{severity="critical"}) or vector(0)', bad_above=1),
                stat("Halted accounts", "vibex_halts", bad_above=1),
                lines(
                    "Share of minutes that were not ready",
                    ("installation:vibex_unready:ratio_1h", "1 h"),
                    ("installation:vibex_unready:ratio_6h", "6 h"),
                    ("installation:vibex_unready:ratio_3d", "3 d"),
                    unit="percentunit",
                    bad_above=0.01,
                ),
                lines(
                    "Share of cycles that did not go through in time",
                    ("installation:vibex_cycles_bad:ratio_1h", "1 h"),
                    ("installation:vibex_cycles_bad:ratio_6h", "6 h"),
                    ("installation:vibex_cycles_bad:ratio_3d", "3 d"),
                    unit="percentunit",
                    bad_above=0.01,
                ),
                lines("What ready is made of", ("vibex_check", "{{check}}"), unit="bool_yes_no"),
            ),
        ),
        (
            "Is it safe",
            (
                lines(
                    "Since the guard looked",
                    ("max by (mode) (vibex_protection_age_seconds)", "{{mode}}"),
                    unit="s",
                    bad_above=120,
                ),
                lines(
                    "Since the exchange was read",
                    ("max by (mode) (vibex_exchange_read_age_seconds)", "{{mode}}"),
                    unit="s",
                    bad_above=1200,
                ),
                lines(
                    "Differences between books and exchange",
                    ("sum by (mode) (vibex_reconcile_differences)", "{{mode}}"),
                    bad_above=1,
                ),
                lines(
                    "Orders without a known fate",
                    ('sum by (role) (vibex_orders_open{state=~"sending|unknown"})', "{{role}}"),
                    bad_above=1,
                ),
                lines("Open incidents", ("sum by (kind, severity) (vibex_incidents_open)", "{{kind}} ({{severity}})")),
                lines("Late", ("vibex_late", "{{subject}}"), bad_above=1),
            ),
        ),
        (
            "What it does",
            (
                lines(
                    "Cycles a minute, by how they ended",
                    ("sum by (status) (rate(vibex_cycles_total[5m])) * 60", "{{status}}"),
                    kind="bars",
                ),
                lines("Equity", ("sum by (mode) (vibex_account_equity)", "{{mode}}"), unit="currencyUSD"),
                lines("Bots", ("vibex_bots", "{{status}}")),
            ),
        ),
        ("Alerts that are firing", (Panel("Alerts", (('ALERTS{alertstate="firing"}', ""),), kind="table", width=24),)),
        ("Log", (Panel("Errors", (('{job="vibex", level=~"error|critical"}', ""),), kind="logs", width=24),)),
    ),
)

TRADING: Final = Page(
    "vibex-trading",
    "Vibex: trading",
    "Money, orders, protection and books of accounts.",
    (
        (
            "Accounts",
            (
                lines("Equity", (f"vibex_account_equity{{{ACCOUNT}}}", NAMED), unit="currencyUSD", width=12),
                lines(
                    "Below the peak",
                    (f"vibex_account_drawdown_ratio{{{ACCOUNT}}}", NAMED),
                    unit="percentunit",
                    width=12,
                ),
                lines(
                    "Share of the drawdown that is used",
                    (f"account:vibex_account_drawdown:used_ratio{{{ACCOUNT}}}", NAMED),
                    unit="percentunit",
                    bad_above=0.8,
                ),
                lines(
                    "Share of the loss of a day that is used",
                    (f"account:vibex_account_day_loss:used_ratio{{{ACCOUNT}}}", NAMED),
                    unit="percentunit",
                    bad_above=0.8,
                ),
                lines("Barred by a lock", (f"vibex_account_locked{{{ACCOUNT}}}", NAMED), unit="bool_yes_no"),
                lines("Open positions", (f"vibex_positions_open{{{ACCOUNT}}}", NAMED)),
                lines(
                    "Open positions without a stop", (f"vibex_positions_unprotected{{{ACCOUNT}}}", NAMED), bad_above=1
                ),
                lines(
                    "Since the guard looked",
                    (f"vibex_protection_age_seconds{{{ACCOUNT}}}", NAMED),
                    unit="s",
                    bad_above=120,
                ),
                Panel("States", (("sum by (state, mode) (vibex_accounts)", ""),), kind="table"),
                lines(
                    "Events of the venue are heard", (f"vibex_user_stream_up{{{ACCOUNT}}}", NAMED), unit="bool_yes_no"
                ),
                lines("Entries that wait for a person", ("vibex_approvals_awaiting", "waiting")),
            ),
        ),
        (
            "Decisions and orders",
            (
                lines(
                    "Proposals a minute",
                    ("sum by (action, verdict) (rate(vibex_decisions_total[5m])) * 60", "{{action}}: {{verdict}}"),
                    kind="bars",
                    width=12,
                ),
                lines(
                    "Rules that refused or reduced, in an hour",
                    ("topk(12, sum by (rule) (increase(vibex_rule_hits_total[1h])))", "{{rule}}"),
                    kind="bars",
                    width=12,
                ),
                lines("Orders an hour", ("sum by (role) (increase(vibex_orders_total[1h]))", "{{role}}"), kind="bars"),
                lines(
                    "Refused, an hour",
                    ("sum by (role, by) (increase(vibex_order_rejections_total[1h]))", "{{role}} by {{by}}"),
                    kind="bars",
                ),
                lines(
                    "Without an answer, an hour",
                    ("sum by (role) (increase(vibex_orders_unknown_total[1h]))", "{{role}}"),
                    kind="bars",
                ),
                lines("Orders that are not over", ("sum by (role, state) (vibex_orders_open)", "{{role}} {{state}}")),
                lines(
                    "Worse than wanted, mean of an hour",
                    ("mode:vibex_slippage_ratio:mean_1h", "{{mode}} {{role}}"),
                    unit="percentunit",
                ),
                lines(
                    "Worse than wanted, 95th percentile of a day",
                    (
                        "histogram_quantile(0.95, sum by (mode, role, le) (rate(vibex_slippage_ratio_bucket[1d])))",
                        "{{mode}} {{role}}",
                    ),
                    unit="percentunit",
                ),
                lines(
                    "Fills an hour",
                    ("sum by (mode, role) (increase(vibex_fills_total[1h]))", "{{mode}} {{role}}"),
                    kind="bars",
                ),
                lines(
                    "Turnover of an hour",
                    ("sum by (mode) (increase(vibex_turnover_total[1h]))", "{{mode}}"),
                    unit="currencyUSD",
                    kind="bars",
                ),
                lines(
                    "Fees of an hour",
                    ("sum by (mode) (increase(vibex_fees_total[1h]))", "{{mode}}"),
                    unit="currencyUSD",
                    kind="bars",
                ),
            ),
        ),
        (
            "Books",
            (
                lines(
                    "Comparisons an hour",
                    ("sum by (result) (increase(vibex_reconciliations_total[1h]))", "{{result}}"),
                    kind="bars",
                ),
                lines(
                    "Differences: mended and left",
                    ("increase(vibex_reconcile_mended_total[1h])", "mended"),
                    ("increase(vibex_reconcile_left_total[1h])", "left"),
                ),
                lines(
                    "What the newest comparison left", (f"vibex_reconcile_differences{{{ACCOUNT}}}", NAMED), bad_above=1
                ),
                lines(
                    "Incidents opened, an hour",
                    ("sum by (kind, severity) (increase(vibex_incidents_total[1h]))", "{{kind}} ({{severity}})"),
                    kind="bars",
                    width=12,
                ),
                lines("Halts without proof", ("vibex_halts_unproved", "unproved"), bad_above=1, width=12),
            ),
        ),
    ),
    by_account=True,
)

MODELS: Final = Page(
    "vibex-models",
    "Vibex: models",
    "What models answer, how long they take, what they cost.",
    (
        (
            "Answers",
            (
                lines(
                    "Answers a minute",
                    ("sum by (model, outcome) (rate(vibex_model_calls_total[5m])) * 60", "{{model}}: {{outcome}}"),
                    kind="bars",
                    width=12,
                ),
                lines(
                    "Share without a usable answer",
                    ("model:vibex_model_calls_failed:ratio_15m", "{{model}}"),
                    unit="percentunit",
                    width=12,
                    bad_above=0.5,
                ),
                lines("Median", ("model:vibex_model_seconds:p50_15m", "{{model}}"), unit="s"),
                lines("95th percentile", ("model:vibex_model_seconds:p95_15m", "{{model}}"), unit="s", bad_above=25),
                lines(
                    "Answers by what they were for, an hour",
                    ('sum by (purpose) (increase(vibex_model_calls_total{outcome!="late"}[1h]))', "{{purpose}}"),
                    kind="bars",
                ),
            ),
        ),
        (
            "Money",
            (
                lines(
                    "US dollars an hour",
                    ("sum by (model) (increase(vibex_model_cost_usd_total[1h]))", "{{model}}"),
                    unit="currencyUSD",
                    kind="bars",
                ),
                lines(
                    "Tokens an hour",
                    ("sum by (model, kind) (increase(vibex_model_tokens_total[1h]))", "{{model}}: {{kind}}"),
                    kind="bars",
                ),
                lines(
                    "Dollars an answer",
                    (
                        'sum by (model) (increase(vibex_model_cost_usd_total[1h])) / (sum by (model) (increase(vibex_model_calls_total{outcome!="late"}[1h])) > 0)',
                        "{{model}}",
                    ),
                    unit="currencyUSD",
                ),
                lines(
                    "Used today", ("vibex_model_spend_today_usd", "{{bot}} on {{name}}"), unit="currencyUSD", width=12
                ),
                lines(
                    "Share of the money of today that is used",
                    ("bot:vibex_model_budget:used_ratio", "{{bot}} on {{name}}"),
                    unit="percentunit",
                    width=12,
                    bad_above=0.9,
                ),
            ),
        ),
    ),
)

INFRASTRUCTURE: Final = Page(
    "vibex-infrastructure",
    "Vibex: infrastructure",
    "Cycles, queues, markets, backups.",
    (
        (
            "Cycles",
            (
                lines(
                    "Steps, 95th percentile",
                    ("stage:vibex_cycle_stage_seconds:p95_15m", "{{stage}}"),
                    unit="s",
                    width=12,
                ),
                lines(
                    "Whole cycle",
                    ("histogram_quantile(0.5, sum by (le) (rate(vibex_cycle_seconds_bucket[15m])))", "median"),
                    (
                        "histogram_quantile(0.95, sum by (le) (rate(vibex_cycle_seconds_bucket[15m])))",
                        "95th percentile",
                    ),
                    unit="s",
                    width=12,
                ),
                lines(
                    "Running", ("vibex_cycles_running", "running"), ("vibex_cycles_lease_overdue", "past their lease")
                ),
                lines("Oldest running cycle", ("vibex_cycle_oldest_seconds", "oldest"), unit="s", bad_above=90),
                lines("Since a task ran", ("vibex_scheduler_age_seconds", "heartbeat"), unit="s", bad_above=60),
            ),
        ),
        (
            "Queues and streams",
            (
                lines("Tasks that wait", ("vibex_queue_tasks", "{{queue}}"), bad_above=100),
                lines("Open WebSocket connections", ("vibex_websocket_clients", "clients")),
                lines("Messages to people", ("vibex_alert_deliveries", "{{state}}")),
            ),
        ),
        (
            "Markets",
            (
                lines("Age of prices", ("vibex_feed_age_seconds", "{{venue}}"), unit="s", bad_above=60),
                lines("Feeds without a complaint", ("vibex_feed_well", "{{venue}}"), unit="bool_yes_no"),
                lines(
                    "Requests of a minute that are used",
                    ("vibex_venue_weight_ratio", "{{host}}"),
                    unit="percentunit",
                    bad_above=0.7,
                ),
                lines("Hosts that are not asked", ("vibex_venue_blocked", "{{host}}"), unit="bool_yes_no"),
                lines("Clock of the venue ahead of ours", ("vibex_venue_clock_offset_seconds", "{{venue}}"), unit="s"),
            ),
        ),
        (
            "Keeping",
            (
                stat("Newest backup", "vibex_backup_age_seconds", "s", bad_above=10_800),
                stat("There is a backup", "vibex_backup_present", "bool_yes_no", bad_below=1),
                stat("Room in the data folder", "vibex_disk_free_bytes", "bytes", bad_below=2e9),
                stat("Accounts not told one by one", "vibex_accounts_left_out", bad_above=1),
                stat("Reading the metrics", "vibex_metrics_seconds", "s", bad_above=1),
                Panel("What runs", (("vibex_build_info", ""),), kind="table", width=4),
                lines(
                    "Parts of the metrics that cannot be read", ("vibex_metrics_part_failed == 1", "{{part}}"), width=12
                ),
                lines(
                    "Prometheus reaches Vibex",
                    ('up{job="vibex"}', "{{instance}}"),
                    unit="bool_yes_no",
                    width=12,
                    bad_below=1,
                ),
            ),
        ),
    ),
)

PAGES: Final = (OVERVIEW, TRADING, MODELS, INFRASTRUCTURE)
