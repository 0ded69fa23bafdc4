"""Similar classes: pairs whose mean maps differ from the mean of all in the same way."""

import numpy as np

from pipeline.audit.findings import ClassFindings
from pipeline.audit.similar_classes import MIN_MAPS, similar_classes


def classes(*images: int) -> list[ClassFindings]:
    return [
        ClassFindings(number, f"class {number}", count, 0, None, None, None, mean=number)
        for number, count in enumerate(images)
    ]


def mean_maps(*cells: int) -> np.ndarray:
    means = np.full((len(cells), 256), 1 / 512)
    means[np.arange(len(cells)), list(cells)] += 1 / 2
    return means


def test_classes_with_the_same_peak_are_similar() -> None:
    found = similar_classes(classes(9, 9, 9, 9), mean_maps(5, 40, 5, 80), 10)
    assert [(one.first, one.second) for one in found] == [(0, 2)]
    assert found[0].similarity > 0.99 and found[0].first_name == "class 0"


def test_the_list_is_limited_and_ordered() -> None:
    means = mean_maps(5, 5, 40, 40, 80)
    means[1] += np.linspace(0, 1e-2, 256)
    found = similar_classes(classes(9, 9, 9, 9, 9), means, 10)
    assert [(one.first, one.second) for one in found] == [(2, 3), (0, 1)]
    assert similar_classes(classes(9, 9, 9, 9, 9), means, 1) == found[:1]


def test_two_classes_or_small_ones_are_not_compared() -> None:
    assert similar_classes(classes(9, 9), mean_maps(5, 5), 10) == []
    assert similar_classes(classes(9, 9, MIN_MAPS - 1), mean_maps(5, 5, 40), 10) == []
