"""Explanation of a decoded batch: images to rows of the store."""

import numpy as np
import torch
from torch import Tensor

from pipeline.data.batch import Batch
from pipeline.errors import Failure
from pipeline.methods.method import image_seeds
from pipeline.models.output_space import OutputSpace
from pipeline.models.penultimate import last_layer, record_inputs
from pipeline.run.device_transfer import to_network_input
from pipeline.run.job import Job
from pipeline.store.schema import Rows

NO_CLASS = -1
"""Target of a row that explains a neuron."""
STORED_DTYPES = {"float16": torch.float16, "float32": torch.float32, "float64": torch.float64}


def explain_batch(job: Job, batch: Batch) -> Rows:
    """Explains each readable image of a batch for each of its targets.

    An image whose logits or map are not finite becomes a failure.
    """
    failures = list(batch.failures)
    images = to_network_input(batch.pixels, job.classifier.preprocessing, job.device, job.dtype)
    logits, features = _classified(job, images)
    keep = _finite(logits, batch.index, "model", "the network's output is not finite (NaN or infinity)", failures)
    if not keep.any():
        return Rows({}, failures)
    images, logits, features = images[keep], logits[keep], features[keep]
    index, crop = batch.index[keep.numpy()], batch.crop[keep.numpy()]
    space = job.classifier.output_space
    targets = targets_of(job.options.target, logits, job.labels[index], space)
    explained, targets, scores = _scores(job, images, logits, targets)
    seeds = image_seeds(job.options.seed, index.tolist())
    attributions = job.method.explain(images, targets, scores=scores, seeds=seeds)
    maps = job.geometry.reduce(attributions.maps.flatten(0, 1)).unflatten(0, targets.shape)
    keep = _finite(maps, index, "map", "the map is not finite (NaN or infinity)", failures)
    attribution, scale = to_store(maps[keep].flatten(0, 1), job.options.store.dtype)
    image = np.repeat(np.flatnonzero(keep.numpy()), targets.shape[1])  # position in the batch, of each row
    estimate = attributions.error_estimate
    columns = {
        "attribution": attribution.numpy(force=True),
        "scale": scale.numpy(force=True),
        "index": index[image],
        "label": job.labels[index][image],
        "prediction": logits.float().numpy(force=True)[image],
        "features": features.float().numpy(force=True)[image],
        "predicted": space.predictions(logits).int().numpy(force=True)[image],
        "target": explained[keep].flatten().int().numpy(force=True),
        "score": _of_rows(scores, keep),
        "baseline_score": _of_rows(attributions.baseline_score, keep),
        "convergence_delta": _of_rows(attributions.convergence_delta, keep),
        "evaluations": torch.as_tensor(attributions.evaluations).int().expand(len(keep)).numpy(force=True)[image],
        "error_estimate": _of_rows(scores * torch.nan if estimate is None else estimate, keep),
        "crop": crop[image],
    }
    return Rows(columns if len(image) else {}, failures)


def _of_rows(values: Tensor, keep: Tensor) -> np.ndarray:
    """Values (n, T) of the images to keep, one for each row, float32."""
    return values[keep].flatten().float().numpy(force=True)


def _classified(job: Job, images: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (n, K) of the classifier, and penultimate features (n, F); F is 0 unless they are stored."""
    if not len(images):
        return images.new_empty(0, job.classifier.n_outputs), images.new_empty(0, 0)
    view = job.method.view

    def evaluate_chunk(part: slice) -> tuple[Tensor, Tensor]:
        points = images[part]
        if not job.options.store.features:
            return view.class_logits(points), points.new_empty(len(points), 0)
        with record_inputs(last_layer(job.classifier)) as recorded:
            logits = view.class_logits(points)
        return logits, recorded[-1]

    with torch.no_grad():
        logits, features = job.method.in_chunks(len(images), evaluate_chunk)
    return logits, features


def _scores(job: Job, images: Tensor, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Class of each row (n, T), `NO_CLASS` for a neuron; index of the output to explain (n, T); its value (n, T)."""
    view = job.method.view
    if view.explains_class:
        return targets, targets, view.outputs(logits).gather(1, targets)
    return torch.full_like(targets, NO_CLASS), torch.zeros_like(targets), job.method.logits(images)


def targets_of(target: str | int | list[int], logits: Tensor, labels: np.ndarray, space: OutputSpace) -> Tensor:
    """Outputs to explain for each image, int64 (n, T), from the option ``target``, which was checked before."""
    if isinstance(target, str) and target.startswith("top"):
        return logits.topk(int(target[3:]), dim=1).indices
    if target == "pred":
        return space.outputs_of(space.predictions(logits))[:, None]
    if target == "label":
        return space.outputs_of(torch.from_numpy(labels).long().to(logits.device))[:, None]
    return torch.as_tensor(target, device=logits.device).reshape(1, -1).expand(len(logits), -1)


def to_store(maps: Tensor, dtype: str) -> tuple[Tensor, Tensor]:
    """Casts maps (n, ...) to the stored dtype; returns them and their float32 scales (n,): map = stored * scale.

    In float16 small values would underflow, so each map is divided by its largest magnitude.
    """
    scale = torch.ones(len(maps), dtype=torch.float32, device=maps.device)
    if dtype == "float16":
        largest = maps.abs().flatten(1).amax(1).float()
        scale = torch.where(largest > 0, largest, scale)
    return (maps / scale.to(maps.dtype).reshape(-1, *[1] * (maps.ndim - 1))).to(STORED_DTYPES[dtype]), scale


def _finite(values: Tensor, index: np.ndarray, stage: str, error: str, failures: list[Failure]) -> Tensor:
    """Mask of the images whose values are all finite, bool (n,) on the CPU; the others are added to the failures."""
    finite = values.isfinite().flatten(1).all(1).cpu()
    failures += [Failure(int(number), stage, error) for number in index[~finite.numpy()]]
    return finite
