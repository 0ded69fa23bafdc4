"""Average drop and increase: definitions written again, networks with known answers."""

import numpy as np
import torch

from pipeline.metrics import Confidence
from tests.metrics.known_networks import SIZE, Constant, OnePixel, batch_of
from tests.networks import images, small_vgg


def test_confidence_is_that_behind_the_map() -> None:
    network, x, targets = small_vgg().double(), images(3, SIZE, SIZE), [2, 5, 7]
    maps = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(3)).double()
    maps[1, 1] = -1.0  # nothing speaks for the class
    scores = Confidence().measure(batch_of(network, x, targets=targets), maps).scores
    for kind in range(2):
        for image, target in enumerate(targets):
            shown = np.maximum(maps[kind, image].numpy(), 0)
            shown = shown / shown.max() if shown.max() > 0 else shown
            with torch.no_grad():
                before = network(x[image][None]).softmax(1)[0, target].item()
                after = network((x[image] * torch.from_numpy(shown))[None]).softmax(1)[0, target].item()
            assert abs(scores["average_drop"][kind, image] - max(0, before - after) / before) < 1e-12
            assert scores["average_increase"][kind, image] == float(after > before)


def test_nothing_drops_behind_the_pixel_that_is_read_or_of_a_constant() -> None:
    x = images(3, SIZE, SIZE)
    for network, maps in ((OnePixel(), OnePixel().map(x).abs()), (Constant(), x.sum(1))):
        scores = Confidence().measure(batch_of(network, x), maps[None]).scores
        assert (scores["average_drop"] == 0).all() and (scores["average_increase"] == 0).all()
