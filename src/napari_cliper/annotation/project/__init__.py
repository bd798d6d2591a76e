"""An annotation project: a folder with everything but the networks."""
