import sys

import pytest
import torch
from torch import nn

from pipeline.errors import UsageError
from pipeline.models.factory import build_network

SOURCE = """
from pathlib import Path
from torch import nn
Path(__file__).with_name("imported").touch()
def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
def number():
    return 3
NETWORK = 3
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with a network, under a name of its own, installed with two entry points."""
    folder = tmp_path / "their_networks"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "small.py").write_text(SOURCE)
    (folder / "broken.py").write_text("import no_such_module_at_all\n")
    information = tmp_path / "their_networks-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: their-networks\nVersion: 1.0\n")
    entry = "[image_attribution_pipeline.models]\nsmall = their_networks.small:build\n"
    (information / "entry_points.txt").write_text(entry)
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.split(".")[0] == "their_networks"]:
        del sys.modules[name]


@pytest.mark.parametrize("allow", [["their_networks"], ["other", "their_networks"], "their_networks"])
def test_an_allowed_factory_builds_the_same_network_in_every_process(package, allow):
    first = build_network("their_networks.small:build", allow=allow)
    torch.rand(3)
    assert isinstance(first, nn.Sequential)
    assert torch.equal(build_network("their_networks.small:build", allow=allow)[1].weight, first[1].weight)


@pytest.mark.parametrize(
    "allow", [[], ["their"], ["networks"], ["their_networks.small"], ["Their_networks"], "xtheir_networks"]
)
def test_a_package_that_is_not_allowed_letter_for_letter_is_never_imported(package, allow):
    with pytest.raises(UsageError, match=r"code of 'their_networks': allow it with model\.allow=\[their_networks\]"):
        build_network("their_networks.small:build", allow=allow)
    assert not (package / "imported").exists()


def test_an_entry_point_needs_no_allow(package):
    assert isinstance(build_network("small", allow=[]), nn.Sequential)
    with pytest.raises(UsageError, match=r"model\.factory=smal: .* \(.*small.*\)"):
        build_network("smal", allow=[])


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("their_networks.absent:build", "No module named 'their_networks.absent'"),
        ("their_networks.broken:build", "No module named 'no_such_module_at_all'"),
        ("their_networks.small:absent", "has no 'absent'"),
        ("their_networks.small:build.fn", "has no 'build.fn'"),
        ("their_networks.small:NETWORK", "is no function"),
        ("their_networks.small:number", "returned int, expected torch.nn.Module"),
    ],
)
def test_an_invalid_factory_is_refused_in_one_line(package, factory, message):
    with pytest.raises(UsageError, match=message):
        build_network(factory, allow=["their_networks"])
