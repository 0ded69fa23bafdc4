"""Reading of a file of weights, by the format that its bytes have; no code that it names is run."""

import argparse
import collections
import pickle
import re
import struct
import tarfile
import types
import warnings
import zipfile
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch.serialization import safe_globals

from pipeline.errors import UsageError

# What a damaged or hostile pickle raises in PyTorch's reader of weights alone, and a cut file in the zip around it.
DAMAGED = (
    *(SafetensorError, pickle.UnpicklingError, struct.error, RuntimeError, EOFError, OverflowError, MemoryError),
    *(zipfile.BadZipFile, ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError),
)
REFUSED_GLOBAL = re.compile(r"(?:GLOBAL|[Uu]nsupported class) ([\w.]+)")
SAVE_ALONE = "where it was written, save the weights alone: torch.save(network.state_dict(), FILE)"


def read_content(path: Path) -> Any:
    """Reads a file of safetensors or torch.save, whatever its name ends in.

    Of a pickle, tensors, plain Python values and the records in which trainers keep their options are built
    (``safe_records``), by PyTorch's ``weights_only`` reader.

    Raises:
        UsageError: The file is missing, damaged, of another format, or has objects of another class.
    """
    if not path.is_file():
        raise UsageError(f"no weights file {path}")
    try:
        _refuse_archives(path)
        if _is_safetensors(path):
            return load_file(path)
        with path.open("rb") as file, safe_globals(safe_records()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about sparse and quantised tensors, which are refused by name
            return torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    except DAMAGED as error:
        refused = REFUSED_GLOBAL.search(str(error)) if isinstance(error, pickle.UnpicklingError) else None
        if refused:
            raise UsageError(
                f"{path} has more than tensors ({refused[1]}), which could run code and is not read: {SAVE_ALONE}"
            ) from error
        raise UsageError(
            f"{path} is damaged, or no file of torch.save or safetensors: download it again, or {SAVE_ALONE}"
        ) from error


def safe_records() -> list[Any]:
    """Classes of a trainer's options and scores: argparse's namespace, NumPy's numbers and arrays, paths.

    Building one runs no code of the file. A pair is a class and the name that files have for it.
    """
    reducible: tuple[Any, Any] = (np.float64(), np.zeros(()))
    scalar, array = (value.__reduce__()[0] for value in reducible)  # NumPy has no public name for these functions
    numbers = {type(np.dtype(kind)) for kind in "?bhilqBHILQefd"}
    renamed = [
        (function, f"{module}.{function.__name__}")
        for module in ("numpy.core.multiarray", "numpy._core.multiarray")
        for function in (scalar, array)
    ]
    # PurePath: a WindowsPath cannot be built here.
    paths = [
        (PureWindowsPath if "Windows" in name else PurePosixPath, f"{module}.{name}")
        for module in ("pathlib", "pathlib._local")
        for name in ("Path", "PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath")
    ]
    containers = [argparse.Namespace, types.SimpleNamespace, collections.defaultdict, dict, list, int, float]
    return [*containers, np.dtype, np.ndarray, *numbers, *renamed, *paths]


def _is_safetensors(path: Path) -> bool:
    """True for a file that begins as safetensors does: 8 bytes, the header's length, and a JSON object."""
    with path.open("rb") as file:
        start = file.read(9)
    return start[8:] == b"{" or (path.suffix == ".safetensors" and not start.startswith(b"PK"))


def _refuse_archives(path: Path) -> None:
    """Raises UsageError for a TorchScript archive, an exported program, and a tar."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            # Files of torch.save have one folder, with data.pkl in it.
            files = {name.split("/", 1)[-1] for name in archive.namelist()}
        if "constants.pkl" in files:
            raise UsageError(
                f"{path} is a TorchScript archive, a program and not weights alone: give model=checkpoint "
                "model.weights=null and model.factory, a function that returns torch.jit.load of it, or save "
                "torch.jit.load(FILE).state_dict() with torch.save"
            )
        if files & {"archive_format", "serialized_exported_program.json"}:
            raise UsageError(
                f"{path} is a program of torch.export and not weights alone: give model=checkpoint "
                "model.weights=FILE.pt2 without factory and architecture"
            )
    elif tarfile.is_tarfile(path):
        raise UsageError(
            f"{path} is a tar archive, as torch.save wrote before PyTorch 0.1.10, and is not read: unpack it, or load "
            "it with torch.load(FILE, weights_only=False) if you trust it, and save it again with torch.save"
        )
