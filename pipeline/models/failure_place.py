"""Place and reason of an exception of the user's code, for a message of one line."""

import traceback
from pathlib import Path

import torch

LIBRARIES = tuple(f"{folder}/" for folder in (Path(__file__).parents[1], *torch.__path__))
"""Folders of this package and PyTorch."""


def failure_place(error: BaseException, package: str | None = None) -> str:
    """``FILE:LINE`` of the innermost frame in a package; empty if there is none.

    Args:
        error: As caught.
        package: Its name; None: any code but PyTorch's and this package's.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    places = [
        f"{frame.f_code.co_filename}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if (
            not frame.f_code.co_filename.startswith((*LIBRARIES, "<"))
            if package is None
            else str(frame.f_globals.get("__name__")).split(".")[0] == package
        )
    ]
    return places[-1] if places else ""


def failure_reason(error: BaseException) -> str:
    """The exception's message in one line; without one, its class and the line of code that raised it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        source = traceback.extract_tb(error.__traceback__)[-1:]
        return " ".join([f"{type(error).__name__}:", *(frame.line or "" for frame in source)]).strip(": ")
    # TorchScript's message is a traceback of the script, with the error in its last line.
    message = lines[-1] if "TorchScript interpreter" in lines[0] else lines[0]
    return message if isinstance(error, RuntimeError | ValueError) else f"{type(error).__name__}: {message}"
