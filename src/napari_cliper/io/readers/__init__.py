"""Readers of labels, one module per family of formats."""
