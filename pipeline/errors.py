"""The errors that a user meets, by the exit status that they end the command with."""

from dataclasses import dataclass


class UsageError(Exception):
    """A wrong argument, configuration, data folder or weights file: one line for the user, exit status 2."""


class MissingExtra(UsageError):
    """A package that only an extra of this project installs is not there."""

    def __init__(self, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the extra '{extra}': pip install 'image-attribution-pipeline[{extra}]'")


class StoreError(Exception):
    """The store refuses: a run folder of another job, or damage found. Exit status 4."""


@dataclass(frozen=True)
class Failure:
    """An image that could not be explained.

    Attributes:
        index: Number of the image in the manifest.
        stage: Where it failed: ``read`` (the file), ``model`` (its outputs), ``map`` (the attribution) or ``killed``
            (the process died of it).
        error: The reason, in words.
    """

    index: int
    stage: str
    error: str
