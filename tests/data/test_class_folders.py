import json
from pathlib import Path

import numpy as np
import pytest
from torchvision.models import ResNet18_Weights

from pipeline.data.class_folders import WORDNET_IDS, class_of_folder, log_order, names_by_folders
from pipeline.data.demo_photographs import DEMO_PHOTOGRAPHS
from pipeline.errors import UsageError


def test_the_ids_are_in_the_order_of_the_outputs() -> None:
    names = ResNet18_Weights.DEFAULT.meta["categories"]
    assert len(WORDNET_IDS) == len(set(WORDNET_IDS)) == len(names) == 1000
    known = {
        "n01440764": "tench",
        "n02123045": "tabby",
        "n02123159": "tiger cat",
        "n02012849": "crane bird",
        "n03126707": "crane",
        "n03710637": "maillot",
        "n03710721": "maillot tank suit",
        "n04346328": "stupa",
        "n15075141": "toilet tissue",
    }
    assert {wordnet_id: names[WORDNET_IDS.index(wordnet_id)] for wordnet_id in known} == known


def test_the_photographs_of_the_demo_have_their_classes() -> None:
    names = ResNet18_Weights.DEFAULT.meta["categories"]
    numbers = class_of_folder([photograph.wordnet_id for photograph in DEMO_PHOTOGRAPHS], 1000, None)
    expected = ["tiger cat", "military uniform", "missile", "palace", "space shuttle", "tripod", "espresso"]
    assert [names[number] for number in numbers] == expected


def test_all_of_imagenet() -> None:
    assert np.array_equal(class_of_folder(list(WORDNET_IDS), 1000, None), np.arange(1000))


def test_a_subset_of_imagenet() -> None:
    numbers = class_of_folder(["n01440764", "n02123045", "n15075141"], 1000, None)
    assert numbers.tolist() == [0, 281, 999]
    assert numbers.dtype == np.int32


def test_a_subset_of_imagenet_with_a_model_of_its_own() -> None:
    assert class_of_folder(["n01440764", "n02123045", "n15075141"], 3, None).tolist() == [0, 1, 2]


@pytest.mark.parametrize(("n_folders", "n_outputs"), [(3, 3), (2, 2), (2, 1), (1, 1), (1000, 1000), (0, 5), (0, 1000)])
def test_as_many_folders_as_outputs(n_folders: int, n_outputs: int) -> None:
    folders = [f"{number:04d}" for number in range(n_folders)]
    numbers = class_of_folder(folders, n_outputs, None)
    assert numbers.tolist() == list(range(n_folders))
    assert numbers.dtype == np.int32


@pytest.mark.parametrize(
    ("folders", "n_outputs", "numbers"),
    [
        (sorted(map(str, range(12))), 12, [0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9]),
        (["007", "10", "2"], 1000, [7, 10, 2]),
        (["0", "00", "000000000000000000000001"], 2, [0, 0, 1]),
        (["1"], 1, [1]),
    ],
)
def test_folders_named_by_numbers_are_these_classes(folders: list[str], n_outputs: int, numbers: list[int]) -> None:
    classes = class_of_folder(folders, n_outputs, None)
    assert classes.tolist() == numbers and classes.dtype == np.int32


