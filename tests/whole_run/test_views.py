"""Layers and hidden neurons from the command line to the reader."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import pipeline
from pipeline.data.decode import read_image
from pipeline.errors import UsageError
from pipeline.methods import Conductance, InputXGradient, Saliency
from pipeline.run.job import Job
from pipeline.store.reader import Run
from pipeline.store.schema import fingerprint
from pipeline.view import LayerView, NeuronView
from tests.conftest import Prepare, Status

Finished = Callable[..., tuple[Run, Job]]

LAYER = ("method=input_x_gradient", "view=layer", "layer='2'", "dtype=float64", "store.dtype=float64")
NEURON = ("method=saliency", "view=neuron", "layer='2'", "neuron=[3,1,2]", "store.dtype=float32", "store.channels=keep")


@pytest.fixture
def finished(explain: Status, job: Prepare, tmp_path: Path) -> Finished:
    """A run of four photographs, and its job."""

    def made(*arguments: str) -> tuple[Run, Job]:
        arguments = (*arguments, "data.limit=4", f"output_dir={tmp_path / str(len(list(tmp_path.iterdir())))}")
        assert explain(*arguments) == 0
        again = job(*arguments)
        return pipeline.open_run(again.run), again

    return made


def seen(run: Run, job: Job) -> Tensor:
    """The images as the network gets them."""
    preprocessing = job.classifier.preprocessing
    paths = dict.fromkeys(explanation.path for explanation in run)
    pixels = torch.stack([preprocessing(read_image(path))[0] for path in paths])
    return preprocessing.normalize(pixels.to(job.dtype) / 255)


def test_a_layers_maps_are_stored_in_its_shape_and_read_in_the_images(finished: Finished) -> None:
    run, job = finished(*LAYER, "store.channels=keep", "target=[4,2]")
    x, network = seen(run, job), job.classifier.module
    expected = InputXGradient(LayerView(network, layer="2"))(x, 2)
    found = [explanation for explanation in run if explanation.target == 2]
    np.testing.assert_allclose(np.stack([one.native for one in found]), expected, rtol=1e-9, atol=1e-12)
    assert found[0].native.shape == (16, 6, 6) and found[0].map.shape == (1, 32, 32)
    assert run.attributes["options"]["view"] == "layer" and run.attributes["options"]["layer"] == "2"
    summed, _ = finished(*LAYER, "target=[4,2]")
    np.testing.assert_allclose(summed[0].native, run[0].native.sum(0, keepdims=True), rtol=1e-6)
    np.testing.assert_allclose(summed[0].map, run[0].map, rtol=1e-5, atol=1e-6)


def test_a_layer_without_places_is_read_as_it_is(finished: Finished) -> None:
    run, _ = finished("method=activation", "view=layer", "layer='6'")
    assert run[0].native.shape == (1000,)
    np.testing.assert_allclose(run[0].native, run[0].prediction, rtol=1e-3, atol=1e-3)
    with pytest.raises(ValueError, match="no positions in the image"):
        _ = run[0].map
    assert (run.folder / "report" / "index.html").exists()


def test_a_neuron_has_a_value_and_no_class(finished: Finished) -> None:
    run, job = finished(*NEURON)
    x, network = seen(run, job), job.classifier.module
    view = NeuronView(network, layer="2", neuron=[3, 1, 2])
    np.testing.assert_allclose(np.stack([one.native for one in run]), Saliency(view)(x), rtol=1e-4, atol=1e-7)
    table = run.table()
    assert (table["target"] == -1).all()
    np.testing.assert_allclose(table["score"], network[:3](x)[:, 3, 1, 2].detach(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(table["prediction"], network(x).detach(), rtol=1e-4, atol=1e-5)
    assert "neuron [3, 1, 2] of 2" in (run.folder / "report" / "index.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("method=grad_cam", "view=layer", "layer='2'"), "method=grad_cam has a layer of its own; leave view=input"),
        (("method=occlusion", "view=layer", "layer='2'"), "Occlusion gives maps of the input, not of the layer"),
        (("method=conductance",), "Conductance gives maps of the layer, not of the input: choose view=layer"),
        (("view=layer", "layer=22"), "no layer '22'"),
        ((*NEURON, "target=3"), "target=3: view=neuron explains a neuron and no class"),
        ((*NEURON, "output=probability"), "a neuron has a value and no probability"),
        ((*NEURON[:3], "neuron=[3,1]"), r"\[3, 1\] is no index in the \(16, 6, 6\) values that 2 has for an image"),
        ((*NEURON[:3], "neuron=x"), "neuron: a list of whole numbers"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_any_work(
    job: Prepare, arguments: tuple[str, ...], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        job(*(argument.replace("layer=22", "layer='22'") for argument in arguments))


def test_the_fingerprint_covers_the_view(job: Prepare) -> None:
    views = [
        ("method=saliency",),
        ("method=saliency", "view=layer", "layer='2'"),
        ("method=saliency", "view=layer", "layer='0'"),
        ("method=saliency", "view=neuron", "layer='2'", "neuron=[3,1,2]"),
        ("method=saliency", "view=neuron", "layer='2'", "neuron=[3,1,3]"),
    ]
    assert len({fingerprint(job(*arguments).identity) for arguments in views}) == len(views)


def test_conductance_runs(finished: Finished) -> None:
    run, job = finished("method=conductance", "view=layer", "layer='2'", "n_steps=7", "target=4", "store.channels=keep")
    assert isinstance(job.method, Conductance) and set(run.table()["evaluations"]) == {10}
