"""Refiners, which sharpen the borders of coarse score maps; one file each.

To add a refiner, copy ``template.py`` to a new file and add a row to the table in ``table.py``.
"""
