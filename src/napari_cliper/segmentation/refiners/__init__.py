"""Coarse score maps become refined score maps."""
