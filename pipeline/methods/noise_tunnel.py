"""Noise tunnel (SmoothGrad and kin): any method, averaged over noisy copies of the image."""

from typing import ClassVar

import torch
from torch import Tensor

from pipeline.engine.geometry import Geometry, Pixels
from pipeline.engine.occlusion_windows import Windows
from pipeline.methods.method import Attribution, Method
from pipeline.methods.random_draws import normal_noise, sample_seeds, stdev_tensor

TYPES = ("smoothgrad", "smoothgrad_sq", "vargrad")


class NoiseTunnel(Method):
    """Mean of a method's maps, of their squares, or their variance, over images with normal noise added.

    Smilkov et al. 2017, "SmoothGrad" (arXiv 1706.03825), equation 1; the squares: Hooker et al. 2019
    (arXiv 1806.10758), section 3.2; the variance: Adebayo et al. 2018 (arXiv 1810.03307), section 3. Noise is drawn
    from the image's seed. The (image, sample) pairs form one sequence, evaluated in chunks: the method gets as many
    noisy images at once as fit.

    Args:
        method: Method that explains each noisy image.
        nt_type: ``smoothgrad``, ``smoothgrad_sq`` or ``vargrad`` (divided by ``nt_samples``, as in Captum).
        nt_samples: Noisy images for each image.
        stdevs: Standard deviation of the noise, in units of the model's input; or one for each channel.
        internal_batch_size: Noisy images that the method gets at once; None finds the fastest.

    Raises:
        ValueError: If an option is out of range.
    """

    attributes_to: ClassVar[tuple[str, ...]] = ("input", "layer")  # the nested method has refused what it cannot

    def __init__(
        self,
        method: Method,
        *,
        nt_type: str = "smoothgrad",
        nt_samples: int = 5,
        stdevs: float | list[float] = 1.0,
        internal_batch_size: int | None = None,
    ) -> None:
        super().__init__(method.view, internal_batch_size=internal_batch_size)
        if nt_type not in TYPES:
            raise ValueError(f"nt_type must be one of {', '.join(TYPES)}, not {nt_type!r}")
        if not isinstance(nt_samples, int) or nt_samples < 1:
            raise ValueError(f"nt_samples must be a whole number from 1, not {nt_samples!r}")
        self.method, self.nt_type, self.nt_samples = method, nt_type, nt_samples
        self.stdevs = stdev_tensor(stdevs)

    def geometry(self, shape: tuple[int, int, int], channels: str = "keep") -> Geometry:
        geometry = self.method.geometry(shape, channels)
        return Pixels(shape, channels) if self._per_pixel(geometry) else geometry

    def explain(self, images: Tensor, targets: Tensor, *, scores: Tensor, seeds: Tensor) -> Attribution:
        channels, height, width = images.shape[1:]
        geometry = self.method.geometry((channels, height, width))
        statistic = RunningStatistic(self.nt_type, len(images))
        means = torch.zeros(2, *targets.shape, dtype=scores.dtype, device=scores.device)  # baseline score, delta
        noise, others = (sample_seeds(seeds, range(i * self.nt_samples, (i + 1) * self.nt_samples)) for i in (0, 1))
        evaluations = torch.zeros(len(images), dtype=torch.int64, device=images.device)

        def evaluate_chunk(start: int, stop: int) -> None:
            pairs = torch.arange(start, stop)
            image = (pairs // self.nt_samples).to(images.device)
            noisy = images[image] + self.stdevs.to(images) * normal_noise(images, noise.flatten()[pairs])
            own = self.method.scores(noisy, targets[image]) if self.method.reads_scores else scores[image]
            sample = self.method.explain(noisy, targets[image], scores=own, seeds=others.flatten()[pairs])
            maps = sample.maps
            if self._per_pixel(geometry):
                maps = geometry.expand(maps.flatten(0, 1)).unflatten(0, maps.shape[:2])
            statistic.add(image.tolist(), maps)
            means.index_add_(1, image, torch.stack((sample.baseline_score, sample.convergence_delta)) / self.nt_samples)
            counts = torch.as_tensor(sample.evaluations, device=images.device).expand(len(pairs))
            evaluations.index_add_(0, image, counts)

        self.evaluator.evaluate(noise.numel(), evaluate_chunk)
        baseline_score, delta = means
        delta = delta if self.nt_type == "smoothgrad" else torch.full_like(delta, torch.nan)
        return Attribution(statistic.result(), baseline_score, delta, evaluations)

    def _per_pixel(self, geometry: Geometry) -> bool:
        """True if maps must be expanded first: a pixel's square is not the mean of its windows' squares."""
        return isinstance(geometry, Windows) and self.nt_type != "smoothgrad"


class RunningStatistic:
    """Running mean, mean square or variance of maps, without a difference of large sums (Welford 1962).

    Args:
        nt_type: One of :data:`TYPES`.
        images: Number of images.
    """

    def __init__(self, nt_type: str, images: int) -> None:
        self.nt_type = nt_type
        self.counts = [0] * images
        self.means: Tensor | None = None
        self.squares: Tensor | None = None

    def add(self, images: list[int], maps: Tensor) -> None:
        """Add maps (P, ...) of images (P,), image by image in the order of their samples."""
        if self.means is None or self.squares is None:
            self.means, self.squares = maps.new_zeros(2, len(self.counts), *maps.shape[1:])
        for image, map in zip(images, maps.square() if self.nt_type == "smoothgrad_sq" else maps, strict=True):
            self.counts[image] += 1
            change = map - self.means[image]
            self.means[image] += change / self.counts[image]
            if self.nt_type == "vargrad":
                self.squares[image] += change * (map - self.means[image])

    def result(self) -> Tensor:
        """Return the statistic of each image, (images, ...)."""
        assert self.means is not None and self.squares is not None
        return self.squares / self.counts[0] if self.nt_type == "vargrad" else self.means
