"""Synthetic microscopy scenes with ground truth, for the demo model and for tests."""
