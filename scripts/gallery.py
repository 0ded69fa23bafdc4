"""docs/gallery.md and its pictures: every method in conf/method/, by the command line, on two photographs.

python scripts/gallery.py docs
"""

import argparse
import inspect
import re
import sys
import tempfile
from pathlib import Path
from pkgutil import resolve_name

import pipeline
from pipeline.__main__ import main as command_line
from pipeline.configuration import conf_folder
from pipeline.store.reader import Run
from pipeline.visualize import Panel, grid

CLASSES = "data.classes=[n02123159,n07920052]"  # chelsea.png and coffee.png
LAYER = "layer=blocks.10"
PANELS = (Panel("heat_map", "all"), Panel("overlay", "positive"))
# What a method asks for beyond a layer.
ARGUMENTS: dict[str, list[str]] = {}
BEGINNING = """# Gallery

Every method of `conf/method/` on two of the demo's photographs, for the class that its network predicts.
Left of each pair: what is for (red) and against (blue) the class. Right: in orange, where that which is for it lies.
The commands explain all of the demo's photographs. `python scripts/gallery.py docs` made this page.

![The photographs and the predicted classes](gallery/photographs.jpg)

Photographs: chelsea.png (CC0, S. van der Walt), coffee.png (CC0, Rachel Michetti).
"""


def arguments(name: str, description: str) -> list[str]:
    """What must be given for a method, besides nothing."""
    layer = [LAYER] if re.search(r"^layer: \?\?\?", description, re.MULTILINE) else []
    return [f"method={name}", *layer, *ARGUMENTS.get(name, [])]


def explain(options: list[str], folder: Path) -> Run:
    """The run of a command line, given in this process: importing everything takes longer than many a method."""
    sys.argv = ["pipeline", *options, CLASSES, f"output_dir={folder}", "device=cpu", "num_workers=0"]
    try:
        command_line()
    except SystemExit as end:
        if end.code:
            raise
    return pipeline.open_run(folder)


def words(description: str) -> str:
    """The first sentence about the class that a method's description names."""
    (target,) = re.findall(r"_target_: (pipeline\.methods\S+)", description)
    return str(inspect.getdoc(resolve_name(target))).partition("\n\n")[0].replace("\n", " ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path, help="the folder of gallery.md")
    target = parser.parse_args().target.resolve()
    (target / "gallery").mkdir(parents=True, exist_ok=True)
    page = [BEGINNING]
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted((conf_folder() / "method").glob("*.yaml")):
            options = arguments(path.stem, path.read_text())
            run = explain(options, Path(folder, path.stem))
            pictures = [explanation.show(*PANELS) for explanation in run]
            grid([pictures]).save(target / "gallery" / f"{path.stem}.jpg", quality=80)
            command = " ".join(["python -m pipeline", *options])
            page.append(f"## {path.stem}\n\n{words(path.read_text())}\n")
            page.append(f"```bash\n{command}\n```\n\n![{path.stem}](gallery/{path.stem}.jpg)\n")
        photographs = [explanation.show(method="original_image", title=explanation.class_name) for explanation in run]
    grid([photographs]).save(target / "gallery" / "photographs.jpg", quality=85)
    (target / "gallery.md").write_text("\n".join(page))


if __name__ == "__main__":
    main()
