"""The cache in memory: what is dropped, and in which order."""

from __future__ import annotations

import numpy as np

from napari_cliper.segmentation import RecentCache


def test_the_least_recently_used_values_are_dropped():
    cache = RecentCache[str, np.ndarray](20)
    arrays = {name: np.zeros(8, np.uint8) for name in "abc"}
    cache.put("a", arrays["a"])
    cache.put("b", arrays["b"])
    assert cache.get("a") is arrays["a"]
    cache.put("c", arrays["c"])
    assert [name for name in "abc" if cache.get(name) is not None] == ["a", "c"]
    assert (len(cache), cache.nbytes) == (2, 16)
    cache.limit = 8
    cache.trim()
    assert [name for name in "abc" if cache.get(name) is not None] == ["c"]
    cache.clear()
    assert (len(cache), cache.nbytes) == (0, 0)


def test_values_beyond_the_limit_are_kept_as_far_as_asked():
    sizes = {"a": 5, "b": 50}
    for at_least, kept in ((0, []), (1, ["b"]), (2, ["a", "b"])):
        cache = RecentCache[str, str](10, at_least=at_least, size=sizes.__getitem__)
        cache.put("a", "a")
        cache.put("b", "b")
        assert [name for name in sizes if cache.get(name)] == kept
