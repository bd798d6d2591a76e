"""`python -m napari_cliper` is the command line."""

from .cli import main

main()
