"""`python -m napari_cliper` is the command line."""

from .cli.commands import main

main()
