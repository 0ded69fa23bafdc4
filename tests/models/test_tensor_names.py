import pytest
import torch

from pipeline.errors import UsageError
from pipeline.models.tensor_names import with_own_names

OWN = ["conv.weight", "norm.weight", "norm.num_batches_tracked"]


def tensors(names, value: float = 1.0) -> dict[str, torch.Tensor]:
    return {name: torch.full((1,), value + number) for number, name in enumerate(names)}


@pytest.mark.parametrize("outer", ["", "module.", "model.", "network.model."])
@pytest.mark.parametrize("prefix", ["", "module.", "model.", "module._orig_mod.model.", "_orig_mod.module._orig_mod."])
def test_a_prefix_of_the_file_or_of_the_network_is_no_difference(outer, prefix):
    own = [outer + name for name in OWN]
    for names in (OWN, own):  # of the bare network, and of the network with its wrapper
        state = tensors([prefix + name for name in names])
        renamed = with_own_names(state, own, source="w")
        assert list(renamed) == own and [renamed[name] for name in own] == list(state.values())


def test_names_of_the_network_come_before_any_prefix():
    own = ["model.weight", "model.model.weight"]
    assert list(with_own_names(tensors(own), own, source="w")) == own


def test_wrappers_inside_a_name_are_removed_on_both_sides():
    own = ["_orig_mod.conv.weight", "norm._checkpoint_wrapped_module.weight"]
    state = tensors(["conv._fsdp_wrapped_module.weight", "norm.weight"])
    assert list(with_own_names(state, own, source="w")) == own


def test_tensors_beside_the_prefix_are_ignored_with_a_warning_and_those_under_it_are_kept(caplog):
    state = tensors(["loss.weight", *(f"model.{name}" for name in OWN), "model.extra"])
    assert list(with_own_names(state, OWN, source="w.ckpt")) == [*OWN, "extra"]
    assert "w.ckpt: ignored tensors beside the network's: loss.weight" in caplog.text


def test_without_a_prefix_nothing_is_ignored():
    state = tensors([*OWN, "extra", "other.conv.weight"])
    assert list(with_own_names(state, OWN, source="w")) == list(state)


def test_equal_tensors_under_two_prefixes_are_one_network_and_others_are_refused():
    names = [f"model.{name}" for name in OWN], [f"copy.{name}" for name in OWN]
    first, second = tensors(names[0]), tensors(names[1])
    assert list(with_own_names(first | second, OWN, source="w")) == OWN
    with pytest.raises(UsageError, match=r"w has the tensors of the network more than once, under model\., copy\."):
        with_own_names(first | tensors(names[1], value=5), OWN, source="w")
    unlike = {name: tensor.half() for name, tensor in second.items()}
    with pytest.raises(UsageError, match="more than once"):
        with_own_names(first | unlike, OWN, source="w")


def test_names_of_another_network_lose_the_prefix_that_leads_to_most():
    state = tensors(["module.conv.weight", "module.head.weight"])
    assert list(with_own_names(state, OWN, source="w")) == ["conv.weight", "head.weight"]
    assert list(with_own_names(tensors(["a.b"]), OWN, source="w")) == ["a.b"]
