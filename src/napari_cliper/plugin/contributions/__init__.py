"""What the manifest offers to napari: reader, writers and sample data."""
