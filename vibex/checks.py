"""System checks: what `manage.py check` says about this installation. Ids are stable, hints tell what to do."""

import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.checks import Warning as Caution


@register
def installation(**_: Any) -> list[CheckMessage]:
    """Judge how the parts of this installation fit together."""
    return [
        *_debug_in_production(),
        *data_folder(),
        *log_folder(),
        *_live_on_sqlite(),
        *_live_with_debug(),
        *_processes_on_sqlite(),
        *_connector_missing(),
        *_testnet_is_real(),
    ]


def _debug_in_production() -> list[CheckMessage]:
    if not (settings.VIBEX_ENV == "prod" and settings.DEBUG):
        return []
    return [Error("Debug is on in production.", hint="Set DEBUG=no.", id="vibex.E001")]


def data_folder() -> list[CheckMessage]:
    folder = Path(settings.VIBEX_DATA_DIR)
    if _writable(folder):
        return []
    hint = "Give this user write access, or set VIBEX_DATA_DIR to another folder."
    return [Error(f"The data folder {folder} cannot be written.", hint=hint, id="vibex.E002")]


def log_folder() -> list[CheckMessage]:
    folder = Path(settings.VIBEX_LOG_DIR)
    if settings.LOG_FILES == "no" or (settings.LOG_FILES == "auto" and settings.REDIS_URL) or _writable(folder):
        return []
    hint = "Give this user write access, set VIBEX_LOG_DIR to another folder, or LOG_FILES=no."
    return [Caution(f"The log folder {folder} cannot be written.", hint=hint, id="vibex.W001")]


def _live_on_sqlite() -> list[CheckMessage]:
    if not (settings.FEATURES.live_trading and _sqlite()):
        return []
    hint = "Set DATABASE_URL to a PostgreSQL database: SQLite keeps 15 significant digits of an amount."
    return [Caution("Live trading runs on SQLite.", hint=hint, id="vibex.W002")]


def _live_with_debug() -> list[CheckMessage]:
    if not (settings.FEATURES.live_trading and settings.DEBUG):
        return []
    return [Error("Live trading runs with debug on.", hint="Set DEBUG=no.", id="vibex.E003")]


def _processes_on_sqlite() -> list[CheckMessage]:
    if not (settings.REDIS_URL and _sqlite()):
        return []
    hint = "Set DATABASE_URL too, or leave REDIS_URL out and run everything in one process."
    return [Caution("Several processes share one SQLite file.", hint=hint, id="vibex.W003")]


def _connector_missing() -> list[CheckMessage]:
    if settings.ASTERDEX_TRANSPORT != "connector":
        return []
    from trading.exchange.aster.connector import connector_problem

    problem = connector_problem()
    if problem is None:
        return []
    return [Error("AsterDEX's own library is asked for and cannot be used.", hint=problem, id="vibex.E004")]


def _testnet_is_real() -> list[CheckMessage]:
    from marketdata.services.venues import testnet_is_real

    if not testnet_is_real():
        return []
    hint = "Set ASTERDEX_TESTNET_REST_URL and ASTERDEX_TESTNET_STREAM_URL to those of the testnet, or leave them out."
    return [
        Error(
            "What is set for AsterDEX's testnet leads to its mainnet, where real money is.", hint=hint, id="vibex.E005"
        )
    ]


def _sqlite() -> bool:
    return not settings.DATABASE_URL


def _writable(folder: Path) -> bool:
    """Tell whether the folder, or the nearest one above it that exists, can be written."""
    nearest = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
