"""Encryption in the format of age: what is sealed here opens with the ordinary `age` program too.

https://age-encryption.org/v1. Each piece of 64 kB carries its own proof, so a changed byte is found before it is used.
"""

from __future__ import annotations

import base64
import io
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, Final, cast

from django.conf import settings

from vibex.lib.errors import NeedsOperator, Rejected

SUFFIX: Final = ".age"


def recipients() -> tuple[str, ...]:
    """Return the public keys that backups are encrypted to; none: they are not encrypted."""
    if settings.BACKUP_RECIPIENT:
        return tuple(settings.BACKUP_RECIPIENT)
    return (str(_identity().to_public()),) if settings.BACKUP_KEY else ()


def can_open(to: Sequence[str]) -> bool:
    """Tell whether this process has a key to what was encrypted to these."""
    return not to or (bool(settings.BACKUP_KEY) and str(_identity().to_public()) in to)


def key_new() -> tuple[str, str]:
    """Return a new secret key and its public half."""
    from pyrage import x25519

    made = x25519.Identity.generate()
    return str(made), str(made.to_public())


@contextmanager
def sealed(reader: BinaryIO, to: Sequence[str]) -> Iterator[BinaryIO]:
    """Yield what reads as the encrypted stream; with nobody to encrypt to, the stream itself."""
    if not to:
        yield reader
        return
    import pyrage

    keys = [_recipient(each) for each in to]
    with _through(lambda out: pyrage.encrypt_io(reader, out, keys)) as stream:
        yield stream


@contextmanager
def opened(reader: BinaryIO, to: Sequence[str]) -> Iterator[BinaryIO]:
    """Yield what reads as the stream before it was encrypted to these.

    Raises NeedsOperator without the key, Rejected on leaving for a stream that was changed or cut off.
    """
    if not to:
        yield reader
        return
    import pyrage

    if not settings.BACKUP_KEY:
        raise NeedsOperator("The backup is encrypted: set BACKUP_KEY (or BACKUP_KEY_FILE) to the key that opens it.")
    if not can_open(to):
        raise NeedsOperator(f"BACKUP_KEY is another key than those that open the backup ({', '.join(to)}).")
    key = _identity()
    with _through(lambda out: pyrage.decrypt_io(reader, out, [key])) as stream:
        yield stream


def sealed_text(content: bytes, to: Sequence[str]) -> str:
    import pyrage

    return base64.b64encode(pyrage.encrypt(content, [_recipient(each) for each in to])).decode()


def opened_text(content: str, to: Sequence[str]) -> bytes:
    """Return a text that was sealed. Errors as `opened`."""
    with opened(io.BytesIO(base64.b64decode(content)), to) as stream:
        return stream.read()


@contextmanager
def _through(work: Callable[[BinaryIO], object]) -> Iterator[BinaryIO]:
    """Yield the reading end of what `work` writes in a thread of its own. What it raises is raised on leaving."""
    reading, writing = os.pipe()
    faults: list[BaseException] = []

    def run() -> None:
        try:
            with os.fdopen(writing, "wb") as out:
                work(out)
        except BrokenPipeError:
            pass  # nobody reads on: who stopped says why
        except BaseException as fault:  # noqa: BLE001 - raised again where it is waited for
            faults.append(fault)

    thread = threading.Thread(target=run, name="backup-age", daemon=True)
    thread.start()
    try:
        with os.fdopen(reading, "rb") as stream:
            yield cast("BinaryIO", stream)
    finally:
        thread.join()
    if faults:
        raise _told(faults[0]) from faults[0]


def _told(fault: BaseException) -> BaseException:
    import pyrage

    if isinstance(fault, pyrage.DecryptError):
        return Rejected(f"The backup does not open: it was changed, or cut off ({fault}).", code="sealed")
    return fault


def _identity() -> Any:
    from pyrage import x25519

    return x25519.Identity.from_str(settings.BACKUP_KEY)


def _recipient(text: str) -> Any:
    import pyrage

    try:
        return pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError:
        raise NeedsOperator(f"BACKUP_RECIPIENT {text} is no public key of age: copy it again, whole.") from None
