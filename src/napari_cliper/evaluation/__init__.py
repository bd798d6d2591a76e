"""How well labels agree with ground truth: metrics, published protocols, runs, reports.

Knows nothing of napari or Qt; importing it loads no torch.
"""
