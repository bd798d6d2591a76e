"""Patch features and text vectors or prototypes become score maps."""
