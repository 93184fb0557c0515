"""The variables that say where an installation keeps itself, how it is reached, and what the API lets through."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vibex.lib.parsers import host, hosts, number, one_of, origins, path, rate, sealing_keys, text, url, yes_or_no
from vibex.lib.variable import variable

type EnvironmentName = Literal["dev", "test", "prod"]

ENVIRONMENTS = ("dev", "test", "prod")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ReachVariables:
    """General, server and API."""

    VIBEX_ENV: EnvironmentName = variable(
        one_of(*ENVIRONMENTS),
        "Which settings apply: development, tests or production.",
        default="dev",
        example="prod",
        section="General",
    )
    DEBUG: bool = variable(
        yes_or_no,
        "Error pages with details. Refused in production.",
        default="no",
        example="yes",
        section="General",
    )
    SECRET_KEY: str | None = variable(
        text,
        "Signs sign-ins and tokens. Outside production one is generated into the data folder when unset.",
        example="50-or-more-random-characters",
        secret=True,
        section="General",
    )
    CREDENTIALS_KEY: str | None = variable(
        sealing_keys,
        "Seals the keys of live accounts in the database: one key or several, newest first; the first one seals, all "
        "open. Must be given in production; elsewhere one is generated into the data folder when unset.",
        example="VGhpcy1rZXktaXMtYW4tZXhhbXBsZS1ub3QtYS1rZXk=",
        secret=True,
        section="General",
    )
    VIBEX_DATA_DIR: Path = variable(
        path,
        "Folder of everything a running installation keeps: database file, reply cache, backups.",
        default="data",
        example="data",
        section="General",
    )
    VIBEX_SHARED_DATA: Path = variable(
        path,
        "Folder of recorded candles and payloads for replays, backtests and tests.",
        default="../shared/data",
        example="../shared/data",
        section="General",
    )
    API_HOST: str = variable(
        host,
        "Address the server listens on; 0.0.0.0 in a container.",
        default="127.0.0.1",
        example="127.0.0.1",
        section="Server",
    )
    API_PORT: int = variable(
        number(1, 65535), "Port the server listens on.", default="3000", example="3000", section="Server"
    )
    WEB_PROCESSES: int = variable(
        number(1, 64),
        "Processes of `manage.py web` that serve pages, API and streams.",
        default="4",
        example="2",
        section="Server",
    )
    CYCLE_THREADS: int = variable(
        number(1, 1024),
        "Decisions that a worker of the queue `cycles` has under way at once; each waits for its model in a thread of its own.",
        default="32",
        example="256",
        section="Server",
    )
    ALLOWED_HOSTS: tuple[str, ...] = variable(
        hosts,
        "Host names under which the pages may be opened. Must be given in production, without wildcards.",
        default={"dev": "localhost,127.0.0.1,[::1]", "test": "localhost,127.0.0.1,[::1],testserver", "prod": ""},
        example="vibex.example.com",
        section="Server",
    )
    CSRF_TRUSTED_ORIGINS: tuple[str, ...] = variable(
        origins,
        "Origins that may post forms, with scheme, when a proxy changes the host.",
        default="",
        example="https://vibex.example.com",
        section="Server",
    )
    HTTPS: bool = variable(
        yes_or_no,
        "A TLS proxy that sets X-Forwarded-Proto stands in front: cookies for HTTPS only, plain HTTP is redirected.",
        default={"dev": "no", "test": "no", "prod": "yes"},
        example="yes",
        section="Server",
    )
    PUBLIC_URL: str | None = variable(
        url("https", "http"),
        "Address under which people open the pages, for the links in alerts. Unset: alerts carry none.",
        example="https://vibex.example.com",
        section="Server",
    )
    CORS_ALLOWED_ORIGINS: tuple[str, ...] = variable(
        origins,
        "Other origins whose pages may call the API from a browser. Unset: none.",
        default="",
        example="https://desk.example.com",
        section="API",
    )
    API_DOCS: bool = variable(
        yes_or_no,
        "Schema and interactive documentation of the API, open to everybody.",
        default={"dev": "yes", "test": "yes", "prod": "no"},
        example="yes",
        section="API",
    )
    API_RATE_ADDRESS: tuple[int, int] = variable(
        rate,
        "Calls that one address may make without being signed in.",
        default="60/min",
        example="30/min",
        section="API",
    )
    API_RATE_USER: tuple[int, int] = variable(
        rate,
        "Calls that one person may make, by all ways together.",
        default="1200/min",
        example="600/min",
        section="API",
    )
    API_RATE_KEY: tuple[int, int] = variable(
        rate, "Calls that one key may make.", default="600/min", example="300/min", section="API"
    )
    API_RATE_TRADE: tuple[int, int] = variable(
        rate,
        "Calls of one person that act on money; those that lower risk have as many again for themselves.",
        default="60/min",
        example="30/min",
        section="API",
    )
    API_RATE_ADMIN: tuple[int, int] = variable(
        rate,
        "Calls of one person that change accounts, bots, limits or keys.",
        default="60/min",
        example="30/min",
        section="API",
    )
    SIGN_IN_RATE: tuple[int, int] = variable(
        rate,
        "Attempts to sign in, or to have a password reset, from one address and for one person.",
        default="10/min",
        example="5/min",
        section="API",
    )
    API_MAX_BODY_KB: int = variable(
        number(16, 10_240), "Largest body that a call may have.", default="256", example="128", section="API"
    )
    CONFIRM_MINUTES: int = variable(
        number(1, 1_440),
        "How long second factor or password, given once, open what acts on real money.",
        default="15",
        example="5",
        section="API",
    )
    EMAIL_URL: str | None = variable(
        url("smtp", "smtps", "smtp+tls"),
        "Server that sends mail for passwords that were forgotten. Unset: only `manage.py reset_password` resets one.",
        example="smtp+tls://user:password@mail.example.com:587",
        secret=True,
        section="API",
    )
    EMAIL_FROM: str = variable(
        text, "Sender of that mail.", default="vibex@localhost", example="vibex@example.com", section="API"
    )
