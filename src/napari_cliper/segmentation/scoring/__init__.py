"""Compute score maps from patch features and text embeddings or prototypes."""
