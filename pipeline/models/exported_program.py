"""Reading of a network exported by torch.export, a ``.pt2`` program."""

import zipfile
from pathlib import Path

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.fx import GraphModule

from pipeline.errors import UsageError


def read_program(path: Path) -> nn.Module:
    """Reads an exported network that takes batches (N, 3, H, W) of any N.

    A ``.pt2`` is a program: reading it can run code, so take it only from where you would take a Python package.
    Export in eval mode: the export fixes the behaviour of dropout and batch normalisation.

    Raises:
        UsageError: The file is missing or damaged, or its program takes one fixed batch size.
    """
    if not path.is_file():
        raise UsageError(f"no weights file {path}")
    if not zipfile.is_zipfile(path):
        raise UsageError(f"{path} is damaged or no file of torch.export.save")
    try:
        program = torch.export.load(path)
    except (RuntimeError, ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} is damaged or was exported by a newer PyTorch: export it again") from error
    if isinstance(_batch_size(program), int):
        raise UsageError(
            f"{path} was exported for batches of {_batch_size(program)}: export it again with "
            "dynamic_shapes=({0: torch.export.Dim.DYNAMIC},) and an example of two images"
        )
    module = program.module()
    # The program's own module raises in eval(), which is called on every network.
    return GraphModule(module, module.graph)


def _batch_size(program: ExportedProgram) -> int | torch.SymInt:
    """Batch size of the first input; a SymInt if it is dynamic."""
    name = program.graph_signature.user_inputs[0]
    node = next(node for node in program.graph.nodes if node.name == name)
    size: int | torch.SymInt = node.meta["val"].shape[0]
    return size
