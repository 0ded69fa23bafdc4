"""Loader of a checkpoint: weights for a network of the user's factory or of torchvision, or an exported program."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.data.preprocessing import Preprocessing
from pipeline.errors import UsageError
from pipeline.models import torchvision_models
from pipeline.models.classifier import Classifier, override
from pipeline.models.exported_program import read_program
from pipeline.models.factory import build_network
from pipeline.models.weights import load_weights, read_weights

logger = logging.getLogger(__name__)

IMAGENET = Preprocessing(256, (224, 224), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def load(  # noqa: PLR0913 - the options of conf/model/checkpoint.yaml
    weights: str | Path | None = None,
    factory: str | None = None,
    *,
    architecture: str | None = None,
    allow: str | Sequence[str] = (),
    state: str | None = None,
    transform: Mapping[str, Any] | None = None,
    multi_label: bool = False,
) -> Classifier:
    """Builds a classifier from a file.

    Args:
        weights: A ``.pt2`` program, which needs nothing else; or ``.pth`` or ``.safetensors`` weights for the network
            of ``factory`` or ``architecture``; None keeps the weights of the factory's network.
        factory: ``my_pkg:build`` or the name of an entry point; see ``pipeline.models.factory``.
        architecture: A torchvision classifier, built with as many outputs as the file has.
        allow: The packages whose code ``factory`` may run.
        state: Of a file with weights and their moving average (EMA), ``plain`` or ``ema``; None: the plain ones, if
            they are there.
        transform: Fields of ``Preprocessing`` that differ from ImageNet's or, with ``architecture``, from its own. They
            are an argument because a network of fixed input size must not be evaluated at another size.
        multi_label: The outputs are independent.

    Raises:
        UsageError: A file, name or network is not as described above.
    """
    program = weights is not None and Path(weights).suffix == ".pt2"
    if [program, factory is not None, architecture is not None].count(True) != 1:
        raise UsageError(
            "model=checkpoint needs exactly one of model.factory=my_pkg:build, model.architecture=resnet18 and "
            "model.weights=FILE.pt2"
        )
    if architecture is not None:
        classifier = torchvision_models.load(architecture, weights, state=state, multi_label=multi_label)
        return classifier.with_preprocessing(**transform or {})
    if factory is not None:
        name = factory.replace(":", ".")
        network = build_network(factory, allow=allow)
        if weights is None:
            logger.warning("%s keeps the weights that its factory gave it", name)
        else:
            load_weights(network, read_weights(weights, state=state), source=weights)
    else:
        name = Path(str(weights)).stem
        network = read_program(Path(str(weights)))
    preprocessing = override(IMAGENET, **transform or {})
    return Classifier.wrap(network, name, preprocessing=preprocessing, multi_label=multi_label)
