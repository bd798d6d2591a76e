"""Objects: separate, numbered parts of an image, each with a class. Pure functions."""
