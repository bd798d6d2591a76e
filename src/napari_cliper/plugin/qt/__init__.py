"""Small Qt helpers, independent of segmentation."""
