"""napari layers that the plugin reads, creates and keeps up to date."""
