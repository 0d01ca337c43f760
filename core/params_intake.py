"""Parameters of what is taken in of files that somebody gives."""

from __future__ import annotations

from pydantic import Field

from core.frozen import Frozen


class IntakeParams(Frozen):
    """The bounds of a given file: batches of new data, and files of labels."""

    max_file_mb: int = Field(ge=1, description="Size in MiB of the largest file that is taken.")
    max_decoded_mb: int = Field(
        ge=1, description="Size in MiB of the largest file once it is decompressed and decoded."
    )
    max_rows: int = Field(ge=1, description="Most rows of a file.")
    max_columns: int = Field(ge=1, description="Most columns of a file.")
    max_labels: int = Field(ge=1, description="Most labels in one file of labels.")
    reader_mb: int = Field(
        ge=256, description="Memory in MiB of the process that reads a Parquet file."
    )
    at_once: int = Field(ge=1, description="Files that are taken in at a time.")
    wait_s: float = Field(
        ge=0, description="Seconds a file waits for its turn until it is refused."
    )

    @property
    def max_bytes(self) -> int:
        """Size in bytes of the largest file that is taken."""
        return self.max_file_mb << 20
