import copy
import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pipeline.errors import UsageError
from pipeline.models.weights import fill, fixed_seed, load_weights, read_weights, weights_sha256


def network(outputs: int = 4, *, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, outputs))


class Payload:
    """A pickle that creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    "pack",
    [
        lambda state: state,
        lambda state: {"epoch": 3, "state_dict": state},
        lambda state: {"model": state},
        lambda state: {"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}},
        lambda state: {f"_orig_mod.{name}": tensor for name, tensor in state.items()},
        lambda state: {f"module._orig_mod.{name}": tensor for name, tensor in state.items()},
    ],
)
def test_state_dicts_are_read_and_their_prefix_is_removed(tmp_path, pack):
    state = network().state_dict()
    torch.save(pack(state), tmp_path / "w.pth")
    read = network(seed=1)
    load_weights(read, read_weights(tmp_path / "w.pth"), source="w.pth")
    assert all(torch.equal(tensor, state[name]) for name, tensor in read.state_dict().items())


def test_the_same_weights_in_another_file_have_the_same_hash(tmp_path):
    trained = network()
    save_file(trained.state_dict(), tmp_path / "w.safetensors")
    torch.save({"model": trained.state_dict()}, tmp_path / "w.pth")
    hashes = set()
    for name in ("w.safetensors", "w.pth"):
        other = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 4))
        load_weights(other, read_weights(tmp_path / name), source=name)
        hashes.add(weights_sha256(other))
    assert hashes == {weights_sha256(trained)}


def test_the_hash_is_of_names_dtypes_shapes_and_bytes():
    def linear(**options) -> nn.Module:
        return nn.ModuleDict({"a": nn.Linear(2, 1, bias=False, **options)})

    trained = linear()
    with torch.no_grad():
        trained["a"].weight.copy_(torch.tensor([[1.0, -2.0]]))
    expected = hashlib.sha256(b"a.weight torch.float32 (1, 2)\n" + b"\x00\x00\x80\x3f\x00\x00\x00\xc0")
    assert weights_sha256(trained) == expected.hexdigest()
    changed = copy.deepcopy(trained)
    changed["a"].weight.data[0, 1] += 1e-6
    renamed = nn.ModuleDict({"b": trained["a"]})
    transposed = copy.deepcopy(trained)
    transposed["a"].weight = nn.Parameter(trained["a"].weight.T)
    cast = copy.deepcopy(trained).bfloat16()
    assert len({weights_sha256(each) for each in (trained, changed, renamed, transposed, cast)}) == 5


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    "damage", [lambda content: b"", lambda content: content[: len(content) // 2], lambda _: b"x" * 99]
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path, suffix, damage):
    path = tmp_path / f"w{suffix}"
    state = network().state_dict()
    torch.save(state, path) if suffix == ".pth" else save_file(state, path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UsageError, match=f"w{suffix} is damaged") as refusal:
        read_weights(path)
    assert "\n" not in str(refusal.value)


def test_a_file_without_a_state_dict_is_refused_and_its_pickle_never_run(tmp_path):
    torch.save({"model": Payload(tmp_path / "ran")}, tmp_path / "evil.pth")
    torch.save(network(), tmp_path / "pickled.pth")
    for name in ("evil.pth", "pickled.pth"):
        with pytest.raises(UsageError, match="has more than tensors"):
            read_weights(tmp_path / name)
    assert not (tmp_path / "ran").exists()
    for content in ([1, 2], {}, {"optimizer": {"lr": 1}}, {"state_dict": {"a": 1}}):
        torch.save(content, tmp_path / "other.pth")
        with pytest.raises(UsageError, match="has no state dict"):
            read_weights(tmp_path / "other.pth")
    with pytest.raises(UsageError, match="no weights file"):
        read_weights(tmp_path / "absent.pth")


def test_mismatching_weights_are_counted_and_named():
    state = network().state_dict()
    state["extra"] = torch.zeros(1)
    state["3.bias"] = torch.zeros(9)
    for name in ("0.weight", "0.bias", "1.weight", "1.bias"):
        del state[name]
    with pytest.raises(UsageError) as refusal:
        load_weights(network(), state, source="w.pth")
    assert str(refusal.value) == (
        "w.pth does not fit Sequential: of 9 tensors 4 missing (0.weight, 0.bias, 1.weight, ...), "
        "1 unexpected (extra), 1 of another shape (3.bias (9,) for (4,))"
    )


def test_files_without_the_batch_counter_load():
    state = {name: tensor + 1 for name, tensor in network().state_dict().items() if "num_batches" not in name}
    loaded = network()
    load_weights(loaded, state, source="old.pth")
    assert all(torch.equal(loaded.state_dict()[name], tensor) for name, tensor in state.items())


def test_fill_builds_as_many_outputs_as_the_weights_have():
    built = []

    def build(outputs: int) -> nn.Module:
        built.append(outputs)
        return network(outputs)

    assert fill(build, network(7).state_dict(), n_outputs=10, source="w")[3].out_features == 7
    assert fill(build, network(10).state_dict(), n_outputs=10, source="w")[3].out_features == 10
    assert built == [10, 7, 10]
    with pytest.raises(UsageError, match="missing"):
        fill(build, {"3.weight": torch.zeros(7, 2)}, n_outputs=10, source="w")


def test_fixed_seed_repeats_and_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with fixed_seed():
        first = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    with fixed_seed():
        assert torch.equal(torch.rand(3), first)
