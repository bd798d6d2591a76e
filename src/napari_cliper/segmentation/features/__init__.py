"""From an image to patch features: preprocessing, sliding windows and feature extraction."""
