import argparse
import random
from pathlib import Path, PurePath

import numpy as np
import pytest
import torch

from pipeline.errors import UsageError
from pipeline.models.checkpoint_reader import read_content


def test_a_trainers_records_are_read_as_they_were(tmp_path):
    records = {
        "args": argparse.Namespace(lr=0.1, output=Path("a/b"), size=np.int64(3)),
        "scores": [np.float64(0.5), np.float32(0.25), np.bool_(True)],
        "generator": (random.getstate(), np.random.RandomState(0).get_state()),
    }
    torch.save(records, tmp_path / "w.pth")
    read = read_content(tmp_path / "w.pth")
    assert (read["args"].lr, read["args"].output, read["args"].size) == (0.1, PurePath("a/b"), 3)
    assert read["scores"] == records["scores"] and read["generator"][0] == records["generator"][0]
    assert np.array_equal(read["generator"][1][1], records["generator"][1][1])


def test_the_safe_classes_are_safe_for_this_file_alone(tmp_path):
    torch.save(argparse.Namespace(lr=0.1), tmp_path / "w.pth")
    read_content(tmp_path / "w.pth")
    with pytest.raises(Exception, match=r"argparse\.Namespace"):
        torch.load(tmp_path / "w.pth", weights_only=True)


@pytest.mark.parametrize("zipped", [True, False])
def test_bytes_damaged_anywhere_are_read_or_refused_in_one_line(tmp_path, zipped):
    content = {"model": {"a": torch.ones(3)}, "args": argparse.Namespace(lr=np.float64(0.1), output=Path("a"))}
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    whole = (tmp_path / "w.pth").read_bytes()
    draw = np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole)
        for place in draw.integers(0, len(whole), 4):
            damaged[place] = draw.integers(256)
        (tmp_path / "w.pth").write_bytes(damaged)
        try:
            read_content(tmp_path / "w.pth")
        except UsageError as refusal:
            refused += 1
            assert "\n" not in str(refusal)
    assert refused > 10
