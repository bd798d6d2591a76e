"""Small Qt helpers that know nothing of segmentation."""
