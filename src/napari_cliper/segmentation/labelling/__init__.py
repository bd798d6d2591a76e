"""Score maps become labels and uncertainty."""
