"""Processes of our own that work beside this one: made ready before anything of the project is read in them."""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.context import SpawnContext
from typing import Any, Final

ONE_CORE: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def pool(
    jobs: int, context: SpawnContext, ready: Callable[..., None], *told: Any, shared: Any = None
) -> ProcessPoolExecutor:
    """Return a pool of `jobs` processes. In each, `ready(*told, shared)` runs first, with Django set up.

    They are started anew and not forked: a fork would take over database connections and half a thread. `shared` is
    memory that all of them see, None where there is none.
    """
    said = pickle.dumps((ready, told))
    return ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(said, shared))


def _begin(said: bytes, shared: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever began it ends it
    for name in ONE_CORE:
        os.environ.setdefault(name, "1")
    import django

    django.setup()
    ready, told = pickle.loads(said)  # noqa: S301 - our own, from the process that began this one
    ready(*told, shared)
