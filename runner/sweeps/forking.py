"""How the processes of a pool are started: forked from one that has imported what takes long."""

import multiprocessing
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import ModuleType
from typing import Any

HEAVY = [
    "runner.sweeps.executors.work",
    "runner.sweeps.plan",
    "runner.engine.program.stacked_pytorch",
]
"""What a process of the pool needs and what takes long to import."""


def prepare() -> None:
    """Start what processes are forked from, which imports PyTorch while this one goes on."""
    here = context()
    if here.get_start_method() == "forkserver":
        from multiprocessing import forkserver

        here.set_forkserver_preload(HEAVY)
        with without_interrupts():
            forkserver.ensure_running()


def context() -> Any:
    return multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Let what is started now never hear of a Ctrl-C, which is for the one that leads."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # which would let them through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def without_main() -> Iterator[None]:
    """Let what is started now not import the script that runs here: it needs nothing of it."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
