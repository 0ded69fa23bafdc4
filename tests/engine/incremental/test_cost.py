"""The cost model stops at the operation from which boxes no longer save time."""

import pytest
import torch
from torch import fx, nn

from pipeline.engine.incremental.boxes import RowLayout
from pipeline.engine.incremental.cost import local_steps, mean_area, operations_per_row, step_seconds
from pipeline.engine.incremental.operations import maps_read
from pipeline.engine.incremental.step_graph import StepGraph

SIDE = 32


def chosen(network: nn.Module, box: tuple[int, ...]) -> tuple[int, float, int]:
    """Number of steps on boxes, seconds saved, and number of steps, of a network of 8 channels."""
    graph = StepGraph.of(fx.symbolic_trace(network.eval()), torch.randn(1, 8, SIDE, SIDE))
    windows = torch.tensor([box])
    layouts = {graph.image: RowLayout(windows, (SIDE, SIDE), torch.arange(1), torch.zeros(1, dtype=torch.int64), 1)}
    sources = {node: maps_read(node) for node in graph.steps}
    for node, step in graph.steps.items():
        layouts[node] = step.layout([layouts[source] for source in sources[node]])
    channels = {node: graph.shapes[node][1] for node in layouts}
    return *local_steps(graph.steps, sources, layouts, channels), len(graph.steps)


def convolutions(count: int) -> nn.Sequential:
    return nn.Sequential(*(nn.Conv2d(8, 8, 3, padding=1) for _ in range(count)))


def test_small_windows_stay_boxes_and_large_ones_do_not() -> None:
    count, saved, steps = chosen(convolutions(3), (10, 10, 12, 12))
    assert count == steps == 3 and saved > 0
    count, saved, _ = chosen(convolutions(3), (0, 0, SIDE, SIDE))
    assert count == 0 and saved <= 0


def test_it_stops_where_the_box_has_grown_over_the_map() -> None:
    count, saved, steps = chosen(convolutions(20), (12, 12, 20, 20))
    assert 0 < count < steps and saved > 0


def test_a_smaller_window_saves_more() -> None:
    saved = [chosen(convolutions(3), (8, 8, 8 + size, 8 + size))[1] for size in (1, 4, 8, 16)]
    assert saved == sorted(saved, reverse=True)


@pytest.mark.parametrize(
    ("module", "expected"),
    [(nn.Conv2d(8, 4, 1), 2 * 8 * 4), (nn.Conv2d(8, 4, 3), 2 * 9 * 8 * 4), (nn.Conv2d(8, 8, 3, groups=8), 2 * 9 * 8),
     (nn.ReLU(), 2 * 8), (nn.Conv2d(96, 96, 3, padding=1), 2 * 9 * 96 * 96)],
)  # fmt: skip
def test_operations_of_a_row(module: nn.Module, expected: float) -> None:
    channels = module.in_channels if isinstance(module, nn.Conv2d) else 8
    graph = StepGraph.of(fx.symbolic_trace(nn.Sequential(module).eval()), torch.randn(1, channels, 6, 6))
    (node, step) = next(iter(graph.steps.items()))
    assert operations_per_row(step, graph.shapes[node][1]) == expected


def test_a_whole_map_takes_its_share_more_than_a_box() -> None:
    graph = StepGraph.of(fx.symbolic_trace(nn.Sequential(nn.ReLU())), torch.randn(1, 8, SIDE, SIDE))
    (step,) = graph.steps.values()
    boxes = torch.tensor([[0, 0, 4, 8], [0, 0, 4, 4]])
    assert mean_area(boxes) == 24
    layout = RowLayout(boxes, (SIDE, SIDE), torch.arange(2), torch.zeros(2, dtype=torch.int64), 1)
    box, whole = step_seconds(step, [layout], layout, [8, 8])
    assert whole / box == pytest.approx(SIDE**2 / 24)
