"""Several processes of one kind behind one socket: started, started anew when they die, ended in order.

`manage.py web` looks at everything once, opens the socket and then becomes this: it needs neither Django nor any package,
so that watching takes little memory and nothing of it can break. See docs/decisions/0051-web-processes.md.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, NoReturn

BACKLOG: Final = 1024
GRACE: Final = 50.0
"""Seconds that members have to end; what is still there afterwards is killed."""
SOUND: Final = 20.0
"""A member that lived so long had started well."""
PAUSES: Final = (1.0, 2.0, 5.0, 10.0)
"""Seconds before a member is started again that died before it was sound, longer each time; then the crew gives up."""
LOOK: Final = 0.2
GAVE_UP: Final = 1
KILLED: Final = 130
ENDED_WELL: Final = (0, -signal.SIGTERM)
"""Codes of members that were told to end: the second is of one that had not begun to listen to signals, or to work."""
SOCKET, LIFELINE = "--socket", "--lifeline"
"""Options by which a member is told the numbers of its descriptors."""


@dataclass(slots=True)
class Member:
    """One process of the crew and how it has fared."""

    number: int
    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    again_at: float = 0.0
    early: int = 0
    """How often in a row it died before it was sound."""


@dataclass(slots=True)
class Crew:
    """Runs `command` in `count` processes. Each inherits `listening` and the end of a pipe that closes when we are gone."""

    command: Sequence[str]
    count: int
    listening: socket.socket | None = None
    grace: float = GRACE
    _members: list[Member] = field(default_factory=list)
    _stopping: bool = False

    def run(self) -> int:
        """Keep them running until SIGTERM or SIGINT. Returns 0 when all ended in order; 1 when one did not, or would not start."""
        lifeline, ours = os.pipe()
        self._listen_to_signals()
        try:
            self._members = [Member(number) for number in range(1, self.count + 1)]
            while not self._stopping:
                for member in self._members:
                    self._look(member, lifeline)
                if any(member.early > len(PAUSES) for member in self._members):
                    told("error", "the server does not start; the lines above say why")
                    self._end()
                    return GAVE_UP
                time.sleep(LOOK)
            return self._end()
        finally:
            os.close(lifeline)
            os.close(ours)

    def _look(self, member: Member, lifeline: int) -> None:
        now = time.monotonic()
        if member.process is None:
            if now >= member.again_at:
                self._start(member, lifeline)
            return
        code = member.process.poll()
        if code is None:
            return
        member.early = 0 if now - member.began >= SOUND else member.early + 1
        pause = PAUSES[min(max(member.early, 1), len(PAUSES)) - 1]
        told("error", f"web process {member.number} ended with {code}; a new one starts in {pause:g} s")
        member.process, member.again_at = None, now + pause

    def _start(self, member: Member, lifeline: int) -> None:
        kept = [lifeline] + ([self.listening.fileno()] if self.listening else [])
        words = [*self.command, LIFELINE, str(lifeline)]
        if self.listening:
            words += [SOCKET, str(self.listening.fileno())]
        # A group of its own: Ctrl-C reaches us alone, and we pass it on once.
        member.process = subprocess.Popen(words, pass_fds=kept, process_group=0)  # noqa: S603 - our own command line
        member.began = time.monotonic()

    def _end(self) -> int:
        """End all members; return 0 when each of them ended in order."""
        running = [member.process for member in self._members if member.process is not None]
        for process in running:
            process.terminate()
        ends, in_order = time.monotonic() + self.grace, True
        for process in running:
            try:
                in_order &= process.wait(max(0.0, ends - time.monotonic())) in ENDED_WELL
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                in_order = False
        return 0 if in_order else 1

    def _listen_to_signals(self) -> None:
        """Let SIGTERM and SIGINT end the crew in order; a second one kills all at once."""

        def stop(*_: object) -> None:
            if self._stopping:
                self._kill()
            self._stopping = True

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)

    def _kill(self) -> NoReturn:
        for member in self._members:
            if member.process is not None:
                member.process.kill()
        os._exit(KILLED)


def open_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens and may be inherited. Raises OSError."""
    listening = socket.create_server((host, port), backlog=BACKLOG)
    listening.set_inheritable(True)
    return listening


def end_with(lifeline: int) -> None:
    """End this process in order as soon as whoever holds the other end of the pipe is gone, however it went."""

    def wait() -> None:
        with contextlib.suppress(OSError):
            os.read(lifeline, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


def told(level: str, message: str) -> None:
    """Write one line as the log of the members has them."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = {"timestamp": at, "level": level, "logger": "vibex.crew", "message": message}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main(words: Sequence[str]) -> int:
    """Run `count descriptor command …`, with the descriptor of a socket that listens already."""
    count, descriptor, *command = words
    with socket.socket(fileno=int(descriptor)) as listening:
        return Crew(command, int(count), listening).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
