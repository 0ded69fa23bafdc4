"""GradientSHAP (expected gradients): mean over random points between random baselines and the image."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from pipeline.methods.baseline_distribution import DistributionLike, members_of
from pipeline.methods.method import Attribution, Method
from pipeline.methods.random_draws import normal_noise, sample_seeds, stdev_tensor
from pipeline.methods.weighted_sums import WeightedSums
from pipeline.view import View


class GradientShap(Method):
    """Mean of (x - b) times the gradient at a random point between a drawn baseline b and the image x, with noise.

    Lundberg and Lee 2017 (arXiv 1705.07874) as Erion et al. 2021, "Improving performance of deep learning models with
    axiomatic attribution priors and expected gradients" (arXiv 1906.10670), equation 2. Over a layer, x and b are its
    values there; the points stay on a line between images, as in Captum. Complete in expectation; the convergence delta
    says how far a map is from it. All draws are from the image's seed.

    Args:
        model: A network in eval mode, or a view of one.
        baselines: The distribution, see :func:`~pipeline.methods.baseline_distribution.members_of`.
        n_samples: Draws for each image.
        stdevs: Standard deviation of the noise on the image, in units of the model's input; or one for each channel.
        multiply_by_inputs: False for the mean gradient alone.
        internal_batch_size: Points in one forward pass; None finds the fastest.

    Raises:
        ValueError: If an option is out of range.
    """

    attributes_to: ClassVar[tuple[str, ...]] = ("input", "layer")

    def __init__(
        self,
        model: nn.Module | View,
        *,
        baselines: DistributionLike,
        n_samples: int = 5,
        stdevs: float | list[float] = 0.0,
        multiply_by_inputs: bool = True,
        internal_batch_size: int | None = None,
    ) -> None:
        super().__init__(model, internal_batch_size=internal_batch_size, prepare=True)
        if not isinstance(n_samples, int) or n_samples < 1:
            raise ValueError(f"n_samples must be a whole number from 1, not {n_samples!r}")
        self.members = members_of(baselines, self.view.preprocessing)
        self.n_samples, self.stdevs, self.multiply_by_inputs = n_samples, stdev_tensor(stdevs), multiply_by_inputs

    def explain(self, images: Tensor, targets: Tensor, *, scores: Tensor, seeds: Tensor) -> Attribution:
        count = self.n_samples
        choices, noise, others = (sample_seeds(seeds, range(i * count, (i + 1) * count)).flatten() for i in range(3))
        members, alphas = self._choices(choices)
        sums = WeightedSums(len(images))
        totals, baseline_score = torch.zeros_like(scores), torch.zeros_like(scores)

        def evaluate_chunk(start: int, stop: int) -> None:
            pairs = torch.arange(start, stop)
            image = (pairs // count).to(images.device)
            clean, wanted = images[image], targets[image]  # (P, C, H, W), (P, T)
            ends = clean + self.stdevs.to(clean) * normal_noise(clean, noise[pairs]) if self.stdevs.any() else clean
            drawn, which = self._draw(clean, members[pairs], others[pairs])
            values = self.view.outputs(self.logits(drawn))[which].gather(1, wanted)
            points = drawn[which] + alphas[pairs].to(clean)[:, None, None, None] * (ends - drawn[which])
            gradients = self.view.gradients(points, wanted).gradients / count
            differences = self.view.gradient_inputs(ends).values - self.view.gradient_inputs(drawn).values[which]
            product = differences[:, None] * gradients
            sums.add(image, product if self.multiply_by_inputs else gradients)
            totals.index_add_(0, image, product.flatten(2).sum(2))
            baseline_score.index_add_(0, image, values / count)

        self.evaluator.evaluate(len(choices), evaluate_chunk)
        evaluations = 2 * count + 1  # F at the baselines and at the image
        return Attribution(sums.result(), baseline_score, totals - (scores - baseline_score), evaluations)

    def _choices(self, seeds: Tensor) -> tuple[Tensor, Tensor]:
        """Draw for each seed (P,) the number of a member of the distribution and a position in [0, 1) on the path."""
        generators = [torch.Generator().manual_seed(seed) for seed in seeds.tolist()]
        members = [torch.randint(len(self.members), (), generator=generator) for generator in generators]
        return torch.stack(members), torch.stack([torch.rand((), generator=generator) for generator in generators])

    def _draw(self, images: Tensor, members: Tensor, seeds: Tensor) -> tuple[Tensor, Tensor]:
        """Draw baselines from the members (P,) for images (P, C, H, W); one that several share is drawn once.

        Returns:
            Baselines (B, C, H, W), and the index of each image's own among them (P,).
        """
        drawn: list[Tensor] = []
        which = torch.empty_like(members)
        for member in members.unique().tolist():
            rows = (members == member).nonzero()[:, 0]
            baselines = self.members[member](images[rows.to(images.device)], seeds[rows])
            # one baseline for all rows: index 0 for each; one for each row: 0, 1, ...
            which[rows] = sum(map(len, drawn)) + torch.arange(len(rows)) % len(baselines)
            drawn.append(baselines)
        return torch.cat(drawn), which.to(images.device)
