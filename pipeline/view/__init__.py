"""Views of a network: the function that is explained (a class, a hidden neuron) and its input (pixels, a layer).

A method gets a view where it would get a network::

    IntegratedGradients(LayerView(model, layer="layer3.1.conv2"))(images, target=281)  # (N, K, h, w), the layer's shape
    Saliency(NeuronView(model, layer="layer3.1.conv2", neuron=[3, 4, 5]))(images)      # (N, C, H, W)
"""

from pipeline.models.output_space import OUTPUTS
from pipeline.view.layer import LayerView
from pipeline.view.neuron import NeuronView
from pipeline.view.view import GradientInputs, Gradients, StraightPath, View

__all__ = ["OUTPUTS", "GradientInputs", "Gradients", "LayerView", "NeuronView", "StraightPath", "View"]
