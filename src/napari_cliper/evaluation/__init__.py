"""Evaluation against ground truth: metrics, published benchmarks, evaluation runs, reports.

Imports neither napari nor Qt; importing it does not load torch.
"""
