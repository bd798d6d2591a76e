"""The neural networks and their weight files; each heavy library is imported in one module only."""
