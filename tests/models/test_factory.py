import re
import sys

import pytest
import torch
from torch import nn

from pipeline.data.preprocessing import Preprocessing
from pipeline.errors import UsageError
from pipeline.methods import IntegratedGradients, LayerGradCam
from pipeline.models.classifier import Classifier
from pipeline.models.factory import build_network

SOURCE = """
from pathlib import Path
import torch
from torch import nn
Path(__file__).with_name("imported").touch()
def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
def number():
    return 3
NETWORK = 3
def needs(width):
    return nn.Linear(width, 3)
class Wide(nn.Module):
    def __init__(self, *, width):
        super().__init__()
def options(values):
    return values["absent"]
def fails():
    return nn.Linear(options({}), 3)
def fails_in_torch():
    return nn.Linear(-1, 3)
def silent():
    assert NETWORK == 4
def exits():
    raise SystemExit("no data")
def lazy():
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(3))
def meta():
    return nn.Linear(2, 3, device="meta")
def quantised():
    return torch.ao.quantization.quantize_dynamic(build(), {nn.Linear})
def scripted():
    return torch.jit.script(build().eval())
def frozen():
    return torch.jit.freeze(scripted())
def scripted_quantised():
    return torch.jit.script(quantised())
def packed():
    network = build()
    network[1].weight = nn.Parameter(torch.ones(3, 12, dtype=torch.int8), requires_grad=False)
    return network
"""


def line(text: str) -> int:
    """Number of a line of the source above, from 1."""
    return SOURCE.splitlines().index(text) + 1


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with a network, under a name of its own, installed with two entry points."""
    folder = tmp_path / "their_networks"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "small.py").write_text(SOURCE)
    (folder / "broken.py").write_text("import no_such_module_at_all\n")
    (folder / "syntax.py").write_text("\ndef build(:\n")
    (folder / "imports.py").write_text("\n\nraise OSError('no such disk')\n")
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


@pytest.mark.parametrize(
    ("function", "message", "text"),
    [
        ("needs", r"\({}\) is called without arguments.*'width'.*default", "def needs(width):"),
        ("Wide", r"\({}\) is called without arguments.*'width'.*default", "class Wide(nn.Module):"),
        ("fails", r"failed: KeyError: 'absent' \(at {}\)", '    return values["absent"]'),
        ("fails_in_torch", r"failed: .*-1.* \(at {}\)", "    return nn.Linear(-1, 3)"),
        ("silent", r"failed: AssertionError: assert NETWORK == 4 \(at {}\)", "    assert NETWORK == 4"),
        ("exits", r"failed: SystemExit: no data \(at {}\)", '    raise SystemExit("no data")'),
        ("lazy", r"\({}\): its layer 1 \(LazyLinear\) is lazy, .*evaluate the network once", "def lazy():"),
        ("meta", r"\({}\): Linear has no values in weight \(device meta\)", "def meta():"),
        ("quantised", r"\({}\): its layer 1 \(Linear\) is quantised and has no gradient", "def quantised():"),
        ("packed", r"\({}\): its layer 1 \(Linear\) is quantised \(weight is torch.int8\)", "def packed():"),
        ("frozen", r"\({}\): RecursiveScriptModule is frozen TorchScript, without weights", "def frozen():"),
        ("scripted_quantised", r"\({}\): .* is TorchScript with quantised operations", "def scripted_quantised():"),
    ],
)
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
def test_a_failing_factory_is_refused_with_its_file_and_line(package, function, message, text):
    place = f"{re.escape(str(package / 'small.py'))}:{line(text)}"
    with pytest.raises(UsageError, match=message.format(place)) as refusal:
        build_network(f"their_networks.small:{function}", allow=["their_networks"])
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(("module", "number"), [("syntax", 2), ("imports", 3), ("broken", 1)])
def test_a_module_that_cannot_be_imported_is_refused_with_its_file_and_line(package, module, number):
    place = rf"\(at {re.escape(str(package / module))}\.py:{number}\)"
    with pytest.raises(UsageError, match=rf"model\.factory=their_networks\.{module}:build failed: .*{place}"):
        build_network(f"their_networks.{module}:build", allow=["their_networks"])


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_torchscript_is_explained_without_a_copy(package):
    preprocessing = Preprocessing(None, (2, 2), mean=(0.5,) * 3, std=(0.5,) * 3)
    built = {
        name: build_network(f"their_networks.small:{name}", allow="their_networks") for name in ("build", "scripted")
    }
    eager, scripted = (Classifier.wrap(net, name, preprocessing=preprocessing) for name, net in built.items())
    assert scripted.weights_sha256 == eager.weights_sha256
    assert not any(parameter.requires_grad for parameter in scripted.module.parameters())
    images = torch.rand(2, 3, 2, 2)
    maps = [IntegratedGradients(each.module, n_steps=3)(images, [0, 2]) for each in (eager, scripted)]
    assert maps[0].abs().max() > 0
    torch.testing.assert_close(*maps)
    with pytest.raises(ValueError, match="layer: 1 is inside TorchScript"):
        LayerGradCam(scripted.module, layer="1")
