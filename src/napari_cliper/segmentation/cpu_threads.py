"""CPU threads: how many PyTorch and NumPy use, how they wait, and work in own ones.

Loads no torch by itself.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

MOST_THREADS = 4
"""Of `in_threads`."""

_LIMITING = threading.RLock()

T = TypeVar("T")


def wait_passively() -> None:
    """Let PyTorch's threads sleep while they wait; has an effect only before PyTorch is loaded.

    By default they spin. Beside another busy program, a pass of a network then takes ten times as
    long, because the thread that all others wait for gets no core. A choice of the user is kept.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def available_cores() -> int:
    """Return how many CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_threads() -> int:
    """Return how many threads an operation of PyTorch uses in this thread."""
    import torch  # noqa: PLC0415 - this module is imported before PyTorch

    return torch.get_num_threads()


def use_cpu_threads(count: int) -> None:
    """Set how many threads an operation of PyTorch uses in this thread and in those it starts."""
    import torch  # noqa: PLC0415 - as above

    torch.set_num_threads(count)


def in_threads(work: Callable[[T], object], items: Iterable[T]) -> None:
    """Do the same work for several items, some of them at the same time.

    Small operations gain little if several threads share each of them. So every item has one
    thread, and an operation of PyTorch uses only this one. There are as many threads as PyTorch
    would use in this one, at most `MOST_THREADS`; they end with this call. If it would use one, or
    there is a single item, all is done in this thread.

    Raises
    ------
    Exception
        An error of the work, after all threads have ended. Items not begun by then are left out.
    """
    left, threads = deque(items), cpu_threads()
    count = min(threads, MOST_THREADS, len(left))
    if count < 2:
        for item in left:
            work(item)
        return
    begun, restored = threading.Semaphore(0), threading.Event()

    def work_through() -> None:
        cpu_threads()  # PyTorch gives a thread its number at the first question
        use_cpu_threads(1)
        begun.release()
        restored.wait()
        while True:
            try:
                item = left.popleft()
            except IndexError:
                return
            try:
                work(item)
            except BaseException:
                left.clear()
                raise

    with ThreadPoolExecutor(count) as pool:
        try:
            running = [pool.submit(work_through) for _ in range(count)]
            for _ in running:
                begun.acquire()
        finally:
            use_cpu_threads(threads)  # else other threads that start from now on would use one
            restored.set()
    for one in running:
        one.result()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let matrix products of NumPy use one thread; holds for the whole process.

    After each product, the other threads of OpenBLAS spin for a while. Between many small products
    they gain nothing, and keep cores from the work that comes next. One thread at a time is inside:
    if two overlapped, the second would end with the limit of the first as the original value.
    """
    with _LIMITING, _blas().limit(limits=1):
        yield


@cache
def _blas() -> ThreadpoolController:
    """Find the libraries; takes milliseconds."""
    from threadpoolctl import ThreadpoolController  # noqa: PLC0415 - as PyTorch above

    return ThreadpoolController().select(user_api="blas")
