"""How CLIP's patches are read and compared with words: one file for each published method.

To add a method, copy ``template.py`` to a new file and add a row to the table in ``table.py``.
"""
