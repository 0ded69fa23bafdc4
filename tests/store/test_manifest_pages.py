"""Pages of a manifest: each is checked when it is first used, against damage and against untrusted paths."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.data.image_paths import PAGE, ImagePaths
from pipeline.errors import StoreError
from pipeline.store.manifest import Manifest, freeze_manifest
from pipeline.store.verify import verify
from tests.store import synthetic


@pytest.mark.parametrize("column", ["paths", "offsets", "label"])
def test_a_flipped_bit_is_found_when_its_page_is_read(tmp_path, column):
    n = 3 * PAGE
    many = Manifest(
        **{
            **vars(synthetic.manifest()),
            "paths": ImagePaths.from_bytes(b"%d.png" % number for number in range(n)),
            "label": np.arange(n, dtype=np.int32),
            "shards": np.array([0, n]),
        }
    )
    freeze_manifest(tmp_path, many)
    path = tmp_path / "manifest.h5"
    with h5py.File(path) as file:
        middle = file[column].id.get_offset() + file[column].nbytes // 2
    data = bytearray(path.read_bytes())
    data[middle] ^= 1
    path.write_bytes(data)
    manifest = Manifest.open(tmp_path)
    assert (manifest.paths[0], manifest.labels([0]), manifest.paths[n - 1]) == (b"0.png", [0], b"%d.png" % (n - 1))
    for read in (
        lambda: manifest.paths[PAGE],
        lambda: manifest.labels(slice(PAGE, PAGE + 9)),
        lambda: manifest.paths.find(b"?"),
    ):
        with pytest.raises(StoreError, match=rf"manifest\.h5 is damaged: images {PAGE} and on do not match"):
            read()
    with pytest.raises(StoreError, match="damaged"):
        verify(tmp_path)


@pytest.mark.parametrize("name", [b"/etc/passwd.png", b"../up.png", b"a/../../up.png", b"a/.."])
def test_paths_outside_the_root_are_refused(tmp_path: Path, name: bytes) -> None:
    names = [name, *(b"%d.png" % number for number in range(1, 50))]
    evil = Manifest(**{**vars(synthetic.manifest()), "paths": ImagePaths.from_bytes(names)})
    with pytest.raises(StoreError, match="outside of their root"):
        freeze_manifest(tmp_path, evil).paths[9]


def test_names_with_dots_are_allowed(tmp_path: Path) -> None:
    names = [b"..a/..b.png", b"a./...png", *(b"%d.png" % number for number in range(2, 50))]
    manifest = freeze_manifest(
        tmp_path, Manifest(**{**vars(synthetic.manifest()), "paths": ImagePaths.from_bytes(names)})
    )
    assert list(manifest.paths) == names


@pytest.mark.parametrize("offsets", [[0, 5, 4], [0, 0, 9], [1, 5, 9], [0, 5, 8]])
def test_overlapping_paths_are_refused(tmp_path: Path, offsets: list[int]) -> None:
    fields = vars(synthetic.manifest()) | {"label": np.zeros(2, np.int32), "shards": np.array([0, 2])}
    evil = Manifest(**{**fields, "paths": ImagePaths(np.frombuffer(b"a.pngb.gi", np.uint8), np.array(offsets))})
    with pytest.raises(StoreError, match=r"overlap or are empty|is damaged"):
        freeze_manifest(tmp_path, evil).paths[1]
