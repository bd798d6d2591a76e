"""Workers on this machine or on a dask cluster. The only file that imports distributed.

On this machine, each worker is a process of its own with one CPU thread, and with one GPU where
there are several. Connections are encrypted, so that other users cannot send work to the workers.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ..segmentation import InvalidInputError, Monitor, WorkerLostError

if TYPE_CHECKING:
    from distributed import Client

T = TypeVar("T")

IN_ADVANCE = 2
"""Tasks for each worker that the scheduler knows at a time."""

SECONDS_TO_CONNECT = 30
"""To a running scheduler."""

SECONDS_TO_START = 180
"""For workers on this machine to answer: they import PyTorch, beside whatever else runs here."""

WORKERS_PER_CORE = 4
"""Most workers on this machine for each CPU core; each runs one thread and takes 1 GB or more."""

LARGEST_TASK = 1 << 60
"""Bytes of a task of which dask does not warn: the pixels of an image are part of one."""

LOOPBACK = "127.0.0.1:0"
"""A free port that only this machine can reach."""


@dataclass(frozen=True)
class Cluster:
    """Where tasks run.

    Parameters
    ----------
    workers : int
        Number of processes to start on this machine.
    scheduler : str
        Address of a running scheduler instead, such as ``"tcp://10.0.0.5:8786"``. Its workers need
        napari-cliper and the same files under the same paths.

    Raises
    ------
    InvalidInputError
        For both or none of them, and for more workers than the CPU cores can keep busy.
    """

    workers: int = 0
    scheduler: str = ""

    def __post_init__(self) -> None:
        """Check the fields."""
        if self.workers < 0:
            raise InvalidInputError(f"The number of workers is {self.workers}. Give 1 or more.")
        most = WORKERS_PER_CORE * (os.cpu_count() or 1)
        if self.workers > most:
            raise InvalidInputError(
                f"The number of workers is {self.workers:,}, for {os.cpu_count()} CPU cores. Give "
                f"at most {most}."
            )
        if bool(self.workers) == bool(self.scheduler):
            raise InvalidInputError(
                "Give a number of workers for this machine, or the address of a scheduler."
            )

    @contextmanager
    def workplace(self, setup: Callable[[], Any], monitor: Monitor) -> Iterator[Workplace]:
        """Context manager: start or find the workers.

        Parameters
        ----------
        setup : callable
            Called once in each worker, also in those that start later; what it returns is the
            first argument of every task there. Must be picklable.
        monitor : Monitor
            Asked whether to stop while the scheduler does not answer.

        Raises
        ------
        InvalidInputError
            If distributed is not installed.
        WorkerLostError
            If the scheduler does not answer, or the workers do not start.
        """
        try:
            import dask  # noqa: PLC0415 - optional, as distributed is
            from distributed import Client, LocalCluster, Security  # noqa: PLC0415
        except ImportError as error:
            raise InvalidInputError(
                'Workers need dask.distributed. Install it with pip install "napari-cliper'
                '[cluster]".'
            ) from error
        if self.scheduler:
            client = _connected(self.scheduler, monitor)
            with client, Workplace.on(client, setup) as place:
                yield place
            return
        security = Security.temporary()
        waiting = {"distributed.comm.timeouts.connect": SECONDS_TO_START}
        with ExitStack() as stack:
            stack.enter_context(dask.config.set(waiting))
            try:
                cluster = LocalCluster(
                    n_workers=self.workers,
                    threads_per_worker=1,
                    processes=True,
                    host="127.0.0.1",
                    dashboard_address=LOOPBACK,  # None would take port 8787 on all interfaces
                    worker_dashboard_address=LOOPBACK,
                    silence_logs=logging.CRITICAL,
                    security=security,
                    memory_limit=0,
                )
                stack.enter_context(cluster)
                client = Client(cluster, security=security, set_as_default=False)
                stack.enter_context(client)
            except OSError as error:
                raise WorkerLostError(
                    f"The {self.workers} workers do not start ({error}). Wait until this machine "
                    "has less to do, or give fewer --workers."
                ) from error
            yield stack.enter_context(Workplace.on(client, setup, shares_gpus=True))


def _connected(address: str, monitor: Monitor) -> Client:
    """Return a client of a running scheduler; asks often whether to stop."""
    from distributed import Client  # noqa: PLC0415 - optional

    found: futures.Future[Client] = futures.Future()

    def connect() -> None:
        try:
            found.set_result(Client(address, timeout=SECONDS_TO_CONNECT, set_as_default=False))
        except Exception as error:  # noqa: BLE001 - raised in the thread that waits
            found.set_exception(error)

    threading.Thread(target=connect, daemon=True).start()
    try:
        while not futures.wait([found], timeout=0.1).done:
            monitor.check()
    except BaseException:
        found.add_done_callback(lambda late: late.exception() or late.result().close())
        raise
    try:
        return found.result()
    except (OSError, ValueError) as error:
        raise WorkerLostError(
            f"No scheduler answers at {address} ({error}). Check the address, and that the "
            "scheduler runs."
        ) from error


class Workplace:
    """The workers of a cluster that are ready for tasks of one run."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._name = name

    @classmethod
    @contextmanager
    def on(
        cls, client: Client, setup: Callable[[], Any], *, shares_gpus: bool = False
    ) -> Iterator[Workplace]:
        """Context manager: let every worker of a client call `setup`."""
        import dask  # noqa: PLC0415 - optional, as distributed is

        name = f"napari-cliper-{os.urandom(8).hex()}"
        client.register_plugin(_setup_plugin(setup, shares_gpus), name=name)
        try:
            with dask.config.set({"distributed.admin.large-graph-warning-threshold": LARGEST_TASK}):
                yield cls(client, name)
        finally:
            if client.status == "running":
                client.unregister_worker_plugin(name)

    @property
    def workers(self) -> int:
        """How many workers there are now."""
        return len(self._client.nthreads())

    def call(self, work: Callable[[Any], T], monitor: Monitor) -> T:
        """Return the result of one task."""
        ((_, found),) = self.each(lambda own, _: work(own), [None], monitor)
        if isinstance(found, WorkerLostError):
            raise found
        return found

    def each(
        self, work: Callable[[Any, Any], T], items: Iterable[Any], monitor: Monitor
    ) -> Iterator[tuple[Any, T | WorkerLostError]]:
        """Run a task for each item; yield items and results as they are finished.

        A task whose worker dies runs again on another one. After a few deaths, its result is the
        error.

        Parameters
        ----------
        work : callable
            Called with what `setup` returned and the item.
        items : iterable
            Taken as workers become free.
        monitor : Monitor
            Tasks that have not begun are cancelled once it says so.
        """
        from distributed import wait  # noqa: PLC0415 - optional
        from distributed.scheduler import KilledWorker  # noqa: PLC0415 - optional

        waiting: dict[Any, Any] = {}  # item by future
        items = iter(items)
        more = True
        try:
            while more or waiting:
                while more and len(waiting) < IN_ADVANCE * max(self.workers, 1):
                    try:
                        item = next(items)
                    except StopIteration:
                        more = False
                        break
                    future = self._client.submit(_run, self._name, work, item, pure=False)
                    waiting[future] = item
                if not waiting:
                    break
                monitor.check()
                try:
                    with self._client.as_current():
                        done = wait(list(waiting), 0.2, "FIRST_COMPLETED").done
                except TimeoutError:
                    continue
                for future in done:
                    item = waiting.pop(future)
                    try:
                        yield item, future.result()
                    except KilledWorker as error:
                        yield item, _lost(error.allowed_failures + 1)
        finally:
            if waiting:
                self._client.cancel(list(waiting))


def _lost(died: int) -> WorkerLostError:
    return WorkerLostError(
        f"{died} workers died while they worked on it, perhaps because the memory was too small. "
        "Use fewer workers."
    )


def _setup_plugin(setup: Callable[[], Any], shares_gpus: bool) -> Any:
    from distributed import WorkerPlugin  # noqa: PLC0415 - optional

    class Setup(WorkerPlugin):
        """Keeps what `setup` returns in a worker."""

        made: Any = None

        def setup(self, worker: Any) -> None:
            if shares_gpus and "CUDA_VISIBLE_DEVICES" not in os.environ:
                _take_gpu(int(worker.name))

        def own(self) -> Any:
            if self.made is None:
                self.made = setup()
            return self.made

    return Setup()


def _take_gpu(worker: int) -> None:
    """Give a worker one of several GPUs; before PyTorch uses any."""
    import torch  # noqa: PLC0415 - in the worker only

    count = torch.cuda.device_count()
    if count > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(worker % count)


def _run(name: str, work: Callable[[Any, Any], T], item: Any) -> T:
    """Run a task in a worker."""
    from distributed import get_worker  # noqa: PLC0415 - in the worker only

    plugin: Any = get_worker().plugins[name]
    return work(plugin.own(), item)
