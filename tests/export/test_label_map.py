"""Identifiers and names of classes in ViRelAy's label map."""

import json
from pathlib import Path

import pipeline
from pipeline.export.label_map import FILE, class_identifiers, write_labels
from pipeline.export.run_excerpt import Excerpt
from tests.export.conftest import CLASSES, WriteRun


def test_a_class_has_the_wordnet_id_of_its_folder_else_its_number(write_run: WriteRun) -> None:
    excerpt = Excerpt.of(pipeline.open_run(write_run()))
    assert class_identifiers(excerpt) == {0: "n01440764", 1: "n01443537", 2: "2", 3: "3"}


def test_unlabelled_images_have_a_class_of_their_own(write_run: WriteRun, tmp_path: Path) -> None:
    excerpt = Excerpt.of(pipeline.open_run(write_run(labelled=False)))
    identifiers = write_labels(excerpt, tmp_path / "out")
    assert identifiers == {number: str(number) for number in range(-1, CLASSES)}
    entries = json.loads((tmp_path / "out" / FILE).read_text())
    assert [(entry["index"], entry["word_net_id"]) for entry in entries] == [*identifiers.items()]
    assert [entry["name"] for entry in entries] == ["(no label)", "tench", "goldfish", "zebra", "<b>&"]
