"""What connects panels, layers and the engine."""
