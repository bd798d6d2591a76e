"""The napari plugin: a dock widget that runs the engine and shows its results."""
