"""Synchronisation touches the device that it is given and no other."""

import pytest
import torch

from pipeline.system.device import synchronize


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("cpu", []),
        ("cuda:1", [("cuda", torch.device("cuda:1"))]),
        ("mps", [("mps",)]),
    ],
)
def test_only_the_given_device(monkeypatch: pytest.MonkeyPatch, device: str, expected: list[object]) -> None:
    waited: list[object] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device=None: waited.append(("cuda", device)))
    monkeypatch.setattr(torch.mps, "synchronize", lambda: waited.append(("mps",)))
    synchronize(torch.device(device))
    assert waited == expected
