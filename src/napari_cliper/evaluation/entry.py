"""The result of one image of an evaluation, as a line of its journal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .metrics import Scores

NAME = "evaluation.jsonl"
"""File name of the journal."""


@dataclass(frozen=True, eq=False)
class Entry:
    """The result of one finished image.

    Parameters
    ----------
    name : str
        Name of the pair.
    digest : str
        SHA-256 of the image file and the true labels, to detect changes.
    scores : Scores
    labels_file : str
        Path of the predicted labels, relative to the checkpoint's folder.
    seconds : float
        Duration of the segmentation.
    notes : tuple of str
        Notes of the engine on this image.
    """

    name: str
    digest: str
    scores: Scores
    labels_file: str
    seconds: float
    notes: tuple[str, ...] = ()

    def to_record(self) -> dict[str, Any]:
        """Return a JSON-safe mapping; only nonzero cells of the confusion matrix are stored."""
        confusion, boundary = self.scores.confusion, self.scores.boundary
        mean = self.scores.mean_boundary_f1
        return {
            "name": self.name,
            "digest": self.digest,
            "confusion": [
                [int(row), int(column), int(confusion[row, column])]
                for row, column in np.argwhere(confusion)
            ],
            "boundary": {
                str(label): float(boundary[label]) for label in np.flatnonzero(~np.isnan(boundary))
            },
            "mean_boundary": None if np.isnan(mean) else mean,
            "labels": self.labels_file,
            "seconds": round(self.seconds, 4),
            "notes": list(self.notes),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any], count: int) -> Entry:
        """Restore an entry from `to_record`; `count` is the number of labels."""
        confusion = np.zeros((count, count), dtype=np.int64)
        for row, column, pixels in record["confusion"]:
            confusion[row, column] = pixels
        boundary = np.full(count, np.nan)
        for label, value in record["boundary"].items():
            boundary[int(label)] = value
        mean = record["mean_boundary"]
        return cls(
            name=record["name"],
            digest=record["digest"],
            scores=Scores(confusion, boundary, float("nan") if mean is None else mean),
            labels_file=record["labels"],
            seconds=record["seconds"],
            notes=tuple(record["notes"]),
        )
