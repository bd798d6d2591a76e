"""Annotation of images without a user interface: hints, clean-up, merging, projects, export."""
