"""An image through the networks: preprocessing, tiles, patch features."""
