"""Properties of every metric: independence of batch and chunk size, and the order of the controls."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pipeline.methods import InputXGradient
from pipeline.metrics import Deletion, Metric, SingleDeletion
from pipeline.metrics.control_maps import KINDS, edge_maps
from tests.metrics.known_networks import SIZE, Row, batch_of, maps_with_controls
from tests.networks import images, small_vgg
from tests.system.test_configuration import metrics_as_written

XML = """<annotation><object><name>cat</name>
<bndbox><xmin>3</xmin><ymin>2</ymin><xmax>15</xmax><ymax>20</ymax></bndbox></object></annotation>"""


@pytest.mark.parametrize("name", metrics_as_written())
def test_neither_batch_nor_chunk_matters(name: str, tmp_path: Path) -> None:
    metric = built(name, tmp_path)
    network, x, targets = small_vgg().double(), images(3, SIZE, SIZE), [3, 1, 7]

    def measured(which: list[int], chunk: int) -> dict[str, Tensor]:
        own = [targets[image] for image in which]
        batch = batch_of(
            network,
            x[which],
            targets=own,
            numbers=which,
            chunk=chunk,
            explain=lambda points: InputXGradient(network)(points, own).sum(1),
            stored=[Row(2.0, 1.0, 0.5)] * len(which),
        )
        measurement = metric.measure(batch, maps_with_controls(batch, InputXGradient(network)(x[which], own).sum(1)))
        assert set(measurement.scores) == set(metric.scores) and set(measurement.curves) <= set(metric.scores)
        assert all(values.shape == (len(KINDS), len(which)) for values in measurement.scores.values())
        assert all(values.shape[2] == len(metric.positions) for values in measurement.curves.values())
        return measurement.scores | {f"{key} curve": values for key, values in measurement.curves.items()}

    whole, parts = measured([0, 1, 2], 7), [measured([2], 5), measured([0, 1], 1000)]
    for key, values in whole.items():
        torch.testing.assert_close(
            values[:, [2]].double(), parts[0][key].double(), rtol=1e-9, atol=1e-9, equal_nan=True
        )
        torch.testing.assert_close(values[:, :2].double(), parts[1][key].double(), rtol=1e-9, atol=1e-9, equal_nan=True)


def built(name: str, folder: Path) -> Metric:
    target, options = metrics_as_written()[name]
    small = {"deletion": {"steps": 5}, "infidelity": {"perturbations": 5}, "sensitivity": {"samples": 2}}
    more = {"road": {"percentages": [20, 60]}, "randomisation": {"stages": 2}, "localisation": {"regions": str(folder)}}
    (folder / "1.xml").write_text(XML)
    return target(**{**options, **(small | more).get(name, {})})


class Centre(nn.Module):
    """Reads the middle of the image."""

    def forward(self, points: Tensor) -> Tensor:
        value = points[:, :, 8:16, 8:16].mean((1, 2, 3)) / 2
        return torch.stack((value, -value), 1)


class Edges(nn.Module):
    """Reads the edges of one image, which is nearly even elsewhere."""

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.weights = edge_maps(image, torch.zeros(1))

    def forward(self, points: Tensor) -> Tensor:
        value = (points.mean(1) * self.weights / self.weights.sum()).sum((1, 2)) * 3
        return torch.stack((value, -value), 1)


def test_controls_are_ordered_as_theory_says() -> None:
    """A map of where the network looks scores better than noise, and noise better than a map of other places."""
    bright = images(6, SIZE, SIZE).abs() + 0.5
    batch = batch_of(Centre(), bright)
    maps = maps_with_controls(batch, elsewhere(bright))
    scores = Deletion(steps=12).measure(batch, maps).scores
    deletion, insertion = (
        dict(zip(KINDS, scores[name].mean(1).tolist(), strict=True)) for name in ("deletion", "insertion")
    )
    assert deletion["centre"] < deletion["random"] < deletion["map"]
    assert insertion["centre"] > insertion["random"] > insertion["map"]
    cells = dict(
        zip(KINDS, SingleDeletion().measure(batch, maps).scores["single_deletion"].mean(1).tolist(), strict=True)
    )
    assert cells["centre"] > 0.7 and cells["map"] < -0.7 and abs(cells["random"]) < 0.5
    even = 1 + images(1, SIZE, SIZE) / 20
    batch = batch_of(Edges(even), even)
    scores = Deletion(steps=12).measure(batch, maps_with_controls(batch, even.sum(1))).scores
    deletion, insertion = (dict(zip(KINDS, scores[name][:, 0].tolist(), strict=True)) for name in scores)
    assert deletion["edge"] < deletion["random"] - 0.05 and deletion["edge"] < deletion["centre"]
    assert insertion["edge"] > insertion["random"]


def elsewhere(x: Tensor) -> Tensor:
    """Looks at the border."""
    away = torch.ones_like(x[:, 0])
    away[:, 6:18, 6:18] = 0
    return away
