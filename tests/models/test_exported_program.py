import pytest
import torch
from torch import nn

from pipeline.errors import UsageError
from pipeline.models.exported_program import read_program
from pipeline.models.weights import weights_sha256


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(4, 5)).eval()


def export(path, images: torch.Tensor, **options) -> None:
    torch.export.save(torch.export.export(network(), (images,), **options), path)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("pt2") / "my-network.pt2"
    export(path, torch.zeros(2, 3, 16, 16), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    return path


def test_program_is_the_network_for_any_batch(program):
    own, read = network(), read_program(program).eval()
    assert weights_sha256(read) == weights_sha256(own)
    for size in (1, 3):
        images = torch.randn(size, 3, 16, 16, requires_grad=True)
        assert torch.allclose(read(images), own(images), atol=1e-6)
        gradients = [torch.autograd.grad(each(images).sum(), images)[0] for each in (read, own)]
        assert torch.allclose(*gradients, atol=1e-6)
        assert gradients[0].abs().sum() > 0


def test_program_for_one_batch_size_is_refused(tmp_path):
    export(tmp_path / "fixed.pt2", torch.zeros(1, 3, 16, 16))
    with pytest.raises(UsageError, match=r"exported for batches of 1: .*Dim\.DYNAMIC"):
        read_program(tmp_path / "fixed.pt2")


def test_a_damaged_or_missing_program_is_refused_in_one_line(tmp_path, program):
    with pytest.raises(UsageError, match="no weights file"):
        read_program(tmp_path / "absent.pt2")
    (tmp_path / "half.pt2").write_bytes(program.read_bytes()[:4000])
    torch.save(network().state_dict(), tmp_path / "weights.pt2")
    for name in ("half.pt2", "weights.pt2"):
        with pytest.raises(UsageError, match=f"{name} is damaged") as refusal:
            read_program(tmp_path / name)
        assert "\n" not in str(refusal.value)
