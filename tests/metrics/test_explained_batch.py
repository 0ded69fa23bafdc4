"""Scores of a batch's points: the output explained, its probability, its prediction, in chunks of any size."""

import pytest
import torch
from torch import Tensor, nn

from pipeline.engine.chunked_evaluator import ChunkedEvaluator
from pipeline.metrics.explained_batch import ExplainedBatch
from pipeline.view import View


class Logits(nn.Module):
    """The first values of the first channel's first row, as they are."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, points: Tensor) -> Tensor:
        return points[:, 0, 0, : self.outputs]


def batch(outputs: int, target: int, *, multi_label: bool = False, output: str = "logit") -> ExplainedBatch:
    images = torch.zeros(2, 3, 4, 4, dtype=torch.float64)
    images[0, 0, 0], images[1, 0, 0] = torch.tensor([[3.0, -1.0, 2.0, 0.0], [-2.0, 1.0, 4.0, 0.0]], dtype=torch.float64)
    view = View(Logits(outputs), multi_label=multi_label, output=output)
    targets = torch.tensor([target, target])
    return ExplainedBatch(images, targets, torch.arange(2), view, ChunkedEvaluator(1), lambda points: points[:, 0], [])


def evaluated(own: ExplainedBatch, name: str) -> Tensor:
    return own.evaluate(torch.arange(2), lambda numbers: own.images[numbers], getattr(own, name))


@pytest.mark.parametrize("multi_label", [False, True])
def test_probabilities(multi_label: bool) -> None:
    one, three = torch.tensor([3.0, -2.0]).double(), torch.tensor([[3.0, -1.0, 2.0], [-2.0, 1.0, 4.0]]).double()
    torch.testing.assert_close(evaluated(batch(1, 0, multi_label=multi_label), "probability"), one.sigmoid())
    expected = three[:, 2].sigmoid() if multi_label else three.softmax(1)[:, 2]
    torch.testing.assert_close(evaluated(batch(3, 2, multi_label=multi_label), "probability"), expected)


def test_the_winner_is_the_prediction() -> None:
    assert evaluated(batch(3, 0), "winner").tolist() == [1, 0]
    assert evaluated(batch(3, 2, multi_label=True), "winner").tolist() == [0, 1]
    assert evaluated(batch(1, 0), "winner").tolist() == [1, 0]  # 3 speaks for the class, -2 against it


def test_what_is_explained_is_in_the_runs_unit() -> None:
    logits = torch.tensor([3.0, -2.0]).double()
    assert evaluated(batch(1, 0), "explained").tolist() == [3, -2]
    torch.testing.assert_close(evaluated(batch(1, 0, output="probability"), "explained"), logits.sigmoid())


def test_points_are_made_chunk_by_chunk() -> None:
    own, seen = batch(1, 0), []

    def points(numbers: Tensor) -> Tensor:
        seen.append(numbers.tolist())
        return own.images[numbers % 2]

    scores = own.evaluate(torch.tensor([0, 1, 0]), points, own.explained)
    assert scores.tolist() == [3, -2, 3] and seen == [[0], [1], [2]]
