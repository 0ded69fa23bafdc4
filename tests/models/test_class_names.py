"""The display name of a class, wherever its name comes from."""

import pytest
from torchvision.models import ResNet18_Weights

from pipeline.models.class_names import IMAGENET_CLASSES, class_name, default_class_names

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
