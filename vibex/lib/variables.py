"""Every environment variable that Vibex reads, declared once: type, default, help, example.

Validation at start, `.env.example` and the table of `docs/configuration.md` are all made from this module.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from vibex.lib.account_keys import GivenKeys, Whose
from vibex.lib.parsers import (
    address,
    assets,
    levels,
    log_level,
    number,
    one_of,
    one_word,
    path,
    postgres_url,
    private_key,
    text,
    url,
    yes_or_no,
)
from vibex.lib.variable import Variable, variable
from vibex.lib.variables_watch import WatchVariables

INTERVALS = ("3m", "5m", "15m", "1h", "4h", "1d")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Environment(WatchVariables):
    """The validated environment. Variables that are not set are None."""

    DATABASE_URL: str | None = variable(
        postgres_url,
        "PostgreSQL. Unset: SQLite in the data folder.",
        example="postgres://trading_user:password@127.0.0.1:5432/trading_db",
        secret=True,
        section="Services",
    )
    REDIS_URL: str | None = variable(
        url("redis", "rediss"),
        "Redis for tasks, streams and cache, when several processes run. Unset: all in one process.",
        example="redis://127.0.0.1:6379/0",
        secret=True,
        section="Services",
    )
    ALLOW_SQLITE_IN_PRODUCTION: bool = variable(
        yes_or_no,
        "The explicit yes without which production does not start on SQLite.",
        default="no",
        example="yes",
        section="Services",
    )
    ASSETS: tuple[str, ...] = variable(
        assets, "What the first bot trades.", default="BTC,ETH,SOL", example="BTC,ETH,SOL", section="Trading"
    )
    INTERVAL: str = variable(
        one_of(*INTERVALS), "How often the first bot decides.", default="3m", example="3m", section="Trading"
    )
    MARKET: str = variable(
        one_of("auto", "live", "simulated"),
        "Prices that `up` trades on; auto: live ones when the venue answers within 2 s, else simulated ones.",
        default={"dev": "auto", "test": "simulated", "prod": "auto"},
        example="live",
        section="Market data",
    )
    VENUE: str = variable(
        one_of("aster", "binance_usdm", "hyperliquid", "aster_testnet", "binance_usdm_testnet", "hyperliquid_testnet"),
        "Venue of live prices. All but AsterDEX and its testnet need the extra ccxt.",
        default="aster",
        example="aster",
        section="Market data",
    )
    ASTERDEX_REST_URL: str = variable(
        url("https", "http"),
        "Address of AsterDEX, or of a compatible server.",
        default="https://fapi.asterdex.com",
        example="http://127.0.0.1:8089",
        section="Market data",
    )
    ASTERDEX_STREAM_URL: str = variable(
        url("wss", "ws"),
        "Address of AsterDEX's streams, or of a compatible server's.",
        default="wss://fstream.asterdex.com",
        example="ws://127.0.0.1:8089",
        section="Market data",
    )
    ASTERDEX_TESTNET_REST_URL: str = variable(
        url("https", "http"),
        "Address of AsterDEX's testnet, for accounts on it.",
        default="https://fapi.asterdex-testnet.com",
        example="http://127.0.0.1:8089",
        section="Market data",
    )
    ASTERDEX_TESTNET_STREAM_URL: str = variable(
        url("wss", "ws"),
        "Address of the streams of AsterDEX's testnet.",
        default="wss://fstream.asterdex-testnet.com",
        example="ws://127.0.0.1:8089",
        section="Market data",
    )
    TRADITIONAL_PERPS: bool = variable(
        yes_or_no,
        "Take in perpetuals on stocks, funds, metals and currencies too. They rest when their exchanges do.",
        default="no",
        example="yes",
        section="Market data",
    )
    OPENROUTER_API_KEY: str | None = variable(
        text, "Key of OpenRouter. Unset: rules decide.", example="your-key", secret=True, section="Models"
    )
    LLM_BASE_URL: str | None = variable(
        url("https", "http"),
        "Address of any OpenAI-compatible server, instead of OpenRouter.",
        example="http://127.0.0.1:11434/v1",
        section="Models",
    )
    LLM_API_KEY: str | None = variable(
        text, "Key of the server at LLM_BASE_URL, if it wants one.", example="your-key", secret=True, section="Models"
    )
    LLM_MODEL: str | None = variable(
        text, "Model the first bot asks.", example="deepseek/deepseek-v4-flash", section="Models"
    )
    OPENAI_API_KEY: str | None = variable(
        text, "Key of OpenAI, for bots that ask openai/<model>.", example="your-key", secret=True, section="Models"
    )
    ANTHROPIC_API_KEY: str | None = variable(
        text, "Key of Anthropic, for anthropic/<model>.", example="your-key", secret=True, section="Models"
    )
    DEEPSEEK_API_KEY: str | None = variable(
        text, "Key of DeepSeek, for deepseek/<model>.", example="your-key", secret=True, section="Models"
    )
    XAI_API_KEY: str | None = variable(
        text, "Key of xAI, for xai/<model>.", example="your-key", secret=True, section="Models"
    )
    GEMINI_API_KEY: str | None = variable(
        text, "Key of the Gemini API, for gemini/<model>.", example="your-key", secret=True, section="Models"
    )
    LLM_REQUESTS_PER_MINUTE: int = variable(
        number(1, 100_000),
        "Requests a minute to one model with one key, over all processes. A provider's own figure goes first.",
        default="50",
        example="200",
        section="Models",
    )
    LLM_AT_ONCE: int = variable(
        number(1, 10_000),
        "Requests to one provider that may be under way at once, over all processes.",
        default="64",
        example="16",
        section="Models",
    )
    LLM_REPLY_CACHE: bool = variable(
        yes_or_no,
        "Answer equal prompts from the data folder instead of asking again, for development. Refused in production.",
        default="no",
        example="yes",
        section="Models",
    )
    ASTERDEX_USER: str | None = variable(
        address,
        "Address of the main wallet, for keys of AsterDEX's V3. As the four below, for a single live account there.",
        example="0x1111111111111111111111111111111111111111",
        by_file=True,
        section="Exchange",
    )
    ASTERDEX_SIGNER: str | None = variable(
        address,
        "Address of the API wallet that signs.",
        example="0x2222222222222222222222222222222222222222",
        by_file=True,
        section="Exchange",
    )
    ASTERDEX_PRIVATE_KEY: str | None = variable(
        private_key,
        "Private key of the API wallet.",
        example="0x" + 32 * "33",
        secret=True,
        section="Exchange",
    )
    ASTERDEX_API_KEY: str | None = variable(
        one_word,
        "Key of AsterDEX's older V1, instead of the three above.",
        example="your-key",
        secret=True,
        section="Exchange",
    )
    ASTERDEX_API_SECRET: str | None = variable(
        one_word, "Secret that belongs to it.", example="your-secret", secret=True, section="Exchange"
    )
    ASTERDEX_TRANSPORT: str = variable(
        one_of("own", "connector"),
        "What carries the requests of AsterDEX accounts with key and secret; connector: aster-connector-python, installed by you.",
        default="own",
        example="connector",
        section="Exchange",
    )
    LIVE_GATE_DAYS: int = variable(
        number(1, 3_650),
        "Days that an account has to trade on paper before real money.",
        default="14",
        example="30",
        section="Exchange",
    )
    LIVE_GATE_DECISIONS: int = variable(
        number(1, 1_000_000),
        "Decisions that an account has to make on paper before real money.",
        default="50",
        example="200",
        section="Exchange",
    )
    FEATURE_REGISTRATION: bool = variable(
        yes_or_no, "People may sign up by themselves.", default="no", example="yes", section="Features"
    )
    FEATURE_LIVE_TRADING: bool = variable(
        yes_or_no, "Live accounts may trade.", default="no", example="yes", section="Features"
    )
    FEATURE_ENSEMBLE: bool = variable(
        yes_or_no, "Several models may decide together.", default="no", example="yes", section="Features"
    )
    FEATURE_EXTERNAL_TEXT: bool = variable(
        yes_or_no, "News and other foreign text may enter prompts.", default="no", example="yes", section="Features"
    )
    LOG_LEVEL: int = variable(
        log_level,
        "Lowest level that is written.",
        default={"dev": "DEBUG", "test": "ERROR", "prod": "ERROR"},
        example="INFO",
        section="Logging",
    )
    LOG_LEVELS: dict[str, str] = variable(
        levels, "Levels of single modules.", default="", example="trading=DEBUG,decisions.llm=INFO", section="Logging"
    )
    LOG_FILES: str = variable(
        one_of("auto", "yes", "no"),
        "Log files beside standard output; auto: when the server runs as one process.",
        default="auto",
        example="no",
        section="Logging",
    )
    VIBEX_LOG_DIR: Path = variable(
        path, "Folder of the log files.", default="logs", example="/var/log/vibex", section="Logging"
    )
    LOG_MAX_TOTAL_MB: int = variable(
        number(10, 1_000_000),
        "Most space all log files may take together; the oldest go first.",
        default="1000",
        example="500",
        section="Logging",
    )
    ACCOUNT_KEYS: Mapping[Whose, GivenKeys] = field(default_factory=dict)
    """Keys of live accounts, by venue and by what the names of the variables end with (`vibex.lib.account_keys`)."""
    MODEL_KEYS: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Keys of model servers without a variable of their own, by what the names of the variables end with: GROQ."""


VARIABLES: dict[str, Variable] = {
    declared.name: declared.metadata["variable"] for declared in fields(Environment) if "variable" in declared.metadata
}


@dataclass(frozen=True, slots=True)
class Features:
    """What is switched on. Everything is off until the operator says otherwise."""

    registration: bool = False
    live_trading: bool = False
    ensemble: bool = False
    external_text: bool = False


def features_of(environment: Environment) -> Features:
    return Features(
        registration=environment.FEATURE_REGISTRATION,
        live_trading=environment.FEATURE_LIVE_TRADING,
        ensemble=environment.FEATURE_ENSEMBLE,
        external_text=environment.FEATURE_EXTERNAL_TEXT,
    )


def venue_symbols(assets: tuple[str, ...], quote: str = "USDT") -> tuple[str, ...]:
    """Return the venue's symbols of the assets: BTC becomes BTCUSDT."""
    return tuple(f"{asset}{quote}" for asset in assets)
