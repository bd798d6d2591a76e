"""`napari-cliper merge`: merge the journals of the shards of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ._console import out, readable_errors
from ._path_arguments import given_path


def merge(
    output: Annotated[
        Path, typer.Argument(help="The folder of results of runs with --shard.", parser=given_path)
    ],
) -> None:
    """Merge the journals of all shards of a segment run into one.

    Afterwards the folder is as after a run without shards, with uncertainty.csv of all images.
    """
    with readable_errors():
        from ..workflows.result_files import write_uncertainty  # noqa: PLC0415 - torch
        from ..workflows.segment_run import merge_shards  # noqa: PLC0415 - torch

        journal = merge_shards(output)
        write_uncertainty(output, journal)
        records = [one for run in journal.runs for one in run.entries.values()]
        failed = sum("error" in one for one in records)
        out.print(f"Merged. Images: {len(records):,}. Failed: {failed:,}.", highlight=False)
