"""Replies of models that were paid for, kept as files, so that a test asks the same question once for ever.

Each reply is one file below VIBEX_DATA_DIR/replies, named after the key of its question and compressed. It is written
under a temporary name, flushed to the disk and then renamed: a process that is killed leaves a whole file or none. A file
that cannot be read, or is not what its name says, counts as missing, and is said. Nothing here is ever sent anywhere.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from django.conf import settings

from decisions.domain.kept_answer import NotAnAnswer, answer_data, answer_from
from decisions.domain.question import Answer, Prompt
from vibex.lib.errors import Retryable

PLACE: Final = "replies"
SUFFIX: Final = ".json.gz"
SHARD: Final = 2
"""Letters of the key that name its folder: 256 folders, so that none gets crowded."""


def replies_folder() -> Path:
    """Return where replies are kept."""
    return Path(settings.VIBEX_DATA_DIR) / PLACE


@dataclass(slots=True)
class RepliesKept:
    """The port `Replies` in files. Safe from every thread and process: two that keep the same write the same name."""

    folder: Path = field(default_factory=replies_folder)
    unusable: list[str] = field(default_factory=list)
    """Files that were there and could not be used, each with the reason."""

    def find(self, key: str) -> Answer | None:
        """Return the answer that was kept under a key; None where there is none, or none that can be used."""
        place = self._place(key)
        try:
            data = json.loads(gzip.decompress(place.read_bytes()))
            if not isinstance(data, Mapping) or data.get("key") != key:
                raise NotAnAnswer("it is of another question")
            return answer_from(data.get("answer"))
        except FileNotFoundError:
            return None
        except (NotAnAnswer, OSError, EOFError, ValueError, zlib.error) as fault:
            self.unusable.append(f"{place}: {str(fault) or type(fault).__name__}; the question is asked again")
            return None

    def keep(self, key: str, answer: Answer, *, prompt: Prompt, about: Mapping[str, Any]) -> None:
        """Keep an answer. It is on the disk when this returns. Raises Retryable when it cannot be written."""
        place = self._place(key)
        body = json.dumps({"key": key, **about, "answer": answer_data(answer, prompt)}, separators=(",", ":"))
        new = place.with_name(f".{place.name}.{os.getpid()}.{uuid4().hex[:8]}")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            _write(new, gzip.compress(body.encode(), mtime=0))
            new.replace(place)
            _flush_folder(place.parent)
        except OSError as fault:
            with suppress(OSError):
                new.unlink()
            why = fault.strerror or type(fault).__name__
            raise Retryable(
                f"A reply that is paid for could not be kept at {place.parent}: {why}. Nothing more is asked: "
                "free room or mend the rights, then start again."
            ) from fault

    def _place(self, key: str) -> Path:
        return self.folder / key[:SHARD] / f"{key}{SUFFIX}"


def _write(place: Path, body: bytes) -> None:
    with place.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Flush the name itself: without it a machine that loses power may forget the rename."""
    place = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(place)
    finally:
        os.close(place)
