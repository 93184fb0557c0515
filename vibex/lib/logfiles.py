"""Log files that never fill the disk and never stop the work: bounded in size, age and sum.

Only one process writes them, held by a lock on the folder, because rotation is not safe across processes. When the
folder cannot be written, this is said once on the console, the files rest for a minute and are tried again.
"""

import fcntl
import json
import logging
import sys
import time
from contextlib import suppress
from datetime import datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from threading import RLock
from typing import IO, Any

LARGEST = 100_000_000
"""Bytes after which a file is rotated, when the cap on the sum allows that much."""
KEPT = 10
"""Rotated files that are kept beside the one that is written."""
REST = 60.0
"""Seconds before a folder that failed is tried again."""
DAY = 86_400.0

log = logging.getLogger(__name__)


class LogFolder:
    """What the log files of a process share: the folder's lock, the space they may take, one warning."""

    def __init__(self, path: Path, *, max_total: int, files: int) -> None:
        self.path = path
        self.largest = min(LARGEST, max_total // (2 * files))
        # The files that are being written may grow to their size before anybody looks again.
        self._for_rotated = max_total - files * self.largest
        self._guard = RLock()
        self._lock: IO[str] | None = None
        self._rests_until = 0.0
        self._warned = False

    def claim(self) -> None:
        """Make this process the one that writes here. Raises OSError when the folder or its lock cannot be had."""
        with self._guard:
            if self._lock is not None:
                return
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / ".lock").open("w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.close()
                raise
            self._lock = lock

    def release(self) -> None:
        with self._guard:
            if self._lock is not None:
                self._lock.close()
                self._lock = None

    def make_room(self) -> None:
        """Delete the oldest rotated files until the rest fits into the cap."""
        with self._guard:
            rotated = sorted(self.path.glob("*.log.*"), key=lambda file: file.stat().st_mtime)
            total = sum(file.stat().st_size for file in rotated)
            for file in rotated:
                if total <= self._for_rotated:
                    return
                total -= file.stat().st_size
                file.unlink()

    def rests(self) -> bool:
        """Tell whether the folder failed a moment ago."""
        return time.monotonic() < self._rests_until

    def failed(self, error: OSError) -> None:
        """Let the files rest and say so, once until they work again."""
        self._rests_until = time.monotonic() + REST
        if not self._warned:
            self._warned = True
            log.warning("no log files in %s: %s; the console goes on", self.path, error.strerror or error)

    def worked(self) -> None:
        self._warned = False


class LogFile(RotatingFileHandler):
    """One log file of a folder, rotated by size and by age; what is older than `days` goes."""

    def __init__(self, folder: LogFolder, name: str, days: int) -> None:
        super().__init__(folder.path / name, maxBytes=folder.largest, backupCount=KEPT, encoding="utf-8", delay=True)
        self.folder = folder
        self.days = days
        self._began = time.time()

    def emit(self, record: logging.LogRecord) -> None:
        if not self.folder.rests():
            super().emit(record)

    def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: N802 - the library's name
        # With every file at most a tenth of the allowed age, the kept ones together cover it and no more.
        return time.time() - self._began > self.days * DAY / KEPT or bool(super().shouldRollover(record))

    def doRollover(self) -> None:  # noqa: N802 - the library's name
        super().doRollover()
        self._began = time.time()
        self._tidy()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        self._drop_stream()
        self.folder.failed(error)

    def flush(self) -> None:
        super().flush()
        if self.stream is not None:
            self.folder.worked()

    def close(self) -> None:
        super().close()
        self.folder.release()

    def _open(self) -> Any:
        self.folder.claim()
        self._began = _first_time(Path(self.baseFilename))
        self._tidy()
        return super()._open()

    def _tidy(self) -> None:
        oldest = time.time() - self.days * DAY
        for file in self.folder.path.glob(f"{Path(self.baseFilename).name}.*"):
            if file.stat().st_mtime < oldest:
                file.unlink()
        self.folder.make_room()

    def _drop_stream(self) -> None:
        """Forget the stream with what it could not write, so that the next try begins with a whole line."""
        stream, self.stream = self.stream, None
        if stream is not None:
            with suppress(OSError):  # closing flushes, and that is what failed; the file is closed all the same
                stream.close()


def _first_time(file: Path) -> float:
    """Return when the file was begun: the time of its first line, else that of its last change, else now."""
    try:
        with file.open(encoding="utf-8") as lines:
            return datetime.fromisoformat(json.loads(lines.readline(10_000_000))["timestamp"]).timestamp()
    except FileNotFoundError:
        return time.time()
    except (ValueError, KeyError, TypeError):
        return file.stat().st_mtime
