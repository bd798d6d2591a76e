"""The networks and their files: one module for each heavy library."""
