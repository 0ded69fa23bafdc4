"""A decoded batch becomes rows: right columns, targets and precision; what is not finite becomes a failure."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.data.batch import Batch
from pipeline.data.preprocessing import Preprocessing
from pipeline.errors import Failure
from pipeline.methods import FeatureAblation, IntegratedGradients, Occlusion, Saliency
from pipeline.models.classifier import Classifier
from pipeline.models.output_space import OutputSpace
from pipeline.run.explain import explain_batch, targets_of, to_store
from pipeline.run.job import Job
from pipeline.view import View
from tests.conftest import Prepare
from tests.networks import small_vgg

SIZE = (40, 56)
PREPROCESSING = Preprocessing(None, SIZE, mean=(0.0,) * 3, std=(1.0,) * 3)
NUMBERS = np.array([7, 3, 11, 5])
JobOf = Callable[..., Job]


class Root(nn.Module):
    """Gives NaN for an image that is all white, and a slope of 0 times infinity for one that is all black."""

    def __init__(self) -> None:
        super().__init__()
        self.network = small_vgg()

    def forward(self, points: Tensor) -> Tensor:
        undefined = torch.where(points.mean((1, 2, 3)) == 1, torch.nan, 0.0)
        return self.network(points) + (points.square().sum((1, 2, 3)).sqrt() + undefined)[:, None]


@pytest.fixture
def job_of(job: Prepare) -> JobOf:
    """A job of a network and a method of it, with images labelled by their number."""

    def made(network: nn.Module, method: type = Saliency, *arguments: str, **options: Any) -> Job:
        prepared = job("method=saliency", "dtype=float64", "store.dtype=float64", *arguments)
        classifier = Classifier.wrap(network.double(), "test", preprocessing=PREPROCESSING)
        view = View(classifier.module, output=prepared.options.output, preprocessing=PREPROCESSING)
        built = method(view, **options)
        geometry = built.geometry((3, *SIZE), prepared.options.store.channels)
        labels = np.arange(20, dtype=np.int32) % 10
        return replace(prepared, classifier=classifier, method=built, geometry=geometry, labels=labels)

    return made


def batch_of(count: int = 4, failures: list[Failure] | None = None) -> Batch:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 3, *SIZE), generator=generator, dtype=torch.uint8)
    crops = np.arange(6 * count, dtype=np.int32).reshape(count, 6)
    return Batch(pixels, NUMBERS[:count], crops, failures or [])


def test_values_of_an_image_and_target_are_in_its_row(job_of: JobOf) -> None:
    job = job_of(small_vgg(), IntegratedGradients, "target=[4,2]", "store.channels=keep", n_steps="auto", tol=0.02)
    rows = explain_batch(job, batch_of())
    rows.validate()
    images = job.classifier.preprocessing.normalize(batch_of().pixels.double() / 255)
    targets = torch.tensor([[4, 2]]).expand(len(images), -1)
    attributions = job.method.explain(images, targets, scores=job.method.scores(images, targets), seeds=torch.zeros(4))
    assert isinstance(attributions.evaluations, torch.Tensor) and attributions.error_estimate is not None
    assert rows.columns["evaluations"].tolist() == attributions.evaluations.repeat_interleave(2).tolist()
    np.testing.assert_allclose(rows.columns["error_estimate"], attributions.error_estimate.flatten(), rtol=1e-6)
    assert len(set(rows.columns["error_estimate"].tolist())) == 8


def test_columns(job_of: JobOf) -> None:
    job, batch = job_of(small_vgg(), IntegratedGradients, "target=[4,2]", "store.channels=keep", n_steps=3), batch_of()
    rows = explain_batch(job, batch)
    rows.validate()
    images = batch.pixels.double() / 255
    with torch.no_grad():
        logits = job.classifier.module(images)
        start = job.classifier.module(torch.zeros_like(images[:1]))[0]
    columns = rows.columns
    assert columns["index"].tolist() == [7, 7, 3, 3, 11, 11, 5, 5]
    assert columns["label"].tolist() == [7, 7, 3, 3, 1, 1, 5, 5]
    assert columns["target"].tolist() == [4, 2] * 4
    assert columns["predicted"].tolist() == np.repeat(logits.argmax(1).numpy(), 2).tolist()
    assert columns["evaluations"].tolist() == [5] * 8
    assert np.isnan(columns["error_estimate"]).all()
    assert columns["crop"].tolist() == np.repeat(batch.crop, 2, 0).tolist()
    np.testing.assert_allclose(columns["prediction"], logits.numpy().repeat(2, 0), rtol=1e-6)
    np.testing.assert_allclose(columns["score"], logits[:, [4, 2]].flatten(), rtol=1e-6)
    np.testing.assert_allclose(columns["baseline_score"], start[[4, 2]].repeat(4), rtol=1e-6)
    for column, target in enumerate([4, 2]):
        maps = job.method(images, target).numpy()
        np.testing.assert_allclose(columns["attribution"][column::2], maps, rtol=1e-9, atol=1e-12)
        delta = maps.sum((1, 2, 3)) - (logits[:, target] - start[target]).numpy()
        np.testing.assert_allclose(columns["convergence_delta"][column::2], delta, rtol=1e-4, atol=1e-8)
    assert not rows.failures


def test_evaluations_of_each_image(job_of: JobOf) -> None:
    halves = torch.zeros(4, 1, *SIZE, dtype=torch.int64)
    halves[1:3, :, :, 20:] = 1
    rows = explain_batch(job_of(small_vgg(), FeatureAblation, "target=[4,2]", feature_mask=halves), batch_of())
    rows.validate()
    assert rows.columns["evaluations"].tolist() == [3, 3, 4, 4, 4, 4, 3, 3]


def test_summed_channels_and_the_grid_of_windows(job_of: JobOf) -> None:
    batch, images = batch_of(), batch_of().pixels.double() / 255
    summed = job_of(small_vgg(), Saliency, "target=1", "store.channels=sum", abs=False)
    found = explain_batch(summed, batch).columns["attribution"]
    np.testing.assert_allclose(found, summed.method(images, 1).sum(1, keepdim=True), rtol=1e-9, atol=1e-12)
    windows = job_of(small_vgg(), Occlusion, "target=1", sliding_window_shapes=(3, 15, 15), strides=(3, 9, 9))
    native = torch.from_numpy(explain_batch(windows, batch).columns["attribution"])
    assert native.shape == (4, 1, 4, 6)
    expected = windows.method(images, 1).sum(1, keepdim=True)
    torch.testing.assert_close(windows.geometry.expand(native), expected, rtol=1e-9, atol=1e-12)


def test_scores_are_of_the_output_and_predictions_are_logits(job_of: JobOf) -> None:
    columns = explain_batch(job_of(small_vgg(), Saliency, "target=top3", "output=probability"), batch_of()).columns
    logits = torch.from_numpy(columns["prediction"])
    expected = logits.softmax(1).gather(1, torch.from_numpy(columns["target"]).long()[:, None])[:, 0]
    np.testing.assert_allclose(columns["score"], expected, rtol=1e-5)
    assert (columns["score"].reshape(4, 3) == -np.sort(-columns["score"].reshape(4, 3))).all()


def test_values_that_are_not_finite_are_failures_of_their_image_alone(job_of: JobOf) -> None:
    job = job_of(Root(), IntegratedGradients, "target=[4,2]", n_steps=2, quadrature="riemann_left", baselines="mean")
    unreadable = Failure(9, "read", "it is a text")
    batch = batch_of(failures=[unreadable])
    expected = explain_batch(job, batch)
    batch.pixels[0], batch.pixels[2] = 255, 0  # images 7 and 11
    rows = explain_batch(job, batch)
    rows.validate()
    assert [(failure.index, failure.stage) for failure in rows.failures] == [(9, "read"), (7, "model"), (11, "map")]
    assert "not finite" in rows.failures[1].error and "not finite" in rows.failures[2].error
    assert rows.columns["index"].tolist() == [3, 3, 5, 5]
    for name, values in rows.columns.items():
        np.testing.assert_allclose(values, expected.columns[name][[2, 3, 6, 7]], rtol=1e-6, atol=1e-9, err_msg=name)


def test_nothing_can_be_explained(job_of: JobOf) -> None:
    job = job_of(Root(), Saliency, "target=1")
    batch = batch_of(2)
    batch.pixels[0], batch.pixels[1] = 255, 0
    rows = explain_batch(job, batch)
    assert len(rows) == 0 and [failure.stage for failure in rows.failures] == ["model", "map"]
    batch.pixels[:] = 255
    assert [failure.stage for failure in explain_batch(job, batch).failures] == ["model", "model"]
    empty = explain_batch(job, batch_of(0, [Failure(9, "read", "it is a text")]))
    assert len(empty) == 0 and [failure.index for failure in empty.failures] == [9]


def test_a_row_does_not_depend_on_its_batch(job_of: JobOf) -> None:
    job = job_of(small_vgg(), IntegratedGradients, "target=top3", n_steps=3, baselines="noise")
    together = explain_batch(job, batch_of())
    for position in range(4):
        one = batch_of()
        alone = explain_batch(job, Batch(*(values[[position]] for values in (one.pixels, one.index, one.crop)), []))
        for name, values in alone.columns.items():
            expected = together.columns[name][3 * position : 3 * position + 3]
            np.testing.assert_allclose(values, expected, rtol=1e-6, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("largest", [1e-30, 1e-6, 1.0, 3e4, 1e20])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_float16_adds_at_most_its_rounding_whatever_the_size(largest: float, dtype: torch.dtype) -> None:
    maps = torch.randn(5, 3, 8, 9, generator=torch.Generator().manual_seed(0)).to(dtype)
    maps *= largest / maps.abs().amax((1, 2, 3), keepdim=True)
    values, scale = to_store(maps, "float16")
    assert values.dtype == torch.float16 and scale.dtype == torch.float32 and scale.shape == (5,)
    again = values.double() * scale.double()[:, None, None, None]
    assert (again - maps.double()).abs().max() <= 2**-11 * largest
    assert values.abs().amax() == 1


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_maps_of_zeros(dtype: str) -> None:
    values, scale = to_store(torch.zeros(2, 1, 4, 4), dtype)
    assert not values.any() and scale.tolist() == [1, 1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_wide_types_are_stored_as_they_are(dtype: str) -> None:
    maps = torch.randn(5, 1, 8, 9)
    values, scale = to_store(maps, dtype)
    assert values.dtype == getattr(torch, dtype)
    assert torch.equal(values.float(), maps) and (scale == 1).all()


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("pred", [[1], [0]]),
        ("label", [[2], [1]]),
        ("top1", [[1], [0]]),
        ("top3", [[1, 2, 0], [0, 2, 1]]),
        (2, [[2], [2]]),
        ([2, 0, 2], [[2, 0, 2], [2, 0, 2]]),
    ],
)
def test_targets(target: Any, expected: list[list[int]]) -> None:
    logits, labels = torch.tensor([[0.1, 3.0, 2.0], [5.0, 1.0, 2.0]]), np.array([2, 1], np.int32)
    found = targets_of(target, logits, labels, OutputSpace(3))
    assert found.dtype == torch.int64 and found.tolist() == expected


@pytest.mark.parametrize("target", ["pred", "label", "top1", 0, [0]])
def test_targets_of_a_single_output(target: Any) -> None:
    logits, labels = torch.tensor([[0.1], [-0.1]]), np.array([1, 0], np.int32)
    assert targets_of(target, logits, labels, OutputSpace(1)).tolist() == [[0], [0]]
