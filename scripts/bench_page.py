"""Makes the tables and the plot of docs/benchmarks.md from the results of scripts/bench.py.

python scripts/bench_page.py docs/benchmarks.jsonl docs/benchmarks.md docs/benchmarks.svg
"""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot

BEGIN, END = "<!-- begin results -->\n", "<!-- end results -->\n"
AGAINST_CAPTUM = {
    "network": "network", "work": "work", "ours": "ours, s", "best": "Captum's best, s", "best_at": "at",
    "default": "Captum's default, s", "ratio_best": "best / ours", "ratio_default": "default / ours",
    "ratio_zennit": "Zennit / ours", "ratio_torchcam": "TorchCAM / ours", "limit": "dense limit, s",
    "difference": "largest difference", "off": "ours from float64", "off_dense": "network from float64",
}  # fmt: skip
"""Columns: name in a result -> heading."""
COLOURS = "#d95f0e", "#6b7280"
Row = dict[str, Any]


def table(rows: Iterable[Row], columns: dict[str, str]) -> str:
    """Markdown of the columns that any row has."""
    rows = list(rows)
    used = {key: heading for key, heading in columns.items() if any(key in row for row in rows)}
    lines = ["| " + " | ".join(used.values()) + " |", "|" + "---|" * len(used)]
    lines += ["| " + " | ".join(cell(row.get(key, "")) for key in used) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def cell(value: object) -> str:
    """A number with three digits."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {cell(part)}" for name, part in value.items())
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def others(row: Row) -> dict[str, str]:
    """Columns of a row that is not about Captum's time."""
    hidden = ("machine", "data", "rate", "rounds", "photographs", "seconds")
    return {key: key.replace("_", " ") for key in row if key not in hidden}


def plot(rows: list[Row], path: Path) -> None:
    """Bars of how many times longer Captum takes, and lines of what grows how."""
    growth = [row for row in rows if row["work"] == "growth"]
    bars = [row for row in rows if "ratio_best" in row]
    kinds = ("windows", "steps", "images", "pixels") if growth else ()
    figure = pyplot.figure(figsize=(8, 0.32 * len(bars) + 1 + 2.6 * bool(growth)), layout="constrained")
    grid = figure.add_gridspec(
        1 + bool(growth), max(1, len(kinds)), height_ratios=[0.32 * len(bars), 2][: 1 + bool(growth)]
    )
    axes = figure.add_subplot(grid[0, :])
    labels = [f"{row['network']}, {row['work']}" for row in bars][::-1]
    axes.barh(labels, [row["ratio_best"] for row in bars][::-1], color=COLOURS[0])
    axes.axvline(1, color=COLOURS[1], linewidth=1)
    axes.set_xlabel("Captum at its best takes so many times longer")
    for number, kind in enumerate(kinds):
        axes = figure.add_subplot(grid[1, number])
        for peer, colour in zip(("ours", "captum"), COLOURS, strict=True):
            seconds = {label.split()[1]: times[peer] for label, times in growth[-1]["seconds"].items() if kind in label}
            axes.plot([int(amount) for amount in seconds], list(seconds.values()), "o-", color=colour, label=peer)
        axes.set(xlabel=kind, xlim=(0, None), ylim=(0, None))
        if number == 0:
            axes.set_ylabel(f"seconds, {growth[-1]['network']}")
            axes.legend(frameon=False, handlelength=1)
    matplotlib.rcParams["svg.fonttype"] = "none"
    matplotlib.rcParams["svg.hashsalt"] = "benchmarks"
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Writes the tables between the marks of the page, and the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("results", "page", "picture"):
        parser.add_argument(name, type=Path)
    options = parser.parse_args()
    rows = [json.loads(line) for line in options.results.read_text().splitlines()]
    about_captum = [row for row in rows if "ratio_best" in row]
    parts = [table(about_captum, AGAINST_CAPTUM)]
    parts += [table([row], others(row)) for row in rows if "ratio_best" not in row and row["work"] != "growth"]
    machines = dict.fromkeys(f"* {row['machine']}; photographs: {row['data']}" for row in rows)
    parts.append("Measured on:\n\n" + "\n".join(machines) + "\n")
    page = options.page.read_text()
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    options.page.write_text(before + BEGIN + "\n" + "\n".join(parts) + "\n" + END + after)
    plot(rows, options.picture)


if __name__ == "__main__":
    main()
