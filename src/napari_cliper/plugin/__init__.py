"""The napari plugin: a dock widget that asks the engine and shows what comes back."""
