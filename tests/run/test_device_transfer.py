"""Networks and images on the device: found, cast, normalised there."""

import pytest
import torch

from pipeline.data.preprocessing import Preprocessing
from pipeline.errors import UsageError
from pipeline.run.device_transfer import DTYPES, find_device, to_network_input
from tests.conftest import Prepare


@pytest.mark.parametrize("dtype", DTYPES.values())
def test_pixels_become_the_networks_input(dtype: torch.dtype) -> None:
    pixels = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)
    mean, std = (0.5, 0.25, 0.0), (0.5, 0.25, 1.0)
    images = to_network_input(pixels, Preprocessing(None, (4, 5), mean, std), torch.device("cpu"), dtype)
    columns = (torch.tensor(values, dtype=torch.float64)[:, None, None] for values in (mean, std))
    expected = (pixels.double() / 255 - next(columns)) / next(columns)
    assert images.dtype == dtype
    torch.testing.assert_close(images.double(), expected, rtol=0, atol=16 * torch.finfo(dtype).eps)


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_device("cpu") == "cpu"
    assert find_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(UsageError, match="device=toaster") as caught:
        find_device("toaster")
    assert "\n" not in str(caught.value)


def test_network_is_frozen_and_in_the_requested_dtype(job: Prepare) -> None:
    module = job("dtype=float64").classifier.module
    assert not module.training
    assert {(p.dtype, p.requires_grad) for p in module.parameters()} == {(torch.float64, False)}


@pytest.mark.parametrize("dtype", ["float32", "tf32"])
def test_tf32_is_on_for_its_dtype_alone(job: Prepare, dtype: str) -> None:
    job(f"dtype={dtype}")
    assert torch.backends.cudnn.allow_tf32 is torch.backends.cuda.matmul.allow_tf32 is (dtype == "tf32")
    torch.export.export(torch.nn.Conv2d(3, 4, 3), (torch.zeros(1, 3, 8, 8),))  # refuses flags that differ
