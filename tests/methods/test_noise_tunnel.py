import captum.attr
import pytest
import torch

from pipeline.methods import GuidedBackprop, IntegratedGradients, LayerGradCam, NoiseTunnel, Occlusion, Saliency
from pipeline.methods.method import image_seeds
from pipeline.methods.random_draws import normal_noise, sample_seeds
from tests.networks import Recording, images, resnet18, small_vgg

METHODS = {
    "saliency": lambda network: Saliency(network),
    "ig": lambda network: IntegratedGradients(network, n_steps=3),
    "occlusion": lambda network: Occlusion(network, sliding_window_shapes=(3, 20, 20), strides=(3, 15, 15)),
    "guided": lambda network: GuidedBackprop(network),
    "cam": lambda network: LayerGradCam(network, layer="3", interpolate_mode="bilinear"),
}
STATISTICS = {
    "smoothgrad": lambda maps: sum(maps) / len(maps),
    "smoothgrad_sq": lambda maps: sum(map**2 for map in maps) / len(maps),
    "vargrad": lambda maps: sum((map - sum(maps) / len(maps)) ** 2 for map in maps) / len(maps),
}


def near(map, expected, share=1e-6):
    torch.testing.assert_close(map, expected, rtol=0, atol=share * expected.abs().max().item())


def noisy(x, count, stdevs):
    """The images that the tunnel's method explains, (N, count, C, H, W)."""
    seeds = sample_seeds(image_seeds(0, range(len(x))), range(count))
    return torch.stack([x + stdevs * normal_noise(x, seeds[:, s]) for s in range(count)], 1)


@pytest.mark.parametrize("nt_type", STATISTICS)
@pytest.mark.parametrize("name", ["saliency", "ig", "occlusion", "guided"])
def test_replica(name, nt_type):
    network, x = small_vgg().double(), images(2, 64, 72)
    map = NoiseTunnel(METHODS[name](network), nt_type=nt_type, nt_samples=4, stdevs=0.3)(x, [1, 7])
    for i, target in enumerate([1, 7]):
        alone = [METHODS[name](network)(copy[None], target)[0] for copy in noisy(x, 4, 0.3)[i]]
        near(map[i], STATISTICS[nt_type](alone), 1e-12)


@pytest.mark.parametrize("nt_type", STATISTICS)
def test_oracle(nt_type, monkeypatch):
    network, x = resnet18().double(), images(2, 64, 72)
    drawn = noisy(torch.zeros_like(x), 4, 0.3).flatten(0, 1)
    monkeypatch.setattr(torch, "normal", lambda mean, std: drawn)  # Captum's own draw
    reference = captum.attr.NoiseTunnel(captum.attr.IntegratedGradients(network))
    expected = reference.attribute(x, target=torch.tensor([1, 7]), nt_type=nt_type, nt_samples=4, stdevs=0.3, n_steps=3)
    method = NoiseTunnel(IntegratedGradients(network, n_steps=3), nt_type=nt_type, nt_samples=4, stdevs=0.3)
    near(method(x, [1, 7]), expected.detach())


@pytest.mark.parametrize("name", METHODS)
def test_without_noise_it_is_the_method(name):
    network, x = small_vgg().double(), images(2, 64, 72)
    expected = METHODS[name](network)(x, [1, 7])
    near(NoiseTunnel(METHODS[name](network), nt_samples=3, stdevs=0)(x, [1, 7]), expected, 1e-12)
    squares = NoiseTunnel(METHODS[name](network), nt_type="vargrad", nt_samples=3, stdevs=0.0)(x, [1, 7])
    assert squares.abs().max() <= 1e-12 * expected.square().max()


def test_a_map_depends_on_its_image_and_seed_alone():
    network, x = small_vgg().double(), images(3, 64, 72)
    tunnel = NoiseTunnel(Saliency(network), nt_samples=5, stdevs=0.3, internal_batch_size=7)
    targets, seeds = torch.tensor([[1], [7], [3]]), image_seeds(5, [0, 1, 2])
    whole = tunnel.explain(x, targets, scores=torch.zeros(3, 1).double(), seeds=seeds).maps
    other = NoiseTunnel(Saliency(network, internal_batch_size=2), nt_samples=5, stdevs=0.3, internal_batch_size=3)
    order = torch.tensor([2, 0])
    part = other.explain(x[order], targets[order], scores=torch.zeros(2, 1).double(), seeds=seeds[order]).maps
    near(part, whole[order], 1e-12)
    reseeded = tunnel.explain(x, targets, scores=torch.zeros(3, 1).double(), seeds=image_seeds(6, [0, 1, 2])).maps
    assert (reseeded - whole).abs().max() > 0.01 * whole.abs().max()


