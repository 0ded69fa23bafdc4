"""Class names: the model's own, ImageNet's for 1000 outputs, else the class folders', else numbers.

``Classifier.class_names`` has one for each output; a loader whose files carry names (Hugging Face's ``id2label``) gives
them. The manifest stores them; the reader, the report, the audit and exports read them there.
"""

import difflib
import operator
import unicodedata
from collections.abc import Callable, Sequence
from typing import SupportsIndex

from torchvision.models import AlexNet_Weights

from pipeline.data.class_folders import WORDNET_IDS, class_count

# The 1000 classes of ImageNet (ILSVRC 2012) in the order of the outputs, as torchvision's weights list them.
IMAGENET_CLASSES: tuple[str, ...] = tuple(AlexNet_Weights.DEFAULT.meta["categories"])


def default_class_names(n_outputs: int) -> Sequence[str]:
    """Names of the outputs of a model that has none: ImageNet's for 1000 outputs, else ``class 0``, ``class 1``, ..."""
    if n_outputs == len(IMAGENET_CLASSES):
        return IMAGENET_CLASSES
    return [numbered_class(number) for number in range(n_outputs)]


def numbered_class(number: int) -> str:
    """The display name of a class without a name: ``class 7``, or ``(no label)`` if negative."""
    return f"class {number}" if number >= 0 else "(no label)"


def class_name(class_names: Sequence[str], number: int, *, unnamed: Callable[[int], str] = numbered_class) -> str:
    """The display name of a class.

    Args:
        class_names: The model's, by class number.
        number: Of the class; negative without a label, or where a hidden neuron is explained.
        unnamed: Number -> display name, for a number that ``class_names`` does not cover.
    """
    return class_names[number] if 0 <= number < len(class_names) else unnamed(number)


def class_number(class_names: Sequence[str], wanted: SupportsIndex | str, option: str) -> int:
    """The number of a class that is given by number or name.

    Args:
        class_names: The model's, by class number.
        wanted: Number, also -1 for rows without a class, or name, in any Unicode form. A WordNet id is a name where the
            names are ImageNet's; digits that are no name are a number.
        option: Name of the parameter, for the message.

    Raises:
        ValueError: The number is out of range, or no class, or more than one, has this name.
    """
    n_classes = class_count(len(class_names))
    if not isinstance(wanted, str):
        number = operator.index(wanted)
        if not -1 <= number < n_classes:
            raise ValueError(f"{option}={number}: expected a class number from 0 to {n_classes - 1}, or a class name")
        return number
    names = [unicodedata.normalize("NFC", class_name(class_names, number)) for number in range(n_classes)]
    name = unicodedata.normalize("NFC", wanted)
    numbers = [number for number, one in enumerate(names) if one == name]
    if len(numbers) > 1:
        raise ValueError(f"{option}={wanted!r}: the classes {numbers} have this name; give one of these numbers")
    if numbers:
        return numbers[0]
    if name in WORDNET_IDS and tuple(class_names) == IMAGENET_CLASSES:
        return WORDNET_IDS.index(name)
    if name.isascii() and name.isdigit() and len(name) < 10:
        return class_number(class_names, int(name), option)
    near = difflib.get_close_matches(name, names)
    advice = f"did you mean {' or '.join(map(repr, near))}?" if near else f"the first is {names[0]!r}"
    raise ValueError(f"{option}={wanted!r}: none of the {n_classes} classes has this name; {advice}")
