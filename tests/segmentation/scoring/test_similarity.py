"""Attentions, and features times words, against the formulas written out in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_cliper.segmentation.models.last_block_attention import (
    LAST_BLOCK,
    fused_attention,
    normalise_once,
    proxy_attention,
)
from napari_cliper.segmentation.scoring.similarity import (
    Queries,
    class_maxima,
    cliper_coarse,
    cliper_logits,
    cosine,
    mean_query,
    merge_synonyms,
)

HEADS, TOKENS, WIDTH = 2, 5, 4


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@pytest.fixture
def random():
    generator = torch.Generator().manual_seed(3)
    return lambda *shape: torch.randn(shape, generator=generator)


# ---------------------------------------------------------------------- attention


@pytest.mark.parametrize("name", LAST_BLOCK)
def test_last_block_attention(name, random):
    q, k, v = (random(HEADS, TOKENS, WIDTH) for _ in "qkv")
    of = {"q": q.numpy(), "k": k.numpy(), "v": v.numpy()}

    def pair(a, b):
        return np.stack(
            [softmax(x @ y.T / np.sqrt(WIDTH)) for x, y in zip(of[a], of[b], strict=True)]
        )

    expected = {
        "vanilla": lambda: pair("q", "k"),
        "identity": lambda: np.stack([np.eye(TOKENS)] * HEADS),
    }.get(name, lambda: sum(pair(*part.split("-")) for part in name.split("+")))()
    np.testing.assert_allclose(LAST_BLOCK[name](q, k, v), expected, atol=1e-6)


def test_rounds_of_normalisation_and_the_fused_attention(random):
    summed = random(HEADS, TOKENS, TOKENS).exp()
    before = summed.clone()
    expected = summed.numpy()
    found = summed
    for _ in range(3):
        found = normalise_once(found)
        expected = expected / expected.sum(axis=1, keepdims=True)
        expected = expected / expected.sum(axis=2, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-6)

    m = (expected + expected.transpose(0, 2, 1)) / 2
    m = np.maximum(m - m.mean(axis=1, keepdims=True), 0)
    m /= m.sum(axis=2, keepdims=True)
    np.testing.assert_allclose(fused_attention(found), m, atol=1e-6)
    torch.testing.assert_close(summed, before)


@pytest.mark.parametrize("scale", [1, 100])
def test_proxy_attention(random, scale):
    features = random(7, 3)
    x = unit(features.numpy())
    s = x @ x.T
    s = (s - 1.2 * s.mean()) * 3
    e = np.where(s < 0, 0, np.exp(s))
    expected = e / e.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(proxy_attention(features * scale, 1.2, 3), expected, atol=1e-5)


def test_proxy_attention_of_patches_that_are_alike(random):
    """As of an even image: each patch attends to itself, as just before the shift exceeds 1."""
    even = torch.ones(7, 3)
    nearly = even + random(7, 3) / 100
    one_empty = torch.cat([random(6, 3), torch.zeros(1, 3)])
    for features in (even, nearly):
        torch.testing.assert_close(proxy_attention(features, 1.2, 3), torch.eye(7))
    found = proxy_attention(one_empty, 1.2, 3)
    torch.testing.assert_close(found.sum(dim=-1), torch.ones(7))
    assert found[-1, -1] == 1


# ---------------------------------------------------------------------- words


OWNER = (0, 0, 1, 2, -1, -1)
"""Class 0 has a synonym; two background words."""


@pytest.fixture
def queries(random):
    return Queries(torch.nn.functional.normalize(random(len(OWNER), WIDTH), dim=-1), OWNER)


def test_cliper_logits(random, queries):
    features = random(3, 6, WIDTH) * 10
    v = queries.vectors.numpy()
    mean = ((v[0] + v[1]) / 2 + v[2] + v[3]) / 3
    cosines = unit(features.numpy()) @ unit(np.vstack([v, mean])).T
    expected = np.stack(
        [np.maximum(cosines[..., 0], cosines[..., 1]), *(cosines[..., i] for i in range(2, 7))],
        axis=-1,
    )
    assert (queries.class_count, queries.background_count) == (3, 2)
    np.testing.assert_allclose(cliper_logits(features, queries, 70), 70 * expected, atol=1e-4)


def with_synonym(queries, vector):
    vectors = torch.cat([queries.vectors[:1], vector[None], queries.vectors[1:]])
    return Queries(vectors, (0, *queries.owner))


def cliper_probabilities(features, queries):
    return cliper_logits(features, queries, 100).softmax(dim=-1)[..., : queries.class_count]


def test_repeated_synonym_changes_nothing(random, queries):
    single = Queries(queries.vectors[1:], OWNER[1:])
    doubled = with_synonym(single, single.vectors[0])
    features = random(50, WIDTH)
    torch.testing.assert_close(
        cliper_probabilities(features, doubled), cliper_probabilities(features, single)
    )


def test_near_synonym_changes_next_to_nothing(random, queries):
    single = Queries(queries.vectors[1:], OWNER[1:])
    near = torch.nn.functional.normalize(single.vectors[0] + 1e-4 * random(WIDTH), dim=0)
    features = random(200, WIDTH)
    change = cliper_probabilities(features, with_synonym(single, near))
    change -= cliper_probabilities(features, single)
    assert change.abs().max() < 0.01
    # in contrast to a softmax over all words, where a near word takes half
    logits = 100 * cosine(features, with_synonym(single, near).vectors).T
    among_all, _ = class_maxima(logits.softmax(dim=0), (0, *single.owner))
    assert cliper_probabilities(features, single)[:, 0].max() > 0.9 > 0.6 > among_all[0].max()


def test_one_class_against_its_own_mean_is_one_half_everywhere(random):
    alone = Queries(torch.nn.functional.normalize(random(1, WIDTH), dim=-1), (0,))
    probabilities = cliper_probabilities(random(20, WIDTH), alone)
    np.testing.assert_allclose(probabilities, 0.5, atol=1e-5)


def test_merged_columns_keep_their_order():
    logits = torch.tensor([[3.0, 5.0, 1.0, 7.0, 2.0, 9.0]])
    assert merge_synonyms(logits, (1, 0, 1, -1)).tolist() == [[5, 3, 7, 2, 9]]


def test_mean_query_weighs_classes_not_words(random):
    a, b = random(2, WIDTH)
    found = mean_query(Queries(torch.stack([a, a, a, b]), (0, 0, 0, 1)))
    torch.testing.assert_close(found, ((a + b) / 2)[None])


# ---------------------------------------------------------------------- coarse maps


@pytest.mark.parametrize("layer", [-1, -2, 0])
@pytest.mark.parametrize("fuse", [True, False])
def test_cliper_coarse(random, layer, fuse):
    probabilities, attention = random(3, 2, 6).sigmoid(), random(6, 6).softmax(dim=-1)
    before = probabilities.clone()
    p = probabilities.numpy().copy()
    q = p[layer]
    for plane in q:
        plane[plane < 0.6 * plane.max()] = 0
    expected = q @ attention.numpy() + (p.mean(axis=0) if fuse else 0)
    found = cliper_coarse(
        probabilities, attention, select_layer=layer, attention_threshold=0.6, fuse=fuse
    )
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert (p == 0).any()  # the threshold did something
    torch.testing.assert_close(probabilities, before)


def test_class_maxima(random):
    planes = random(len(OWNER), 4, 5).softmax(dim=0)
    classes, background = class_maxima(planes, OWNER)
    p = planes.numpy()
    np.testing.assert_array_equal(classes[0], np.maximum(p[0], p[1]))
    np.testing.assert_array_equal(classes[1:], p[2:4])
    np.testing.assert_array_equal(background, np.maximum(p[4], p[5]))
    assert class_maxima(planes[:4], OWNER[:4])[1] is None
