"""Controllers connect panels, layers and the engine."""
