"""The report of a run: one self-contained page, for whoever wants to know what the model looks at."""

from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from pipeline.errors import Failure
from pipeline.report.example_cards import card, data_uri
from pipeline.report.formatting import percent, printable, significant
from pipeline.report.header import provenance
from pipeline.report.health import SAMPLE_NOTE, checks, figures, histogram
from pipeline.report.map_sample import MapSample, sample_maps
from pipeline.report.run_summary import ClassSummary, RunSummary, columns, write_derived_files
from pipeline.report.sample_rows import examples
from pipeline.store.atomic import replace
from pipeline.store.reader import Run
from pipeline.store.run_files import plain_folder
from pipeline.store.shard_reader import ShardReader
from pipeline.visualize import COLOURS, HIGHLIGHT, draw

FAILURES_SHOWN = 100
COLUMNS = ("index", "label", "predicted", "score", "baseline_score", "convergence_delta")


def write_report(run_folder: Path, images: bool = True) -> Path:
    """Writes ``report/index.html``, a file that needs no other.

    Args:
        run_folder: Of a run, finished or not.
        images: Whether photographs are in it; without, the page has maps and file names.

    Returns:
        The path of the page.

    Raises:
        UsageError: The folder is no run's.
        StoreError: Nothing is published yet, or something is damaged.
    """
    source = ShardReader(run_folder)
    return write_report_page(source, write_derived_files(source), images=images)


def write_report_page(source: ShardReader, summary: RunSummary, *, images: bool = True) -> Path:
    """The same from shards that are open and their numbers.

    Raises:
        StoreError: Nothing is published yet, or something is damaged.
    """
    run, values = Run(source), columns(source, *COLUMNS)
    failed = list(run.failures())
    maps = sample_maps(run, np.where(values["label"] < 0, values["predicted"], values["label"]))
    page = _template().render(
        **provenance(run, summary),
        summary=summary,
        shards=run.manifest.n_shards,
        figures=figures(summary, values),
        checks=checks(run, summary, failed, maps),
        sample_note=SAMPLE_NOTE,
        histogram=histogram(values["convergence_delta"]),
        gallery=_gallery(run, values, images=images),
        classes=_classes(summary, maps),
        failures=_failures(run, failed[:FAILURES_SHOWN]),
    )
    path = plain_folder(run.folder / "report") / "index.html"
    replace(page.encode(errors="backslashreplace"), path)
    return path


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.report", ""), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"significant": significant, "percent": percent}
    return environment.get_template("page.html.jinja")


def _gallery(run: Run, values: dict[str, np.ndarray], *, images: bool) -> dict[str, Any]:
    groups = [
        {
            "title": group.title,
            "total": group.total,
            "cards": [card(run[row], run.manifest, images=images) for row in group.rows.tolist()],
        }
        for group in examples(values)
    ]
    colours = [f"#{anchor}" for anchor in COLOURS["BuWhRd"].split()]
    return {"groups": groups, "images": images, "colours": colours, "highlight": HIGHLIGHT}


def _classes(summary: RunSummary, maps: MapSample) -> list[tuple[ClassSummary, str | None]]:
    """The lines of the classes, worst first, each with its mean map."""

    def worst_first(line: ClassSummary) -> tuple[float, int, str]:
        return (1.0 if line.accuracy is None else line.accuracy, -line.n, line.name.casefold())

    def mean_map(line: ClassSummary) -> str | None:
        mean = maps.means.get(line.label if line.label is not None else -1)
        return None if mean is None else data_uri(draw(mean), "png")

    return [(line, mean_map(line)) for line in sorted(summary.classes, key=worst_first)]


def _failures(run: Run, failed: list[Failure]) -> list[dict[str, str]]:
    return [
        {
            "path": printable(run.manifest.paths[failure.index]),
            "stage": failure.stage,
            "error": printable(failure.error),
        }
        for failure in failed
    ]
