"""Class folders -> class numbers of the model, by WordNet id, by their own numbers, by order, or by a class map."""

import json
import logging
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.errors import UsageError

log = logging.getLogger(__name__)

# The 1000 classes of ImageNet (ILSVRC 2012) in the order of the models' outputs: sorted by id.
WORDNET_IDS = tuple(Path(__file__).with_name("imagenet_wordnet_ids.txt").read_text(encoding="ascii").split())
ADVICE = 'give data.class_map=FILE.json, an object of {"folder name": class number}, or data.labels=false'


def class_count(n_outputs: int) -> int:
    """Number of a model's classes: one for each output, but two (class 0 and class 1) for a single output."""
    return max(n_outputs, 2)


def class_of_folder(folders: list[str], n_outputs: int, class_map: Path | None) -> np.ndarray:
    """Class number of each class folder.

    A class map decides if given. Otherwise, for a model of 1000 outputs, folders named by WordNet ids
    mean those ImageNet classes, and folders that are all named by whole numbers (leading zeros allowed) mean the
    classes of these numbers, so that a subset works; else the sorted folders are the classes 0..K-1 if the model has
    K outputs (two folders do for a single output).

    Args:
        folders: Names of all class folders, sorted, or of a data set's classes, in its order; empty if the images are
            unlabelled.
        n_outputs: Of the model.
        class_map: JSON file, an object of {folder name: class number}.

    Returns:
        Class numbers, int32 (number of folders,).

    Raises:
        UsageError: The folders do not determine the classes, or the class map is invalid.
    """
    if class_map is not None:
        return _by_class_map(folders, n_outputs, class_map)
    unknown = [folder for folder in folders if folder not in WORDNET_IDS]
    if n_outputs == 1000 and not unknown:
        return np.array([WORDNET_IDS.index(folder) for folder in folders], np.int32)
    if n_outputs == 1000 and len(unknown) < len(folders):
        raise UsageError(f"class folders that are no ImageNet class ({_first_names(unknown)}): {ADVICE}")
    if folders and all(map(is_number, folders)):
        return _by_own_number(folders, n_outputs)
    if folders and len(folders) not in (n_outputs, class_count(n_outputs)):
        names = f"{len(folders)} class folders ({_first_names(folders)})"
        raise UsageError(f"{names}, but the model has {n_outputs} outputs: {ADVICE}")
    return np.arange(len(folders), dtype=np.int32)


def names_by_folders(
    class_names: Sequence[str], folders: Sequence[str], classes: np.ndarray, default_names: Sequence[str]
) -> list[str]:
    """Class names of a model that has none of its own: the names of the class folders.

    Folders named by numbers or, for 1000 outputs, by WordNet ids name no class. ImageNet's names, the default of 1000
    outputs, stay unless the folders name all classes. A single output stays unnamed: its two classes share one name.

    Args:
        class_names: The model's.
        folders: Names of all class folders.
        classes: Their classes.
        default_names: Of a model of as many outputs without names of its own.

    Returns:
        One name for each output.
    """
    n_outputs = len(class_names)
    unnamed = list(class_names) in (list(default_names), [f"LABEL_{n}" for n in range(n_outputs)])  # Hugging Face's
    imagenet = n_outputs == len(WORDNET_IDS)
    known = all(map(is_number, folders)) or (imagenet and not set(folders) - set(WORDNET_IDS))
    if not unnamed or n_outputs == 1 or known or (imagenet and len(set(classes.tolist())) < n_outputs):
        return list(class_names)
    folders_of: dict[int, list[str]] = {}
    for folder, number in zip(folders, classes.tolist(), strict=True):
        folders_of.setdefault(number, []).append(folder)
    return [" / ".join(folders_of.get(number, [name])) for number, name in enumerate(default_names)]


def is_number(name: str) -> bool:
    """Return True if a class folder's name is a whole number, in ASCII digits: it then is a class number."""
    return name.isascii() and name.isdigit()


def _by_own_number(folders: list[str], n_outputs: int) -> np.ndarray:
    n_classes = class_count(n_outputs)
    digits = [folder.lstrip("0") or "0" for folder in folders]
    # Compared by length first: int() refuses text of thousands of digits
    beyond = [
        folder
        for folder, number in zip(folders, digits, strict=True)
        if len(number) > len(str(n_classes)) or int(number) >= n_classes
    ]
    if beyond:
        expected = f"the model has the classes 0 to {n_classes - 1}"
        raise UsageError(f"class folders named by numbers: {_first_names(beyond)} out of range, {expected}: {ADVICE}")
    return np.array(digits).astype(np.int32)


def log_order(folders: list[str], classes: np.ndarray) -> None:
    """Logs where the numbers in class folders' names and the order of these names as text disagree.

    Args:
        folders: Names of all class folders.
        classes: Their classes, by :func:`class_of_folder` without a class map.
    """
    if folders and all(map(is_number, folders)):
        if (moved := np.flatnonzero(classes != np.arange(len(folders)))).size:
            example = f"{folders[moved[0]]!r} is class {classes[moved[0]]}, not {moved[0]}"
            log.info("class folders named by numbers are the classes of these numbers (%s by order as text)", example)
        return
    if not np.array_equal(classes, np.arange(len(folders))):
        return
    natural = sorted(folders, key=lambda name: [(len(part), part) for part in re.split(r"0*(\d+)", name)])
    if folders != sorted(folders) or len({re.sub(r"\d+", "", name) for name in folders}) > 1 or natural == folders:
        return
    first = next(number for number, name in enumerate(folders) if natural[number] != name)
    log.warning(
        "class folders are numbered in the order of their names as text: %r is class %d, not %d; "
        "data.class_map gives another order",
        *(folders[first], first, natural.index(folders[first])),
    )


def _first_names(folders: list[str]) -> str:
    return ", ".join(map(repr, folders[:3])) + (", ..." if len(folders) > 3 else "")


def _by_class_map(folders: list[str], n_outputs: int, class_map: Path) -> np.ndarray:
    classes = _read_map(class_map)
    forms = [unicodedata.normalize("NFC", folder) for folder in folders]
    missing = [folder for folder, form in zip(folders, forms, strict=True) if form not in classes]
    if missing:
        raise UsageError(f"data.class_map={class_map}: {_first_names(missing)} of the class folders are not in it")
    n_classes = class_count(n_outputs)
    for form in forms:
        if type(classes[form]) is not int or classes[form] not in range(n_classes):  # true is an int in Python
            expected = f"expected an integer from 0 to {n_classes - 1}"
            raise UsageError(f"data.class_map={class_map}: {form!r} is {classes[form]!r}, {expected}")
    return np.array([classes[form] for form in forms], np.int32)


def _read_map(path: Path) -> dict[str, object]:
    """Class of each folder's name in the form NFC."""

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        classes: dict[str, object] = {}
        for name, value in pairs:
            if classes.setdefault(unicodedata.normalize("NFC", name), value) != value:
                raise UsageError(f"data.class_map={path}: {name!r} is in it twice, with different classes")
        return classes

    try:
        classes = json.loads(path.read_bytes(), object_pairs_hook=unique)
    except OSError as error:
        raise UsageError(f"data.class_map={path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"data.class_map={path} is not JSON: {error}") from error
    if not isinstance(classes, dict):
        raise UsageError(f'data.class_map={path}: expected an object of {{"folder name": class number}}')
    return classes
