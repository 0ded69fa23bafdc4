"""Class names: the model's own, ImageNet's for 1000 outputs, else numbers.

``Classifier.class_names`` has one for each output; a loader whose files carry names (Hugging Face's ``id2label``) gives
them. The manifest stores them; the reader, the report, the audit and exports read them there.
"""

from collections.abc import Callable, Sequence

from torchvision.models import AlexNet_Weights

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
