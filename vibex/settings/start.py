"""What happens before the first setting: a usable environment, or an end that says why not."""

import base64
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from vibex.lib import env, masking
from vibex.lib.parsers import names, sealing_keys
from vibex.lib.variables import Environment

USAGE_ERROR = 2


def environment_or_exit() -> Environment:
    """Return the validated environment; print one line per fault and leave with code 2 when it has any."""
    with _faults_end_the_start():
        return env.read()


def secret_key(environment: Environment) -> str:
    """Return the key of the environment or, outside production, the one kept in the data folder."""
    if environment.SECRET_KEY:
        return environment.SECRET_KEY
    with _faults_end_the_start():
        return kept_secret_key(environment.VIBEX_DATA_DIR)


def credentials_keys(environment: Environment) -> tuple[str, ...]:
    """Return the keys that seal credentials, newest first; outside production the one kept in the data folder."""
    if environment.CREDENTIALS_KEY:
        return names(environment.CREDENTIALS_KEY)
    with _faults_end_the_start():
        return (kept_credentials_key(environment.VIBEX_DATA_DIR),)


def kept_secret_key(folder: Path) -> str:
    """Return the key in `folder`, made on first use. Raises BadEnvironment when the folder cannot be used."""
    return _kept(folder, "secret_key", lambda: secrets.token_urlsafe(64))


def kept_credentials_key(folder: Path) -> str:
    """Return the sealing key in `folder`, made on first use. Raises BadEnvironment for a folder or key of no use."""
    key = _kept(folder, "credentials_key", lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode("ascii"))
    try:
        return sealing_keys(key)
    except ValueError:
        wrong = f"{folder / 'credentials_key'} holds no key; restore the file, else what it sealed cannot be opened"
        raise env.BadEnvironment([env.Fault("CREDENTIALS_KEY", wrong, "CREDENTIALS_KEY_FILE=the-copy")]) from None


def _kept(folder: Path, name: str, make: Callable[[], str]) -> str:
    file = folder / name
    try:
        if not file.exists():
            _write_once(file, make())
        return file.read_text(encoding="ascii").strip()
    except OSError as error:
        wrong = f"{folder} cannot be used: {error.strerror}"
        raise env.BadEnvironment([env.Fault("VIBEX_DATA_DIR", wrong, "VIBEX_DATA_DIR=data")]) from error


def _write_once(file: Path, content: str) -> None:
    """Create the file readable by its owner only, whole or not at all, also when two processes start at once."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(content, encoding="ascii")
    try:
        file.hardlink_to(draft)
    except FileExistsError:
        return
    finally:
        draft.unlink()


def register_secrets(environment: Environment, *keys: str) -> None:
    """Make every secret of the environment, and the keys made here, known to the masking of logs and error pages."""
    for key in keys:
        masking.register_secret(key)
    for secret in env.secret_values(environment):
        (masking.register_url if "://" in secret else masking.register_secret)(secret)


def mail(url: str | None) -> dict[str, Any]:
    """Return Django's mail settings: the server of the URL; without one, mail is only written out.

    `smtp+tls` begins in the open and turns to TLS (STARTTLS), `smtps` is TLS from the first byte.
    """
    if url is None:
        return {"EMAIL_BACKEND": "django.core.mail.backends.console.EmailBackend"}
    found = urlsplit(url)
    port = {"smtps": 465, "smtp+tls": 587}.get(found.scheme, 25)
    return {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": found.hostname or "localhost",
        "EMAIL_PORT": found.port or port,
        "EMAIL_HOST_USER": unquote(found.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(found.password or ""),
        "EMAIL_USE_TLS": found.scheme == "smtp+tls",
        "EMAIL_USE_SSL": found.scheme == "smtps",
    }


def plotly_scripts() -> list[tuple[str, Path]]:
    """Return the folder of plotly.min.js as a static files entry, without the import that costs half a second."""
    found = find_spec("plotly")
    if found is None or found.origin is None:
        return []
    return [("plotly", Path(found.origin).parent / "package_data")]


@contextmanager
def _faults_end_the_start() -> Iterator[None]:
    try:
        yield
    except env.BadEnvironment as error:
        print(error, file=sys.stderr)
        raise SystemExit(USAGE_ERROR) from None
