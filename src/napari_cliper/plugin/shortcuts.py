"""The keys of the dock in napari's notation; none is used by napari itself.

All but undo and redo work whichever layer is active. Letters alone are those that napari leaves
free on every layer.
"""

from __future__ import annotations

RUN = "Alt-R"
SWAP_STAGES = "Alt-X"
"""Switch between the coarse and the refined map."""
ACCEPT = "Alt-A"
"""Accept what is shown."""
ACCEPT_REGION = "Q"
"""Accept the predicted region under the cursor."""
REJECT_REGION = "W"
"""Add a background click under the cursor: none of the classes is there."""
CLICK = "H"
"""Add a click of the chosen class under the cursor."""
PAINT = "G"
"""Paint a spot of the chosen class under the cursor, as large as the brush."""
MOVE_CURSOR = {
    "Shift-Up": (-1, 0),
    "Shift-Down": (1, 0),
    "Shift-Left": (0, -1),
    "Shift-Right": (0, 1),
}
"""Move the cursor by rows and columns of steps."""
NEXT_UNCERTAIN = "U"
"""Go to the next uncertain place."""
NEXT_OUTLINE = "J"
"""Show the next outline of the object."""
KEEP_OUTLINE = "K"
"""Paint the outlined object into the annotation."""
NEXT_CLASS, PREVIOUS_CLASS = "Alt-N", "Alt-B"
NTH_CLASS = tuple(f"Alt-{number}" for number in range(1, 10))
BACKGROUND_CLASS = "Alt-0"
"""Classes to paint and click."""

UNDO, REDO = "Ctrl+Z", "Ctrl+Shift+Z"
"""As in napari's Labels layers, on ours and on the clicks; on a Mac napari reads Ctrl as Cmd."""
