"""Objects of a stack get one number from plane to plane; pixels, classes and edits stay."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
from shapes import ball

from napari_cliper.annotation.saved_objects import SavedObjects, objects_in
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.objects.edited_objects import EditedObjects, Renumbering
from napari_cliper.objects.editing import cut, delete, inside_box
from napari_cliper.objects.linked_planes import LinkEvent, link_planes
from napari_cliper.objects.linking import link
from napari_cliper.objects.object_set import objects_of
from napari_cliper.objects.object_stack import PlaneLabels, split_volume, stacked, unstacked
from napari_cliper.objects.plane_objects import ObjectsChoice, PlaneObjects
from napari_cliper.objects.splitting import split

SHAPE = (40, 120)
CELL, FIBRE = ClassRow("cell"), ClassRow("fibre")


def labels_at(time, depth):
    """A disc that drifts, one that divides with time, and two blocks that merge in depth."""
    plane = np.zeros(SHAPE, np.uint8)
    plane[ball(SHAPE, (10, 12 + 3 * time + depth), 7)] = 1
    if time < 1:
        plane[ball(SHAPE, (10, 60), 9)] = 1
    else:
        plane[ball(SHAPE, (10, 53), 6)] = plane[ball(SHAPE, (10, 67), 5)] = 1
    plane[25:35, 80:95] = 2
    plane[25:35, 98:110] = 2
    if depth == 1:
        plane[25:35, 80:110] = 2
    return plane


def movie():
    """Objects by (t, z), each plane with numbers and an order of classes of its own."""
    found, highest = {}, 0
    for time in range(2):
        for depth in range(2):
            labels = labels_at(time, depth)
            classes = {1: CELL, 2: FIBRE}
            if depth:  # the same classes with other labels
                labels, classes = np.array([0, 2, 1])[labels], {1: FIBRE, 2: CELL}
            plane = PlaneObjects.empty(SHAPE, classes).split_again(
                labels.astype(np.uint8), classes, ObjectsChoice(), highest=highest
            )
            highest = plane.edited.highest
            found[time, depth] = plane
    return found


def test_numbers_follow_objects_through_depth_and_time_and_nothing_else_changes():
    planes = movie()
    first = planes[0, 0].objects.numbers
    drifting, dividing, block = (int(first[at]) for at in ((10, 12), (10, 60), (30, 85)))
    planes[0, 1] = planes[0, 1].given({int(planes[0, 1].objects.numbers[10, 13]): 1})
    highest = max(one.edited.highest for one in planes.values())
    found = link_planes(planes, highest)
    at = {key: one.objects.numbers for key, one in found.planes.items()}
    assert {int(at[t, z][10, 12 + 3 * t + z]) for t in range(2) for z in range(2)} == {drifting}
    assert {int(at[t, z][30, 85]) for t in range(2) for z in range(2)} == {block}
    assert at[0, 1][10, 60] == at[1, 0][10, 53] == dividing  # the larger part keeps the number
    other, small = int(at[0, 0][30, 104]), int(at[1, 0][10, 67])
    assert found.events == (
        LinkEvent("split", (0, 0), dividing, tuple(sorted((dividing, small)))),
        LinkEvent("merge", (0, 1), block, tuple(sorted((block, other)))),
        LinkEvent("merge", (1, 1), block, tuple(sorted((block, int(at[1, 0][30, 104]))))),
    )
    assert found.objects == len(np.unique(np.stack(list(at.values())))) - 1
    assert found.linked >= 4
    for key, before in planes.items():
        after = found.planes[key]
        assert np.array_equal(after.objects.numbers > 0, before.objects.numbers > 0)
        for old, new in found.new[key].items():
            assert after.named(new) == before.named(old)
            assert (new in after.edited.edited) == (old in before.edited.edited)
        undone, again = after.edited.taken_back(
            Renumbering(SHAPE, {new: old for old, new in found.new[key].items()})
        )
        assert np.array_equal(undone.objects.numbers, before.objects.numbers)
        assert undone.edited == before.edited.edited
        redone, _ = undone.taken_back(again)
        assert np.array_equal(redone.objects.numbers, after.objects.numbers)
    assert found.planes[0, 1].named(drifting) == "fibre"
    assert not link_planes(found.planes, highest + 50).new[0, 1].keys() - {*np.unique(at[0, 1])}
    again = link_planes(found.planes, highest + 50)
    assert all(old == new for one in again.new.values() for old, new in one.items())
    # labels that are split again keep the linked numbers
    classes = {1: CELL, 2: FIBRE}
    split = found.planes[1, 0].split_again(labels_at(1, 0), classes, ObjectsChoice())
    assert np.array_equal(split.objects.numbers, at[1, 0])


def test_volumes_are_linked_as_arrays_of_volumes_are_in_any_order_of_the_axes():
    planes, highest = {}, 0
    for time in range(2):
        labels = [PlaneLabels(labels_at(time, depth), {1: CELL, 2: FIBRE}) for depth in range(2)]
        empty = PlaneObjects.empty(SHAPE, {})
        whole = split_volume([empty] * 2, labels, ObjectsChoice(), highest=highest)
        highest = whole.edited.highest
        planes |= {(time, depth): one for depth, one in enumerate(unstacked(whole))}
    stack = np.reshape([one.objects.numbers for one in planes.values()], (2, 2, *SHAPE))
    expected = link(objects_of(stack), highest)
    found = link_planes(planes, highest, depth=1)
    turned = link_planes({at[::-1]: one for at, one in planes.items()}, highest, depth=0)
    for time, depth in planes:
        numbers = expected.objects.numbers[time, depth]
        assert np.array_equal(found.planes[time, depth].objects.numbers, numbers)
        assert np.array_equal(turned.planes[depth, time].objects.numbers, numbers)
    assert [(one.number, one.parts) for one in found.events] == [
        (one.number, one.into) for one in expected.splits
    ]
    assert {one.plane[::-1] for one in turned.events} == {one.plane for one in found.events}
    first, second = ({*np.unique(volume).tolist()} - {0} for volume in expected.objects.numbers)
    assert (found.objects, found.linked) == (len(first | second), len(first & second))


def test_planes_are_edited_as_one():
    planes = list(link_planes(movie(), 100).planes.values())
    volume = stacked(planes)
    block = int(planes[0].objects.numbers[30, 85])
    assert volume.objects.areas[volume.objects.ids == block] == sum(
        int((one.objects.numbers == block).sum()) for one in planes
    )
    assert volume.named(block) == "fibre"
    assert all(
        np.array_equal(one.objects.numbers, other.objects.numbers)
        and [one.named(n) for n in one.objects.ids] == [other.named(n) for n in other.objects.ids]
        for one, other in zip(unstacked(volume), planes, strict=True)
    )
    edited = replace(volume, edited=volume.edited.after_edit(delete(volume.objects, [block])))
    for plane in unstacked(edited):
        assert block not in plane.objects.ids
        assert plane.edited.removed[30, 85]
    cell = volume.label_of("cell")
    given = unstacked(volume.given({block: cell}))
    assert all(one.named(block) == "cell" and block in one.edited.edited for one in given)
    mixed = stacked([given[0], *planes[1:]])  # the class by hand wins over three planes
    assert mixed.named(block) == "cell"


def test_a_volume_is_split_as_one_and_its_planes_are_edited_together():
    """Two balls that touch, on planes that are three times as far apart as pixels."""
    shape, centres = (12, 60, 90), ((6, 30, 30), (6, 30, 56))
    z, y, x = np.indices(shape)
    inside = [(3 * (z - a)) ** 2 + (y - b) ** 2 + (x - c) ** 2 <= 15**2 for a, b, c in centres]
    volume = (inside[0] | inside[1]).astype(np.uint8)
    orders = [{1: CELL, 2: FIBRE}, {1: FIBRE, 2: CELL}]
    labels = [
        PlaneLabels(np.where(plane, 1 + index % 2, 0), orders[index % 2])
        for index, plane in enumerate(volume)
    ]
    empty = [PlaneObjects.empty(shape[1:], orders[0]) for _ in volume]
    choice = ObjectsChoice(smallest=50, volume=True)
    found = split_volume(empty, labels, choice, spacing=(3, 1, 1))
    expected = split(volume, choice.settings(orders[0]), spacing=(3, 1, 1))
    assert len(expected.ids) == 2
    assert np.array_equal(found.objects.numbers, expected.numbers)
    assert [found.named(number) for number in (1, 2)] == ["cell", "cell"]
    planes = unstacked(found)
    # a cut through all planes, and a plane without labels, which keeps its objects
    halves = cut(found.objects, (0, 30), (59, 30))
    assert set(halves.ids.tolist()) == {1, 2, 3}
    assert abs(int(halves.areas[0]) - int(halves.areas[2])) < 0.15 * halves.areas[0]
    assert inside_box(found.objects, (slice(0, 60), slice(50, 90))) == []
    assert inside_box(found.objects, (slice(0, 60), slice(0, 46))) == [1]
    edited = unstacked(replace(found, edited=found.edited.after_edit(halves)))
    again = split_volume(edited, [*labels[:6], None, *labels[7:]], choice, spacing=(3, 1, 1))
    assert np.array_equal(again.objects.numbers, halves.numbers)
    assert again.edited.edited == {1, 3}
    assert planes[6].objects.areas.sum() == volume[6].sum()


def test_objects_that_cannot_have_the_number_of_another_one_keep_theirs():
    numbers = np.array([[1, 0, 2, 2, 0, 3, 3, 3]], np.int32)
    given = EditedObjects(
        objects_of(numbers), frozenset(), np.zeros(numbers.shape, bool), numbers, 3
    )
    for new, expected in (
        ({1: 3, 2: 1}, [1, 2, 3]),
        ({1: 2, 2: 1}, [2, 1, 3]),
        ({1: 2, 2: 3, 3: 1}, [2, 3, 1]),
        ({1: 8, 2: 3}, [8, 2, 3]),
    ):
        found = given.renumbered(new).objects
        assert found.numbers[0, [0, 2, 5]].tolist() == expected
        assert dict(zip(expected, [1, 2, 3], strict=True)) == dict(
            zip(found.ids, found.areas, strict=True)
        )


def test_damaged_links_of_a_record_are_ignored():
    event = LinkEvent("split", (1, 0), 3, (3, 8))
    record = SavedObjects(links={"": (event,)}).to_record()
    assert objects_in(json.loads(json.dumps(record))).links == {"": (event,)}
    for wrong in ([], ["join", [1], 3, [3]], ["split", 1, 3, [3]], ["merge", [1], -1, [True]]):
        record["links"] = {"": [wrong, ["merge", [2], 4, [4, 5]]]}
        assert objects_in(record).links == {"": (LinkEvent("merge", (2,), 4, (4, 5)),)}
    for wrong in (None, 3, {"": 7}):
        assert not any(objects_in({**record, "links": wrong}).links.values())
