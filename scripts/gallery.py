"""docs/gallery.md and its pictures: every method in conf/method/, by the command line, on two photographs.

python scripts/gallery.py docs
"""

import argparse
import inspect
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name

import pipeline
from pipeline.__main__ import main as command_line
from pipeline.store.reader import Run
from pipeline.system.configuration import conf_folder
from pipeline.visualize import Panel, grid

CLASSES = "data.classes=[n02123159,n07920052]"  # chelsea.png and coffee.png
LAYER = "layer=head"  # the last with places: 7 x 7
PANELS = (Panel("heat_map", "all"), Panel("overlay", "positive"))
# What a method asks for, or would take minutes without; a layer that is asked for is LAYER unless said here.
ARGUMENTS = {
    "activation": ["view=layer", LAYER],
    "conductance": ["view=layer", LAYER],
    "internal_influence": ["view=layer", "layer=blocks.10"],  # at the head, before a mean, it is the same everywhere
    "rise": ["n_masks=500"],
    "score_cam": ["layer=blocks.15"],
}
# What every method takes, shown with one.
BEYOND = {
    "Of a class, in a hidden layer": ["method=ig", "view=layer", LAYER],
    "Of a hidden neuron, in the pixels": ["method=ig", "view=neuron", "layer=blocks.10", "neuron=[3,7,7]"],
    "Averaged over noisy copies": ["method=saliency", "smooth=noise_tunnel", "smooth.stdevs=0.2"],
}
BEGINNING = """# Gallery

Every method of `conf/method/` on two of the demo's photographs, for the class that its network predicts.
Left of each pair: what is for (red) and against (blue) the class. Right: in orange, where that which is for it lies.
The commands explain all of the demo's photographs. `python scripts/gallery.py docs` made this page.

![The two photographs](gallery/photographs.jpg)

A tiger cat and an espresso, says the network.
Photographs: chelsea.png (CC0, S. van der Walt), coffee.png (CC0, Rachel Michetti).
"""


@dataclass(frozen=True)
class Entry:
    """What is shown under a heading: a sentence, and the command's options."""

    heading: str
    sentence: str
    options: list[str]

    @property
    def name(self) -> str:
        """Of the picture's file."""
        return self.heading.replace("=", "_")


def entries() -> list[Entry]:
    """Every method with what it cannot do without, then what every method takes."""
    methods = [_method(path.stem, path.read_text()) for path in sorted((conf_folder() / "method").glob("*.yaml"))]
    return methods + [Entry(options[1], f"{sentence}.", options) for sentence, options in BEYOND.items()]


def _method(name: str, description: str) -> Entry:
    (target,) = re.findall(r"_target_: (pipeline\.methods\S+)", description)
    sentence = str(inspect.getdoc(resolve_name(target))).partition("\n\n")[0].replace("\n", " ")
    layer = [LAYER] if re.search(r"^layer: \?\?\?", description, re.MULTILINE) else []
    return Entry(name, sentence, [f"method={name}", *ARGUMENTS.get(name, layer)])


def explain(options: list[str], folder: Path) -> Run:
    """The run of a command line, given in this process: importing everything takes longer than many a method."""
    sys.argv = ["pipeline", *options, CLASSES, f"output_dir={folder}", "device=cpu", "num_workers=0"]
    try:
        command_line()
    except SystemExit as end:
        if end.code:
            raise
    return pipeline.open_run(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path, help="the folder of gallery.md")
    target = parser.parse_args().target.resolve()
    (target / "gallery").mkdir(parents=True, exist_ok=True)
    page = [BEGINNING]
    with tempfile.TemporaryDirectory() as folder:
        for entry in entries():
            run = explain(entry.options, Path(folder, entry.name))
            draw_run(run, target / "gallery" / f"{entry.name}.jpg", *PANELS)
            command = " ".join(["python -m pipeline", *entry.options])
            page.append(f"## `{entry.heading}`\n\n{entry.sentence}\n\n```bash\n{command}\n```\n")
            page.append(f"![{entry.heading}](gallery/{entry.name}.jpg)\n")
        draw_run(run, target / "gallery" / "photographs.jpg", Panel("original_image"))
    (target / "gallery.md").write_text("\n".join(page))


def draw_run(run: Run, path: Path, *panels: Panel) -> None:
    grid([[explanation.show(*panels) for explanation in run]]).save(path, quality=80)


if __name__ == "__main__":
    main()
