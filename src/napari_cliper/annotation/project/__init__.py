"""Annotation projects: image list, annotations, classes, prototypes and settings in one folder."""