def test_the_method_never_gets_more_images_than_the_chunk():
    class Counted(Saliency):
        most = 0

        def explain(self, images, targets, *, scores, seeds):
            self.most = max(self.most, len(images))
            return super().explain(images, targets, scores=scores, seeds=seeds)

    method = Counted(small_vgg())
    NoiseTunnel(method, nt_samples=7, internal_batch_size=4)(images(3, 64, 72, torch.float32), 1)
    assert method.most == 4


@pytest.mark.parametrize(("name", "passes"), [("saliency", 1), ("ig", 5)])
def test_every_point_is_evaluated_once_and_counted(name, passes):
    network, x, scores = Recording(small_vgg()), images(2, 64, 72, torch.float32), torch.zeros(2, 1)
    tunnel, seeds = NoiseTunnel(METHODS[name](network), nt_samples=3, internal_batch_size=1), image_seeds(0, [0, 1])
    attribution = tunnel.explain(x, torch.tensor([[1], [7]]), scores=scores, seeds=seeds)
    assert attribution.evaluations.tolist() == [3 * passes] * 2
    assert sum(network.passes) == 6 * passes


def test_the_variance_is_right_for_maps_that_differ_little():
    network, x = small_vgg(), images(1, 64, 72, torch.float32)
    options = {"nt_type": "vargrad", "nt_samples": 4, "stdevs": 1e-3}
    single = NoiseTunnel(IntegratedGradients(network, n_steps=2), **options)(x, 1)
    double = NoiseTunnel(IntegratedGradients(network.double(), n_steps=2), **options)(x.double(), 1)
    torch.testing.assert_close(single.double(), double, rtol=0, atol=1e-3 * double.max().item())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_kept(dtype):
    network, x = small_vgg().to(dtype), images(1, 64, 72, dtype)
    map = NoiseTunnel(Saliency(network), stdevs=0.1)(x, 1)
    assert map.dtype == dtype
    assert map.isfinite().all()
    with pytest.raises(RuntimeError, match=r"type"):  # Captum's noise is float32
        captum.attr.NoiseTunnel(captum.attr.Saliency(network)).attribute(x.requires_grad_(), target=1, stdevs=0.1)


def test_convergence_delta_is_the_mean_of_the_samples():
    network, x, targets = small_vgg().double(), images(2, 64, 72), torch.tensor([[1, 4], [7, 2]])
    method = IntegratedGradients(network, n_steps=3)
    scores = method.scores(x, targets)
    attribution = NoiseTunnel(method, nt_samples=4, stdevs=0.3).explain(
        x, targets, scores=scores, seeds=image_seeds(0, [0, 1])
    )
    with torch.no_grad():
        mean_score = sum(network(copy).gather(1, targets) for copy in noisy(x, 4, 0.3).unbind(1)) / 4
        baseline = network(torch.zeros(1, 3, 64, 72).double())[0][targets]
    torch.testing.assert_close(attribution.baseline_score, baseline)
    expected = attribution.maps.flatten(2).sum(2) - (mean_score - baseline)
    torch.testing.assert_close(attribution.convergence_delta, expected)
    squared = NoiseTunnel(method, nt_type="vargrad").explain(x, targets, scores=scores, seeds=image_seeds(0, [0, 1]))
    assert squared.convergence_delta.isnan().all()


def test_deviations_may_differ_by_channel():
    network, x = small_vgg().double(), images(1, 64, 72)
    silent = NoiseTunnel(Saliency(network), stdevs=[0, 0, 0])(x, 1)
    near(silent, Saliency(network)(x, 1), 1e-12)
    assert not torch.allclose(NoiseTunnel(Saliency(network), stdevs=[0, 0, 0.5])(x, 1), silent)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"nt_type": "smooth"}, "nt_type must be one of smoothgrad, smoothgrad_sq, vargrad, not 'smooth'"),
        ({"nt_samples": 0}, "nt_samples must be a whole number from 1"),
        ({"stdevs": -1}, "stdevs must be a number from 0"),
        ({"stdevs": []}, "stdevs must be a number from 0"),
    ],
)
def test_options_out_of_range(options, words):
    with pytest.raises(ValueError, match=words):
        NoiseTunnel(Saliency(small_vgg()), **options)


def test_the_stop_request_reaches_the_method():
    def fail():
        raise InterruptedError

    tunnel = NoiseTunnel(Saliency(small_vgg()))
    tunnel.on_chunk(fail)
    with pytest.raises(InterruptedError):
        tunnel.method.logits(images(1, 64, 72, torch.float32))
