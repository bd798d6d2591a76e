"""The panels of the dock and its dialogs."""
