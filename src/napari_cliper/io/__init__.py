"""Files in and out: images, labels, overlays. Knows nothing of napari or Qt."""
