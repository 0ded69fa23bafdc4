"""The display name of a class, wherever its name comes from."""

import pytest
from torchvision.models import ResNet18_Weights

from pipeline.models.class_names import IMAGENET_CLASSES, class_name, class_number, default_class_names

NAMES = ["cat", "dog"]


def test_a_model_of_1000_outputs_has_imagenets_names() -> None:
    assert list(default_class_names(1000)) == list(IMAGENET_CLASSES) == ResNet18_Weights.DEFAULT.meta["categories"]


@pytest.mark.parametrize("n_outputs", [1, 2, 999])
def test_other_models_have_numbers(n_outputs: int) -> None:
    assert list(default_class_names(n_outputs)) == [f"class {number}" for number in range(n_outputs)]


@pytest.mark.parametrize(("number", "name"), [(1, "dog"), (2, "class 2"), (-1, "(no label)")])
def test_a_class_without_a_name_has_its_number(number: int, name: str) -> None:
    assert class_name(NAMES, number) == name


@pytest.mark.parametrize(("number", "name"), [(1, "dog"), (2, "2"), (-1, "-1")])
def test_a_caller_may_give_another_rule_for_classes_without_a_name(number: int, name: str) -> None:
    assert class_name(NAMES, number, unnamed=str) == name


@pytest.mark.parametrize(
    ("wanted", "number"), [("dog", 1), ("cafe\u0301", 2), ("caf\u00e9", 2), (1, 1), (-1, -1), ("0", 0)]
)
def test_a_class_is_given_by_name_or_number(wanted: int | str, number: int) -> None:
    assert class_number([*NAMES, "caf\u00e9"], wanted, "label") == number


def test_wordnet_ids_name_the_classes_of_imagenet() -> None:
    assert (
        class_number(IMAGENET_CLASSES, "n02123045", "label") == class_number(IMAGENET_CLASSES, "tabby", "label") == 281
    )


def test_a_single_output_has_two_classes() -> None:
    assert class_number(["class 0"], 1, "label") == class_number(["class 0"], "class 1", "label") == 1


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("dgo", r"label='dgo': none of the 3 classes has this name; did you mean 'dog'\?"),
        ("xyz", "the first is 'cat'"),
        ("cat", r"the classes \[0, 2\] have this name"),
        (3, "label=3: expected a class number from 0 to 2"),
        ("3", "label=3: expected a class number from 0 to 2"),
        (-2, "label=-2: expected"),
    ],
)
def test_no_class_or_several_are_refused(wanted: int | str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        class_number(["cat", "dog", "cat"], wanted, "label")
