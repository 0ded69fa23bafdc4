"""The forms in which training writes weights, each written as its library does; docs/recipes.md lists the same."""

import argparse
import pickle
import tarfile
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

State = dict[str, Tensor]


class OwnOptions:
    pass


def network(seed: int = 0, outputs: int = 4) -> nn.Module:
    torch.manual_seed(seed)
    layers = [nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(2, outputs)).eval()


def prefixed(state: State, prefix: str) -> State:
    return OrderedDict((prefix + name, tensor) for name, tensor in state.items())


def trainer(**parts: Any) -> dict[str, Any]:
    """A dict as torchvision's and timm's scripts write it."""
    args = argparse.Namespace(model="resnet18", lr=0.1, output=Path("runs/one"), world_size=np.int64(2))
    optimizer = torch.optim.SGD(network().parameters(), momentum=0.9).state_dict()
    return {"epoch": 2, "optimizer": optimizer, "args": args, "metric": np.float64(71.2), **parts}


def lightning(state: State) -> dict[str, Any]:
    callbacks = {"ModelCheckpoint{'monitor': 'val'}": {"best_model_score": torch.tensor(0.5), "dirpath": "/runs"}}
    return {
        "epoch": 2,
        "global_step": 40,
        "pytorch-lightning_version": "2.4.0",
        "state_dict": OrderedDict(state),
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 3}}}},
        "callbacks": callbacks,
        "optimizer_states": [torch.optim.SGD(network().parameters()).state_dict()],
        "lr_schedulers": [],
        "hparams_name": "kwargs",
        "hyper_parameters": {"lr": 0.1, "root": Path("/data"), "weights": np.float32(0.5)},
    }


def averaged_model(seed: int = 1) -> State:
    """The state dict of torch.optim.swa_utils.AveragedModel, as torchvision's reference writes under ``model_ema``."""
    return dict(AveragedModel(network(seed)).state_dict())


def timm_saver(folder: Path, **options: Any) -> Path:
    from timm.utils import CheckpointSaver

    model = network()
    args = argparse.Namespace(model="resnet18", lr=0.1)
    saver = CheckpointSaver(
        model,
        torch.optim.SGD(model.parameters(), momentum=0.9),
        args=args,
        checkpoint_dir=str(folder),
        recovery_dir=str(folder),
        **options,
    )
    saver.save_checkpoint(2, metric=np.float64(71.2))
    return folder / "model_best.pth.tar"


def timm_ema(folder: Path) -> Path:
    from timm.utils import ModelEmaV3

    return timm_saver(folder, model_ema=ModelEmaV3(network(1)))


def saved(content: Any, **options: Any) -> Callable[[Path], Path]:
    """Writes a content, or what it returns, with torch.save."""

    def write(folder: Path) -> Path:
        torch.save(content() if callable(content) else content, folder / "w.pth", **options)
        return folder / "w.pth"

    return write


def safetensors(folder: Path) -> Path:
    save_file(network().state_dict(), folder / "w.safetensors")
    return folder / "w.safetensors"


def safetensors_of_another_name(folder: Path) -> Path:
    return safetensors(folder).rename(folder / "pytorch_model.bin")


def torch_save_of_another_name(folder: Path) -> Path:
    return saved(state)(folder).rename(folder / "w.safetensors")


def torchscript(folder: Path) -> Path:
    with without_deprecations():
        torch.jit.save(torch.jit.script(network()), folder / "w.pt")
    return folder / "w.pt"


@contextmanager
def without_deprecations() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def program(folder: Path) -> Path:
    torch.export.save(torch.export.export(network(), (torch.zeros(2, 3, 8, 8),)), folder / "w.pt2")
    return folder / "w.pt2"


def tar(folder: Path) -> Path:
    """The format of before PyTorch 0.1.10: a tar with the pickle, its storages and tensors as members."""
    for member in ("pickle", "storages", "tensors"):
        (folder / member).write_bytes(pickle.dumps(0))
    with tarfile.open(folder / "w.pth.tar", "w") as archive:
        for member in ("pickle", "storages", "tensors"):
            archive.add(folder / member, member)
    return folder / "w.pth.tar"


def with_first(change: Callable[[Tensor], Tensor]) -> Callable[[Path], Path]:
    """The state dict with another tensor in place of its first."""

    def content() -> State:
        first, *_ = state()
        return {**state(), first: change(state()[first])}

    return saved_quietly(content)


def saved_quietly(content: Callable[[], Any]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        with without_deprecations():
            return saved(content)(folder)

    return write


def quantised(tensor: Tensor) -> Tensor:
    return torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8)


def state() -> State:
    return dict(network().state_dict())


