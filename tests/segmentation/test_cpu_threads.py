"""Work in several threads, each with PyTorch on one core; products of NumPy on one core."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from napari_cliper.segmentation import cpu_threads, use_cpu_threads
from napari_cliper.segmentation.cpu_threads import MOST_THREADS, in_threads, one_blas_thread


@pytest.fixture(params=[1, 3, 2 * MOST_THREADS])
def count(request):
    """Threads that PyTorch may use; at the end as before."""
    before = cpu_threads()
    use_cpu_threads(request.param)
    yield request.param
    use_cpu_threads(before)


def in_another_thread(ask):
    found = []
    thread = threading.Thread(target=lambda: found.append(ask()))
    thread.start()
    thread.join()
    return found[0]


def test_every_item_is_worked_on_once_by_as_many_threads_as_there_may_be(count):
    expected = min(count, MOST_THREADS)
    together = threading.Barrier(expected, timeout=60)  # breaks unless all are there at once
    done, others, used = [], [], set()

    def work(item):
        if item < expected:
            together.wait()
            others.append(in_another_thread(cpu_threads))
        used.add((threading.get_ident(), cpu_threads()))
        done.append(item)

    running = threading.active_count()
    in_threads(work, range(40))
    assert sorted(done) == list(range(40))
    assert (len(used), {each for _, each in used}) == (expected, {1})
    assert set(others) == {count}  # jobs that begin meanwhile have all cores
    assert (threading.active_count(), cpu_threads(), in_another_thread(cpu_threads)) == (
        running,
        count,
        count,
    )


def test_an_error_reaches_the_caller_and_ends_the_work(count):
    begun = []

    def work(item):
        begun.append(item)
        if item == 5:
            raise IndexError("item 5")

    running = threading.active_count()
    with pytest.raises(IndexError, match="item 5"):
        in_threads(work, range(10_000))
    assert 5 in begun
    assert len(begun) < 10_000
    assert (threading.active_count(), cpu_threads()) == (running, count)


def test_nothing_to_do(count):
    in_threads(pytest.fail, [])
    assert cpu_threads() == count


def blas_threads():
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


def test_products_of_numpy_use_one_thread_and_then_as_many_as_before():
    with threadpool_limits(3, user_api="blas"):
        before = blas_threads()
        with one_blas_thread():
            assert blas_threads() <= {1}
        assert blas_threads() == before
        with pytest.raises(ValueError, match="no product"), one_blas_thread():
            raise ValueError("no product")
        assert blas_threads() == before


def test_one_thread_at_a_time_limits_the_products():
    """Limits that overlap would leave that of one thread as the other's original value."""
    inside = []

    def limited(_):
        with one_blas_thread():
            inside.append(1)
            found = len(inside)
            time.sleep(0.001)
            inside.pop()
        return found

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(limited, range(20))) == {1}
