"""Frozen networks: no gradient of a parameter is computed, and the same outputs."""

import pytest
import torch
from torch import nn

from pipeline.engine.network.freeze import freeze


def test_parameters_need_no_gradient_but_the_matrices_of_attention() -> None:
    network = nn.ModuleDict({"layer": nn.Linear(4, 4), "attention": nn.MultiheadAttention(4, 2)})
    assert freeze(network) is network
    needing = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert needing == {"attention.in_proj_weight"}  # slower frozen, see the docstring


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_a_scripted_network_is_frozen_too() -> None:
    scripted = torch.jit.script(nn.Sequential(nn.Linear(4, 4), nn.ReLU()))
    assert not any(parameter.requires_grad for parameter in freeze(scripted).parameters())