READ: dict[str, Callable[[Path], Path]] = {
    "`torch.save(network.state_dict(), ...)`": saved(lambda: network().state_dict()),
    "the same of before PyTorch 1.6": saved(state, _use_new_zipfile_serialization=False),
    "the same in half precision": saved(lambda: network().half().state_dict()),
    "`.safetensors`": safetensors,
    "`.safetensors` under another suffix": safetensors_of_another_name,
    "`torch.save` under another suffix": torch_save_of_another_name,
    "torchvision's reference training": saved(
        lambda: trainer(model=state(), lr_scheduler={"last_epoch": 2}, scaler={"scale": 65536.0})
    ),
    "torchvision's reference training with EMA": saved(lambda: trainer(model=state(), model_ema=averaged_model())),
    "timm's `model_best.pth.tar`": timm_saver,
    "PyTorch Lightning's `.ckpt`": saved(lambda: lightning(prefixed(state(), "model."))),
    "Lightning, compiled": saved(lambda: lightning(prefixed(state(), "model._orig_mod."))),
    "Lightning, another attribute": saved(lambda: lightning(prefixed(state(), "classifier.net."))),
    "Lightning with a loss's tensors": saved(
        lambda: lightning({"loss.weight": torch.ones(4), **prefixed(state(), "model.")})
    ),
    "Lightning with an EMA beside the network": saved(
        lambda: lightning(prefixed(state(), "model.") | prefixed(averaged_model(), "ema_model."))
    ),
    "DistributedDataParallel": saved(lambda: prefixed(state(), "module.")),
    "`torch.compile`": saved(lambda: prefixed(state(), "_orig_mod.")),
    "`torch.compile(DDP)`": saved(lambda: {"state_dict": prefixed(state(), "_orig_mod.module.")}),
    "`DDP(torch.compile)`, twice": saved(lambda: prefixed(state(), "module._orig_mod.module._orig_mod.")),
    "a compiled layer": saved(lambda: {name.replace("1.", "1._orig_mod.", 1): t for name, t in state().items()}),
    "`model_state_dict`": saved(lambda: {"model_state_dict": state(), "optimizer_state_dict": {}, "loss": 0.3}),
    "`net`": saved(lambda: {"net": state(), "epoch": 3}),
    "`model`": saved(lambda: {"model": state()}),
    "DeepSpeed's `module`": saved(lambda: {"module": state()}),
    "BasicSR's `params`": saved(lambda: {"params": state(), "params_ema": dict(network(1).state_dict())}),
    "one state dict under any other key": saved(lambda: {"student": state()}),
    "a dict in a dict": saved(lambda: {"model": {"state_dict": state(), "arch": "small"}}),
    "no batch counters": saved(lambda: {name: t for name, t in state().items() if "num_batches" not in name}),
}
"""Form -> writer into a folder; each has the weights of ``network()``."""

EMA_READ: dict[str, Callable[[Path], Path]] = {
    "timm's `model_best.pth.tar` with EMA": timm_ema,
    "EMA under `model_ema`": READ["torchvision's reference training with EMA"],
    "EMA under `ema_state_dict`": saved(lambda: {"ema_state_dict": dict(network(1).state_dict()), "model": state()}),
    "EMA under `params_ema`": READ["BasicSR's `params`"],
    "EMA under `ema_model.`": READ["Lightning with an EMA beside the network"],
}
"""With ``model.state=ema``, each has the weights of ``network(1)``, and plain those of ``network()``."""
REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a pickled network": (
        saved(network),
        r"more than tensors \(torch\.nn\.modules\.container\.Sequential\), which",
    ),
    "options of a class of its own": (
        saved(lambda: trainer(model=state(), config=OwnOptions())),
        r"more than tensors \(tests\.models\.checkpoint_forms\.OwnOptions\), which could run code",
    ),
    "a TorchScript archive": (torchscript, r"is a TorchScript archive.*model\.factory"),
    "a program of `torch.export`": (program, r"is a program of torch\.export.*model\.weights=FILE\.pt2"),
    "the tar of before PyTorch 0.1.10": (tar, "is a tar archive, .*unpack it"),
    "int8 tensors": (with_first(lambda tensor: tensor.to(torch.int8)), r"0\.weight is torch\.int8, expected torch\.fl"),
    "bool tensors": (with_first(lambda tensor: tensor > 0), r"0\.weight is torch\.bool, expected torch\.float32"),
    "complex tensors": (
        with_first(lambda tensor: tensor + 1j),
        r"0\.weight is torch\.complex64, expected torch\.float",
    ),
    "sparse tensors": (
        with_first(lambda tensor: tensor.to_sparse()),
        r"0\.weight is torch\.sparse_coo, expected",
    ),
    "quantised tensors": (with_first(quantised), r"0\.weight is torch\.qint8, expected torch\.float32"),
    "a dynamically quantised network": (
        saved_quietly(lambda: torch.ao.quantization.quantize_dynamic(network(), {nn.Linear}).state_dict()),
        "among its tensors are other values",
    ),
    "meta tensors": (with_first(lambda tensor: tensor.to("meta")), r"0\.weight has no values \(device meta\)"),
    "NaN in the weights": (with_first(lambda tensor: tensor * torch.nan), r"0\.weight has values that are not numbers"),
    "values beyond float32": (with_first(lambda tensor: tensor.double() + 1e300), r"0\.weight has values beyond those"),
    "several state dicts, no known key": (
        saved(lambda: {"teacher": state(), "student": state()}),
        "has several state dicts, teacher, student",
    ),
    "the network twice, with other values": (
        saved(lambda: prefixed(state(), "query.") | prefixed(dict(network(1).state_dict()), "key.")),
        "more than once, under query., key.",
    ),
    "an optimizer alone": (saved(lambda: {"optimizer": trainer()["optimizer"]}), "has no state dict: its keys are opt"),
    "a list of tensors": (saved(lambda: list(state().values())), "has no state dict: it has a list"),
}
"""Form -> writer into a folder, and what the message has."""