def test_numbers_in_another_script_or_form_are_names() -> None:
    for odd in ("\u0663", "-1", "1.0", "1_0", "\u00b2"):
        assert class_of_folder(["0", odd], 2, None).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("folders", "warning"),
    [
        (["c1", "c10", "c2"], "'c10' is class 1, not 2"),
        (["c01", "c02", "c10"], None),
        (["a", "b", "c10"], None),
        (["x2", "x1", "x3"], None),  # the order of a saved data set, which is not by text
    ],
)
def test_numbered_names_in_the_order_of_text_are_logged(
    folders: list[str], warning: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    classes = class_of_folder(folders, 3, None)
    log_order(folders, classes)
    assert classes.tolist() == [0, 1, 2]
    assert (warning in caplog.text) if warning else not caplog.text


@pytest.mark.parametrize(
    ("folders", "n_outputs", "message"),
    [
        (["1", "2", "3"], 3, "'3' out of range, the model has the classes 0 to 2"),
        (["0", "9" * 5000], 10, "out of range"),
        (["cat", "dog"], 3, "2 class folders ('cat', 'dog'), but the model has 3 outputs"),
        (["train", "val"], 1000, "2 class folders ('train', 'val'), but the model has 1000 outputs"),
        (["a", "b", "c"], 1, "3 class folders ('a', 'b', 'c'), but the model has 1 outputs"),
        (["a", "b", "c", "d"], 9, "4 class folders ('a', 'b', 'c', ...)"),
        (["n01440764", "n02123045"], 10, "2 class folders"),
        (["logs", "n01440764"], 1000, "no ImageNet class ('logs')"),
    ],
)
def test_folders_that_do_not_determine_the_class_are_refused(folders: list[str], n_outputs: int, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        class_of_folder(folders, n_outputs, None)
    assert message in str(refused.value)
    assert "data.class_map=FILE.json" in str(refused.value)


def test_one_unknown_folder_among_all_of_imagenet_does_not_shift_the_others() -> None:
    folders = sorted(["n00000000", *WORDNET_IDS[1:]])
    with pytest.raises(UsageError, match="n00000000"):
        class_of_folder(folders, 1000, None)


def test_a_class_map_wins_over_folders_named_by_numbers(class_map: Path) -> None:
    class_map.write_text('{"1": 0, "2": 1, "10": 2}')
    assert class_of_folder(["1", "10", "2"], 3, class_map).tolist() == [0, 2, 1]


@pytest.fixture
def class_map(tmp_path: Path) -> Path:
    return tmp_path / "classes.json"


def test_a_class_map_decides(class_map: Path) -> None:
    class_map.write_text(json.dumps({"n01440764": 7, "cats": 281, "more cats": 281, "unused": -3}))
    numbers = class_of_folder(["cats", "more cats", "n01440764"], 1000, class_map)
    assert numbers.tolist() == [281, 281, 7]
    assert numbers.dtype == np.int32


def test_a_single_output_has_two_classes(class_map: Path) -> None:
    class_map.write_text('{"good": 1, "bad": 0}')
    assert class_of_folder(["bad", "good"], 1, class_map).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"cat": 0}', "'dog' of the class folders are not in it"),
        ('{"cat": 0, "dog": 3}', "'dog' is 3, expected an integer from 0 to 2"),
        ('{"cat": -1, "dog": 0}', "'cat' is -1, expected"),
        ('{"cat": "0", "dog": 0}', "'cat' is '0', expected"),
        ('{"cat": 0.5, "dog": 0}', "'cat' is 0.5, expected"),
        ('{"cat": true, "dog": 0}', "'cat' is True, expected"),
        ('{"cat": null, "dog": 0}', "'cat' is None, expected"),
        ('{"cat": [0], "dog": 0}', "'cat' is [0], expected"),
        ('["cat", "dog"]', "expected an object"),
        ("cat: 0", "is not JSON"),
        (b"\xff\xfe\xfd", "is not JSON"),
    ],
)
def test_invalid_class_maps_are_refused(content: str | bytes, message: str, class_map: Path) -> None:
    class_map.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError) as refused:
        class_of_folder(["cat", "dog"], 3, class_map)
    assert message in str(refused.value)
    assert str(class_map) in str(refused.value)


def test_a_missing_class_map(class_map: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        class_of_folder(["cat", "dog"], 3, class_map)


NUMBERED = ["class 0", "class 1", "class 2"]


@pytest.mark.parametrize(
    ("own", "folders", "classes", "names"),
    [
        (NUMBERED, ["bird", "dog", "fish"], [0, 1, 2], ["bird", "dog", "fish"]),
        (["LABEL_0", "LABEL_1", "LABEL_2"], ["bird", "dog"], [2, 0], ["dog", "class 1", "bird"]),
        (NUMBERED, ["cat", "lynx", "owl"], [1, 1, 2], ["class 0", "cat / lynx", "owl"]),
        (NUMBERED, ["0", "1", "02"], [0, 1, 2], NUMBERED),
        (NUMBERED, [], [], NUMBERED),
        (["a", "b", "c"], ["bird", "dog", "fish"], [0, 1, 2], ["a", "b", "c"]),
    ],
)
def test_folders_name_the_classes_of_a_model_without_names(
    own: list[str], folders: list[str], classes: list[int], names: list[str]
) -> None:
    assert names_by_folders(own, folders, np.array(classes, np.int32), NUMBERED) == names


def test_names_of_imagenet_and_of_a_single_output_stay() -> None:
    imagenet, own = [f"name {number}" for number in range(1000)], [f"folder {number:03d}" for number in range(1000)]
    assert names_by_folders(imagenet, ["cats"], np.array([281]), imagenet) == imagenet
    assert names_by_folders(imagenet, WORDNET_IDS, np.arange(1000), imagenet) == imagenet
    assert names_by_folders(imagenet, own, np.arange(1000), imagenet) == own
    assert names_by_folders(["class 0"], ["bad", "good"], np.array([0, 1]), ["class 0"]) == ["class 0"]


def test_unicode_forms_of_one_name_are_one_key_of_a_class_map(class_map: Path) -> None:
    class_map.write_text(json.dumps({"caf\u00e9": 2, "cat": 1}))
    assert class_of_folder(["cafe\u0301", "cat"], 3, class_map).tolist() == [2, 1]


def test_a_name_twice_in_a_class_map_is_refused(class_map: Path) -> None:
    for text in ('{"cat": 1, "cat": 2}', '{"caf\u00e9": 1, "cafe\u0301": 2}'):
        class_map.write_text(text)
        with pytest.raises(UsageError, match="is in it twice, with different classes"):
            class_of_folder(["cat"], 3, class_map)
