"""Propagate user hints to similar regions of the image."""
