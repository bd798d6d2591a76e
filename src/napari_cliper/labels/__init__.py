"""Classes and labelled images in memory. Knows no file format, no napari and no Qt."""
