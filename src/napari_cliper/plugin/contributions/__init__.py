"""The reader, writers and sample data of the napari manifest."""
