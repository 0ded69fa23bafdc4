"""The picture of README.md: three of the demo's photographs, and overlays of three methods for the predicted class.

python scripts/picture.py docs/demo.jpg
"""

import argparse
import tempfile
from pathlib import Path

import torch
from PIL import Image

from pipeline.data.decode import read_image
from pipeline.data.demo_photographs import write_demo_photographs
from pipeline.methods import IntegratedGradients, Method, Occlusion, Saliency
from pipeline.models import demo
from pipeline.models.classifier import Classifier
from pipeline.visualize import draw, grid

PHOTOGRAPHS = ("n02123159/chelsea.png", "n03877845/china.jpg", "n07920052/coffee.png")


def pictures(classifier: Classifier, methods: dict[str, Method], photograph: Path) -> list[Image.Image]:
    """Draw the network's input, with the prediction, and an overlay for each method."""
    pixels, _ = classifier.preprocessing(read_image(photograph))
    images = classifier.preprocessing.normalize(pixels[None] / 255)
    with torch.no_grad():
        probability, target = classifier.module(images)[0].softmax(0).max(0)
    image = Image.fromarray(pixels.permute(1, 2, 0).numpy())
    maps = {name: method(images, int(target))[0] for name, method in methods.items()}
    title = f"{classifier.class_names[int(target)]}, {probability:.0%}"
    first = draw(images[0], image, method="original_image", title=title)
    return [first, *(draw(maps[name], image, method="overlay", sign="positive", title=name) for name in maps)]


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path)
    target = parser.parse_args().target
    classifier = demo.load()
    methods: dict[str, Method] = {
        "Integrated Gradients, 200 steps": IntegratedGradients(classifier.module, n_steps=200),
        "Occlusion, windows of 45 pixels": Occlusion(
            classifier.module, sliding_window_shapes=(3, 45, 45), strides=(3, 9, 9)
        ),
        "Saliency": Saliency(classifier.module),
    }
    with tempfile.TemporaryDirectory() as folder:
        write_demo_photographs(Path(folder))
        rows = [pictures(classifier, methods, Path(folder, name)) for name in PHOTOGRAPHS]
    target.parent.mkdir(exist_ok=True)
    grid(rows).save(target, quality=88)


if __name__ == "__main__":
    main()
