"""Labels to files, one module for each format."""
