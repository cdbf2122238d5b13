"""The state of a training after its last whole epoch, so that one that was ended goes on.

One file, replaced whole: whoever reads it sees one epoch or the next. It is only a cache: what it
says follows from the training set and the configuration, whose identity stands in it.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unfinished:
    """Where the state is, and whose it has to be.

    Attributes:
        file: in an existing folder that outlives the training.
        identity: of everything that the weights follow from; the state of another training is
            left aside and replaced.
    """

    file: Path
    identity: str

    def read(self) -> dict[str, Any] | None:
        """The state of this training; None: there is none."""
        if not self.file.is_file():
            return None
        try:
            # weights_only: tensors and plain values, no code.
            state = torch.load(self.file, map_location="cpu", weights_only=True)
        except Exception as error:  # whatever a damaged file does to torch
            _logger.warning(
                "%s cannot be read (%s: %s): training starts from its beginning",
                self.file,
                type(error).__name__,
                str(error).partition("\n")[0],
            )
            return None
        if state.get("identity") != self.identity:
            _logger.info("%s is of another training and is left aside", self.file)
            return None
        return dict(state)

    def write(self, state: dict[str, Any]) -> None:
        """Replace what is there: tensors and plain values."""
        # One name, so that what a kill leaves here is written over and does not grow.
        beside = self.file.with_name(f".{self.file.name}.next")
        try:
            with beside.open("wb") as opened:
                torch.save({"identity": self.identity, **state}, opened)
                opened.flush()
                os.fsync(opened.fileno())
            os.replace(beside, self.file)
        finally:
            beside.unlink(missing_ok=True)
