"""The variables that say how long things are kept. Orders, fills, decisions and the ledger are kept for good."""

from dataclasses import dataclass

from vibex.lib.parsers import number
from vibex.lib.variable import variable
from vibex.lib.variables_database import DatabaseVariables

LONGEST = 36_500


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class KeepingVariables(DatabaseVariables):
    """Days, by what they are about. docs/retention.md has the tables."""

    CANDLE_RETENTION_DAYS: int = variable(
        number(30, LONGEST),
        "Days that candles are kept, with what was wrong with them.",
        default="1095",
        example="730",
        section="Retention",
    )
    SNAPSHOT_RETENTION_DAYS: int = variable(
        number(7, LONGEST),
        "Days that snapshots and open interest are kept.",
        default="180",
        example="90",
        section="Retention",
    )
    PROMPT_RETENTION_DAYS: int = variable(
        number(7, LONGEST),
        "Days that the texts of prompts are kept. Their digests, replies, tokens and cost stay.",
        default="365",
        example="90",
        section="Retention",
    )
    EQUITY_POINT_DAYS: int = variable(
        number(30, LONGEST),
        "Days that every equity point is kept. Of older ones those stay that make a quarter of an hour: first, last, lowest, "
        "highest, and each at which money came or went.",
        default="90",
        example="365",
        section="Retention",
    )
    SIGN_IN_RETENTION_DAYS: int = variable(
        number(1, LONGEST),
        "Days that sign-ins which are over, and keys that were revoked or have expired, are kept with their addresses.",
        default="180",
        example="30",
        section="Retention",
    )
    ALERT_RETENTION_DAYS: int = variable(
        number(7, LONGEST),
        "Days that alerts which were acknowledged are kept, with how they were sent.",
        default="365",
        example="90",
        section="Retention",
    )
    CHECK_RETENTION_DAYS: int = variable(
        number(7, LONGEST),
        "Days that comparisons with an exchange which found nothing, and locks that are over, are kept.",
        default="365",
        example="90",
        section="Retention",
    )
