"""Hints of the user become shifts of the scores elsewhere in the image."""
