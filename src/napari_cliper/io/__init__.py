"""Files in and out: pictures, labels, overlays. Knows nothing of napari or Qt."""
