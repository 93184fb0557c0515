"""The variables of backups: where they go, and with which key they are encrypted."""

from dataclasses import dataclass
from pathlib import Path

from vibex.lib.parsers import age_identity, age_recipients, one_word, path, url, yes_or_no
from vibex.lib.variable import variable
from vibex.lib.variables_keeping import KeepingVariables


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class BackupVariables(KeepingVariables):
    """Backups of the database (docs/backup.md)."""

    BACKUP_HOURLY: bool = variable(
        yes_or_no,
        "Back up the database every hour.",
        default={"dev": "yes", "test": "no", "prod": "yes"},
        example="no",
        section="Backups",
    )
    BACKUP_DIR: Path | None = variable(
        path,
        "Folder of backups. Unset: `backups` in the data folder.",
        example="/var/backups/vibex",
        section="Backups",
    )
    BACKUP_KEY: str | None = variable(
        age_identity,
        "Key that opens encrypted backups, as `manage.py backup --new-key` makes one; needed to restore and to verify. "
        "Without BACKUP_RECIPIENT it encrypts them too. Unset, both: they are not encrypted.",
        example="AGE-SECRET-KEY-1" + 58 * "Q",
        secret=True,
        section="Backups",
    )
    BACKUP_RECIPIENT: tuple[str, ...] = variable(
        age_recipients,
        "Public halves of the keys that backups are encrypted to: their secret halves need not be on this machine.",
        default="",
        example="age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
        section="Backups",
    )
    BACKUP_S3_URL: str | None = variable(
        url("https", "http"),
        "Bucket for backups in storage that speaks S3, with a prefix of this installation's own. Unset: a folder.",
        example="https://s3.example.com/bucket/vibex",
        section="Backups",
    )
    BACKUP_S3_REGION: str | None = variable(
        one_word, "Region of that bucket, where its server wants one.", example="eu-central-1", section="Backups"
    )
    BACKUP_S3_ACCESS_KEY: str | None = variable(
        one_word, "Key of that storage.", example="your-key", secret=True, section="Backups"
    )
    BACKUP_S3_SECRET_KEY: str | None = variable(
        one_word, "Secret that belongs to it.", example="your-secret", secret=True, section="Backups"
    )
