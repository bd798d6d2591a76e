"""Coarse score maps become refined score maps: one file for each refiner.

To add a refiner, copy ``template.py`` to a new file and add a row to the table in ``table.py``.
"""
