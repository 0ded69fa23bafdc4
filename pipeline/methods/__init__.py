"""The attribution methods, under Captum's names.

Each maps preprocessed images (N, C, H, W) and a target to maps (N, C, H, W)::

    maps = IntegratedGradients(model, n_steps=200)(images, target=281)
"""

from pipeline.methods.activation import Activation
from pipeline.methods.conductance import Conductance, InternalInfluence
from pipeline.methods.deeplift import DeepLift, DeepLiftShap
from pipeline.methods.feature_ablation import FeatureAblation
from pipeline.methods.grad_cam import GradCamPlusPlus, GuidedGradCam, LayerGradCam
from pipeline.methods.gradient_shap import GradientShap
from pipeline.methods.guided_backprop import Deconvolution, GuidedBackprop
from pipeline.methods.integrated_gradients import IntegratedGradients
from pipeline.methods.lrp import LRP
from pipeline.methods.method import Attribution, Method
from pipeline.methods.noise_tunnel import NoiseTunnel
from pipeline.methods.occlusion import Occlusion
from pipeline.methods.rise import Rise
from pipeline.methods.saliency import InputXGradient, Saliency
from pipeline.methods.score_cam import ScoreCam

__all__ = [
    "LRP",
    "Activation",
    "Attribution",
    "Conductance",
    "Deconvolution",
    "DeepLift",
    "DeepLiftShap",
    "FeatureAblation",
    "GradCamPlusPlus",
    "GradientShap",
    "GuidedBackprop",
    "GuidedGradCam",
    "InputXGradient",
    "IntegratedGradients",
    "InternalInfluence",
    "LayerGradCam",
    "Method",
    "NoiseTunnel",
    "Occlusion",
    "Rise",
    "Saliency",
    "ScoreCam",
]
