"""Members of one sample: joined by the name up to the first dot; the last never wins."""

import pytest

from pipeline.data.samples import Member, Samples
from pipeline.errors import UsageError


def samples(images: str = "", **labels: str) -> Samples:
    """Images by name, in order, and labels of ``a`` by ending."""
    joined = Samples("x.tar")
    for header, name in enumerate(images.split()):
        joined.add_image(Member(name, header, 0, 1))
    for header, (ending, label) in enumerate(labels.items(), 100):
        joined.add_label(Member(f"a.{ending.replace('_', '.')}", header, 0, 1), label.encode())
    return joined


@pytest.mark.parametrize(
    ("name", "key", "ending", "extension"),
    [
        ("a.jpg", "/a", "jpg", ".jpg"),
        ("v1.0/x/22.05.JPG", "v1.0/x/22", "05.jpg", ".jpg"),
        ("x/none", "x/none", "", ""),
        ("cafe\u0301.png", "/caf\u00e9", "png", ".png"),
    ],
)
def test_the_key_ends_at_the_first_dot_of_the_last_part(name: str, key: str, ending: str, extension: str) -> None:
    member = Member(name, 0, 0, 0)
    assert (member.key, member.ending, member.extension) == (key, ending, extension)


@pytest.mark.parametrize(
    ("images", "chosen", "left_out"),
    [
        ("b.jpg a.jpg", "b.jpg a.jpg", 0),
        ("a.jpg a.seg.png b.jpg", "a.jpg b.jpg", 1),
        ("a.depth.png a.seg.png a.jpg", "a.jpg", 2),
        ("a.v2.jpg", "a.v2.jpg", 0),
        ("b.jpg a.jpg b.png", "b.jpg a.jpg b.png", 0),
    ],
)
def test_a_further_field_is_no_image_of_its_own(images: str, chosen: str, left_out: int) -> None:
    members, number = samples(images).images()
    assert ([member.name for member in members], number) == (chosen.split(), left_out)


def test_two_images_in_the_place_of_one_are_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"'a\.05\.jpg' \(byte 0\) and 'a\.06\.jpg' .* up to the first dot"):
        samples("a.05.jpg a.06.jpg").images()
    for twice in ("a.jpg a.jpg", "a.jpg b.jpg a.JPG", "caf\u00e9.jpg cafe\u0301.jpg"):
        with pytest.raises(UsageError, match=r"x\.tar.* are both \.jpg of one sample"):
            samples(twice)


@pytest.mark.parametrize(
    ("labels", "label"),
    [
        ({"cls": "3"}, b"3"),
        ({"json": "3", "cls": "03"}, b"3"),
        ({"cls": "", "json": "3"}, b"3"),
        ({"x_json": "4", "cls": "3"}, b"3"),
        ({"x_cls": "4"}, b"4"),
    ],
)
def test_labels_that_agree(labels: dict[str, str], label: bytes) -> None:
    joined = samples("a.jpg", **labels)
    assert joined.label(joined.images()[0][0]) == label


@pytest.mark.parametrize(
    "labels", [{"cls": "3", "json": "4"}, {"cls": "3", "json": "cat"}, {"x_cls": "1", "y_cls": "2"}]
)
def test_labels_that_differ_are_refused_by_name(labels: dict[str, str]) -> None:
    joined = samples("a.jpg", **labels)
    with pytest.raises(UsageError, match=r"'a\..*' .* and 'a\..*' .* are labels of one sample and differ, '"):
        joined.label(joined.images()[0][0])
