import captum.attr
import numpy as np
import pytest
import torch

from pipeline.data.preprocessing import Preprocessing
from pipeline.methods import FeatureAblation, Occlusion
from pipeline.methods.feature_ablation import bounding_boxes
from pipeline.methods.method import image_seeds
from pipeline.view import View
from tests.networks import images, resnet18, small_vgg

PREPROCESSING = Preprocessing(resize=None, crop=(64, 72), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))


def near(map, expected, share=1e-6):
    torch.testing.assert_close(map, expected, rtol=0, atol=share * expected.abs().max().item())


def masks(form):
    generator = torch.Generator().manual_seed(0)
    shape = {"plane": (64, 72), "shared": (1, 1, 64, 72), "channels": (1, 3, 64, 72), "images": (2, 1, 64, 72)}[form]
    coarse = torch.randint(0, 4, (*shape[:-2], 4, 4), generator=generator)
    return 3 * coarse.repeat_interleave(16, -2).repeat_interleave(18, -1) - 2  # gaps and a negative number


@pytest.mark.parametrize("form", ["plane", "shared", "channels", "images"])
def test_replica(form):
    network, x, baselines = small_vgg().double(), images(2, 64, 72), images(1, 64, 72)
    mask, targets = masks(form), torch.tensor([[1, 4], [7, 2]])
    everywhere = mask.expand(2, 3, 64, 72)
    method = FeatureAblation(network, feature_mask=mask, baselines=baselines)
    attribution = method.explain(x, targets, scores=method.scores(x, targets), seeds=image_seeds(0, [0, 1]))
    for i in range(2):
        for t in range(2):
            expected = torch.zeros(3, 64, 72).double()
            for feature in set(everywhere[i].flatten().tolist()):
                absent = everywhere[i] == feature
                point = torch.where(absent, baselines[0], x[i])
                with torch.no_grad():
                    drop = network(x[i][None])[0, targets[i, t]] - network(point[None])[0, targets[i, t]]
                expected[absent] = drop
            near(attribution.maps[i, t], expected, 1e-12)


@pytest.mark.parametrize("build", [resnet18, small_vgg])
@pytest.mark.parametrize("form", ["shared", "channels"])
def test_oracle(build, form):
    network, x, targets = build().double(), images(2, 64, 72), torch.tensor([1, 7])
    expected = captum.attr.FeatureAblation(network).attribute(
        x, baselines=0.3, target=targets, feature_mask=masks(form) + 2
    )
    near(FeatureAblation(network, feature_mask=masks(form), baselines=0.3)(x, targets), expected)


@pytest.mark.parametrize("form", ["plane", "shared", "channels", "images"])
@pytest.mark.parametrize("build", [resnet18, small_vgg])
def test_incremental_evaluation_equals_dense(build, form):
    network, x, baselines = build().double(), images(2, 64, 72), images(1, 64, 72)
    incremental, dense = (
        FeatureAblation(View(network, engine=engine), feature_mask=masks(form), baselines=baselines)(x, [1, 7])
        for engine in ("incremental", "dense")
    )
    near(incremental, dense, 1e-10)


def test_boxes_around_features():
    mask = torch.tensor([[[0, 0, 1], [0, 3, 1], [2, 3, 2]], [[0, 0, 0], [0, 0, 0], [0, 0, 3]]])
    assert bounding_boxes(mask, 4).tolist() == [[0, 0, 3, 3], [0, 2, 2, 3], [2, 0, 3, 3], [1, 1, 3, 3]]


def test_a_grid_is_occlusion_with_windows_side_by_side():
    network, x = resnet18().double(), images(2, 64, 72)
    occluded = Occlusion(network, sliding_window_shapes=(3, 16, 18), strides=(3, 16, 18))(x, [1, 7])
    near(FeatureAblation(network, feature_mask="grid", n_segments=16)(x, [1, 7]), occluded)


def test_superpixels_follow_the_picture():
    network = small_vgg().double()
    x = torch.zeros(1, 3, 64, 72).double()
    x[:, :, :, 30:] = 1.5
    method = FeatureAblation(
        View(network, preprocessing=PREPROCESSING),
        feature_mask="slic",
        n_segments=12,
        compactness=0.1,
        baselines="black",
    )
    segments = method.segments(x)
    left, right = set(segments[0, 0, :, :30].flatten().tolist()), set(segments[0, 0, :, 30:].flatten().tolist())
    assert not left & right
    map = method(x, 1)
    for segment in left | right:
        assert len(map[0, 0][segments[0, 0] == segment].unique()) == 1
    assert len(map.unique()) > 2


@pytest.mark.parametrize("feature_mask", ["grid", "slic"])
def test_maps_do_not_depend_on_batch_or_chunk(feature_mask):
    network, x = small_vgg().double(), images(3, 64, 72)
    view = View(network, preprocessing=PREPROCESSING)
    options = {"feature_mask": feature_mask, "n_segments": 9, "baselines": "blur"}
    whole = FeatureAblation(view, internal_batch_size=100, **options)(x, [1, 7, 3])
    part = FeatureAblation(view, internal_batch_size=4, **options)(x[[2, 0]], [3, 1])
    near(part, whole[[2, 0]], 1e-12)


def test_every_image_has_its_own_count():
    mask = torch.zeros(2, 1, 64, 72, dtype=torch.int64)
    mask[1, :, :, 30:] = 5
    x, targets = images(2, 64, 72, torch.float32), torch.zeros(2, 1, dtype=torch.int64)
    method = FeatureAblation(small_vgg(), feature_mask=mask)
    attribution = method.explain(x, targets, scores=torch.zeros(2, 1), seeds=image_seeds(0, [0, 1]))
    assert attribution.evaluations.tolist() == [1 + 2, 2 + 2]  # with the image and the baseline


def test_the_images_are_left_unchanged():
    network, x = small_vgg().double(), images(1, 64, 72)
    before = x.clone()
    FeatureAblation(network, feature_mask="grid", n_segments=4)(x, 1)
    assert np.array_equal(x.numpy(), before.numpy())
