"""Stacks in projects are read plane by plane."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_cliper.annotation.export import readers_of
from napari_cliper.annotation.project.project import Project
from napari_cliper.demo.scenes import make_scene
from napari_cliper.io import images
from napari_cliper.io.tiff_decoding import LazyTiff
from napari_cliper.plugin.layers.image_group import value_range

STACK = np.stack([make_scene((64, 80), 1_000_008 + z).image[..., 0] for z in range(5)])


@pytest.mark.one_binding
def test_a_stack_is_shown_run_saved_and_exported_without_reading_all_of_it(
    dock, run, qtbot, tmp_path, monkeypatch
):
    path, controller = tmp_path / "stack.ome.tif", dock.project_controller
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 2.0}
    tifffile.imwrite(path, STACK.astype(np.uint16) * 16, metadata={"axes": "ZYX", **sizes})
    monkeypatch.setattr(images, "LAZY_PIXELS", 64 * 80)
    planes = []
    inside = LazyTiff.__getitem__

    def counted(self, index):
        found = inside(self, index)
        planes.append(found.size / (64 * 80))
        return found

    controller.create(tmp_path / "project", [path])
    qtbot.waitUntil(lambda: controller.current == "stack.ome" and controller.idle)
    layer = controller.layer
    assert isinstance(layer.data, LazyTiff)
    assert layer.axis_labels == ("z", "y", "x")
    assert tuple(layer.contrast_limits) == value_range(layer.data)
    monkeypatch.setattr(LazyTiff, "__getitem__", counted)
    dock.image_panel.images.setCurrentText("stack.ome")
    assert dock.image_panel.value().contrast() is None  # the limits are napari's own
    dock.viewer.dims.set_point(0, 2 * 3)
    with monkeypatch.context() as patch:
        patch.setattr(tifffile.TiffPageSeries, "asarray", None)  # reads all of it
        run(dock)
    assert "(percentiles 0.1 and 99.9)" in dock.status_panel.message.text()
    drawn = dock.annotation_controller.begin(layer, layer.name).layer
    drawn.data_setitem(tuple(np.array([[3], [20], [30]])), 1)
    assert controller.save_now()
    project = Project.open(tmp_path / "project")
    (read,) = [one() for one in readers_of(project)]
    (touched,) = [one for one in read.planes() if not one.ignored.all()]
    assert touched.name == "stack.ome_z3"
    np.testing.assert_array_equal(touched.image, STACK[3].astype(np.uint16) * 16)
    np.testing.assert_array_equal(touched.labels, drawn.data[3])
    assert max(planes) == 1  # never more than one at once

    # An export has what there was when it began, whatever is painted and saved meanwhile
    annotation, then = dock.annotation_controller.of(layer), drawn.data.copy()
    alone, together = annotation.gathered(), controller.exported()
    drawn.data_setitem(tuple(np.array([[3, 4], [40, 41], [50, 51]])), 1)
    assert controller.save_now()
    for one in (alone(), *together.gather()):
        np.testing.assert_array_equal(one.labels, then)
        np.testing.assert_array_equal(one.ignored, then == 0)
