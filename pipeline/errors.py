"""Errors with a message for the user, by the exit status of the command that they end; and the failure of an image."""

from dataclasses import dataclass


class UsageError(Exception):
    """A wrong argument, configuration, data folder or weights file: one line for the user, exit status 2."""


class MissingExtra(UsageError):
    """A package that only an extra of this project installs is missing."""

    def __init__(self, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the extra '{extra}': pip install 'image-attribution-pipeline[{extra}]'")


class StoreError(Exception):
    """The run's folder cannot be used: it is of another job, damaged or not writable. Exit status 4."""


@dataclass(frozen=True)
class Failure:
    """An image that could not be explained.

    Attributes:
        index: Number of the image in the manifest.
        stage: The stage that failed: ``read`` (the file), ``model`` (its outputs), ``map`` (the attribution) or
            ``killed`` (the image killed the process and is quarantined).
        error: The reason, as text.
    """

    index: int
    stage: str
    error: str
