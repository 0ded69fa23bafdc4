"""Cost model: up to which operation it pays to recompute boxes alone, and to go on with whole maps from there.

The rates were measured on one core of an EPYC 7xx3 (oneDNN and MKL, float32); only their proportions matter.
"""

from torch import Tensor, fx

from pipeline.engine.incremental.boxes import RowLayout, sizes
from pipeline.engine.incremental.steps import Join, Linear, Slide, Step, Winograd

MATRIX, WINOGRAD = 75e9, 100e9
"""Operations a second of direct products, and of Winograd's at the direct count of operations."""
MEMORY = 6e9
"""Bytes a second that one pass reads and writes."""
FLOAT = 4
"""Bytes of a value."""


def area(boxes: Tensor) -> float:
    """Mean number of positions of boxes (B, 4)."""
    heights, widths = sizes(boxes)
    return float((heights * widths).double().mean())


def operations(step: Step, channels: int) -> float:
    """Multiplications and additions for one row of outputs, given ``channels`` outputs a row."""
    match step:
        case Linear(weight=weight):
            return 2.0 * weight.numel()
        case Winograd(kernel=kernel):
            return 18.0 * kernel[0].numel()
        case Slide(function=function) if "weight" in function.keywords:
            return float(2 * function.keywords["weight"].numel())
    return 2.0 * channels


def seconds(step: Step, sources: list[RowLayout], target: RowLayout, channels: list[int]) -> tuple[float, float]:
    """Time of one window's boxes, and of its whole map, in one step.

    Args:
        step: The step.
        sources: Boxes of what it reads.
        target: Boxes of what it writes.
        channels: Channels of each source, then of the target.
    """
    rows, whole = area(target.boxes), target.shape[0] * target.shape[1]
    work = operations(step, channels[-1])
    written = channels[-1] * FLOAT
    gathered = 0.0
    match step:
        case Winograd():
            gathered = 4 * rows * channels[0]
        case Slide(sliding=sliding):
            gathered = area(sliding.context(target.boxes)) * channels[0] + rows * channels[-1]
        case Join():
            gathered = sum(
                rows * width for width, reads in zip(channels, step.reads(sources, target), strict=False) if reads
            )
    rate = WINOGRAD if isinstance(step, Winograd) else MATRIX
    boxes = rows * (work / rate + 2 * written / MEMORY) + gathered * FLOAT / MEMORY
    return boxes, whole * (work / MATRIX + 2 * written / MEMORY)


def local_steps(
    steps: dict[fx.Node, Step],
    sources: dict[fx.Node, list[fx.Node]],
    layouts: dict[fx.Node, RowLayout],
    channels: dict[fx.Node, int],
) -> tuple[int, float]:
    """How many of the first steps to run on boxes so that one window takes the least time, and how much that saves."""
    order = list(steps)
    place = {node: number for number, node in enumerate(order)}
    times = [
        seconds(
            steps[node], [layouts[source] for source in sources[node]], layouts[node],
            [channels[source] for source in (*sources[node], node)],
        )
        for node in order
    ]  # fmt: skip
    handed = [0.0] * (len(order) + 1)
    for node in layouts:
        bytes_moved = 2 * layouts[node].shape[0] * layouts[node].shape[1] * channels[node] * FLOAT
        last = max((place.get(user, len(order)) for user in node.users), default=0)
        for cut in range(place.get(node, -1) + 1, last + 1):
            handed[cut] += bytes_moved / MEMORY
    totals = [sum(whole for _, whole in times)]
    for boxes, whole in times:
        totals.append(totals[-1] + boxes - whole)
    cut = min(range(len(totals)), key=lambda cut: totals[cut] + handed[cut])
    return cut, totals[0] - totals[cut] - handed[cut]
