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
LAYER = "layer=head"  # the last with positions in the image: 7 x 7
PANELS = (Panel("heat_map", "all"), Panel("overlay", "positive"))
# Options that a method requires, or that save minutes; a required layer is LAYER unless it stands here.
ARGUMENTS = {
    "activation": ["view=layer", LAYER],
    "conductance": ["view=layer", LAYER],
    "internal_influence": ["view=layer", "layer=blocks.10"],  # at the head, before a mean, its map is constant
    "rise": ["n_masks=500"],
    "score_cam": ["layer=blocks.15"],
}
# Options that every method takes, shown with one.
COMMON = {
    "A class with respect to a hidden layer": ["method=ig", "view=layer", LAYER],
    "A hidden neuron with respect to the pixels": ["method=ig", "view=neuron", "layer=blocks.10", "neuron=[3,7,7]"],
    "A method averaged over noisy copies of the image": [
        "method=saliency", "smooth=noise_tunnel", "smooth.stdevs=0.2"
    ],
}  # fmt: skip
INTRODUCTION = """# Gallery

Every method of `conf/method/` on two of the demo's photographs, for the class that its network predicts.
Left of each pair: evidence for (red) and against (blue) the class. Right: in orange, the strongest evidence for it.
The commands explain all of the demo's photographs. `python scripts/gallery.py docs` writes this page.

![The two photographs](gallery/photographs.jpg)

The network's predictions: a tiger cat and an espresso.
Photographs: chelsea.png (CC0, S. van der Walt), coffee.png (CC0, Rachel Michetti).
"""


@dataclass(frozen=True)
class Entry:
    """Section of the page: a heading, a sentence, and the command's options."""

    heading: str
    sentence: str
    options: list[str]

    @property
    def name(self) -> str:
        """Stem of the picture's file name."""
        return self.heading.replace("=", "_")


def entries() -> list[Entry]:
    """List every method with its required options, then the options that every method takes."""
    methods = [_method(path.stem, path.read_text()) for path in sorted((conf_folder() / "method").glob("*.yaml"))]
    return methods + [Entry(options[1], f"{sentence}.", options) for sentence, options in COMMON.items()]


def _method(name: str, description: str) -> Entry:
    (target,) = re.findall(r"_target_: (pipeline\.methods\S+)", description)
    sentence = str(inspect.getdoc(resolve_name(target))).partition("\n\n")[0].replace("\n", " ")
    layer = [LAYER] if re.search(r"^layer: \?\?\?", description, re.MULTILINE) else []
    return Entry(name, sentence, [f"method={name}", *ARGUMENTS.get(name, layer)])


def explain(options: list[str], folder: Path) -> Run:
    """Run a command line in this process, for imports take longer than many a method; return the run."""
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
    with tempfile.TemporaryDirectory() as folder:
        for entry in entries():
            run = explain(entry.options, Path(folder, entry.name))
            draw_run(run, target / "gallery" / f"{entry.name}.jpg", *PANELS)
        draw_run(run, target / "gallery" / "photographs.jpg", Panel("original_image"))
    (target / "gallery.md").write_text(page_text())


def page_text() -> str:
    """Compose the page; its pictures are files beside it."""
    page = [INTRODUCTION]
    for entry in entries():
        command = " ".join(["python -m pipeline", *entry.options])
        page.append(f"## `{entry.heading}`\n\n{entry.sentence}\n\n```bash\n{command}\n```\n")
        page.append(f"![{entry.heading}](gallery/{entry.name}.jpg)\n")
    return "\n".join(page)


def draw_run(run: Run, path: Path, *panels: Panel) -> None:
    grid([[explanation.show(*panels) for explanation in run]]).save(path, quality=80)


if __name__ == "__main__":
    main()
