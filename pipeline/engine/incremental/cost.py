"""Cost model: up to which operation recomputing boxes takes less time than evaluating whole maps.

The rates were measured on one core of an EPYC 7xx3 (oneDNN and MKL, float32); only their proportions matter.
"""

from torch import Tensor, fx

from pipeline.engine.incremental.boxes import RowLayout, box_sizes
from pipeline.engine.incremental.sliding_steps import Linear, Slide, Winograd
from pipeline.engine.incremental.steps import Join, Step

MATRIX, WINOGRAD = 75e9, 100e9
"""Operations a second of direct products, and of Winograd's at the direct count of operations."""
MEMORY = 6e9
"""Bytes a second that one pass over memory reads and writes."""
FLOAT = 4
"""Bytes of a value."""


def mean_area(boxes: Tensor) -> float:
    """Return the mean number of positions of boxes (B, 4)."""
    heights, widths = box_sizes(boxes)
    return float((heights * widths).double().mean())


def operations_per_row(step: Step, channels: int) -> float:
    """Return the multiplications and additions for one row of outputs, of ``channels`` values."""
    match step:
        case Linear(weight=weight):
            return 2.0 * weight.numel()
        case Winograd(kernel=kernel):
            return 18.0 * kernel[0].numel()
        case Slide(function=function) if "weight" in function.keywords:
            return float(2 * function.keywords["weight"].numel())
    return 2.0 * channels


def step_seconds(step: Step, sources: list[RowLayout], target: RowLayout, channels: list[int]) -> tuple[float, float]:
    """Return the time of one step for one window's boxes, and for its whole map.

    Args:
        step: The step.
        sources: Boxes of what it reads.
        target: Boxes of what it writes.
        channels: Channels of each source, then of the target.
    """
    rows, map_rows = mean_area(target.boxes), target.shape[0] * target.shape[1]
    operations = operations_per_row(step, channels[-1])
    written = channels[-1] * FLOAT
    gathered = 0.0  # values
    match step:
        case Winograd():
            gathered = 4 * rows * channels[0]  # 16 inputs for each 4 outputs
        case Slide(sliding=sliding):
            gathered = mean_area(sliding.receptive_field(target.boxes)) * channels[0] + rows * channels[-1]
        case Join():
            reads = step.reads_tables(sources, target)
            gathered = sum(rows * width for width, table in zip(channels, reads, strict=False) if table)
    rate = WINOGRAD if isinstance(step, Winograd) else MATRIX
    boxes = rows * (operations / rate + 2 * written / MEMORY) + gathered * FLOAT / MEMORY
    return boxes, map_rows * (operations / MATRIX + 2 * written / MEMORY)


def local_steps(
    steps: dict[fx.Node, Step],
    sources: dict[fx.Node, list[fx.Node]],
    layouts: dict[fx.Node, RowLayout],
    channels: dict[fx.Node, int],
) -> tuple[int, float]:
    """Return how many of the first steps to run on boxes so that one window takes the least time, and what that saves.

    Args:
        steps: In the order of the network.
        sources: Nodes that each step reads.
        layouts: Of the image and every step, for all windows.
        channels: Of the image and every step.

    Returns:
        The number of steps, and the seconds by which a window then takes less than a whole evaluation.
    """
    order = list(steps)
    place = {node: number for number, node in enumerate(order)}
    times = [
        step_seconds(
            steps[node], [layouts[source] for source in sources[node]], layouts[node],
            [channels[source] for source in (*sources[node], node)],
        )
        for node in order
    ]  # fmt: skip
    # handed_over[n]: time for the whole maps that the rest of the network reads if the first n steps run on boxes.
    handed_over = [0.0] * (len(order) + 1)
    for node in layouts:
        bytes_moved = 2 * layouts[node].shape[0] * layouts[node].shape[1] * channels[node] * FLOAT
        last_read = max((place.get(user, len(order)) for user in node.users), default=0)
        for cut in range(place.get(node, -1) + 1, last_read + 1):
            handed_over[cut] += bytes_moved / MEMORY
    totals = [sum(whole for _, whole in times)]  # totals[n]: time of all steps if the first n run on boxes
    for boxes, whole in times:
        totals.append(totals[-1] + boxes - whole)
    cut = min(range(len(totals)), key=lambda cut: totals[cut] + handed_over[cut])
    return cut, totals[0] - totals[cut] - handed_over[cut]
