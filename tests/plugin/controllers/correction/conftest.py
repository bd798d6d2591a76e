"""A dock whose image is ready for corrections."""

from __future__ import annotations

import pytest


@pytest.fixture
def result(dock, run, settle):
    """The dock after a run, its image ready for corrections."""
    dock.result.show_both(True)
    run(dock)
    settle(dock)
    return dock
