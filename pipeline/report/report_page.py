"""The report of a run: one self-contained HTML page about what the model looks at."""

from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from pipeline.errors import Failure
from pipeline.report.derived_files import write_derived_files
from pipeline.report.example_cards import data_uri, example_card
from pipeline.report.formatting import percent, printable, significant
from pipeline.report.header import page_header
from pipeline.report.health import SAMPLE_NOTE, headline_indicators, health_checks, histogram
from pipeline.report.map_sample import MapSample, sample_maps
from pipeline.report.run_columns import read_columns
from pipeline.report.run_summary import ClassSummary, RunSummary
from pipeline.report.sample_rows import example_groups
from pipeline.store.atomic import atomic_write
from pipeline.store.reader import Run
from pipeline.store.run_files import refuse_symlink
from pipeline.store.shard_reader import ShardReader
from pipeline.visualize import COLOURS, HIGHLIGHT, draw

FAILURES_SHOWN = 100
COLUMNS = ("index", "label", "predicted", "score", "baseline_score", "convergence_delta")


def write_report(run_folder: Path, images: bool = True) -> Path:
    """Writes ``report/index.html``, a self-contained file.

    Args:
        run_folder: Of a run, finished or not.
        images: True to include photographs; else the page has maps and file names alone.

    Returns:
        The path of the page.

    Raises:
        UsageError: The folder is no run's.
        StoreError: Nothing is published yet, or something is damaged.
    """
    reader = ShardReader(run_folder)
    return write_report_page(reader, write_derived_files(reader), images=images)


def write_report_page(reader: ShardReader, summary: RunSummary, *, images: bool = True) -> Path:
    """As :func:`write_report`, from an open reader and the run's summary.

    Raises:
        StoreError: Nothing is published yet, or something is damaged.
    """
    run, columns = Run(reader), read_columns(reader, *COLUMNS)
    failed = list(run.failures())
    maps = sample_maps(run, np.where(columns["label"] < 0, columns["predicted"], columns["label"]))
    page = _template().render(
        **page_header(run, summary),
        summary=summary,
        shards=run.manifest.n_shards,
        indicators=headline_indicators(summary, columns),
        checks=health_checks(run, summary, failed, maps),
        sample_note=SAMPLE_NOTE,
        histogram=histogram(columns["convergence_delta"]),
        gallery=_gallery(run, columns, images=images),
        classes=_classes(summary, maps),
        failures=_failures(run, failed[:FAILURES_SHOWN]),
    )
    path = refuse_symlink(run.folder / "report") / "index.html"
    atomic_write(page.encode(errors="backslashreplace"), path)
    return path


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.report", ""), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"significant": significant, "percent": percent}
    return environment.get_template("page.html.jinja")


def _gallery(run: Run, columns: dict[str, np.ndarray], *, images: bool) -> dict[str, Any]:
    groups = [
        {
            "title": group.title,
            "total": group.total,
            "cards": [example_card(run[row], run.manifest, images=images) for row in group.rows.tolist()],
        }
        for group in example_groups(columns)
    ]
    colours = [f"#{anchor}" for anchor in COLOURS["BuWhRd"].split()]
    return {"groups": groups, "images": images, "colours": colours, "highlight": HIGHLIGHT}


def _classes(summary: RunSummary, maps: MapSample) -> list[tuple[ClassSummary, str | None]]:
    """Summaries of the classes, the least accurate first, each with its mean map."""

    def least_accurate_first(summary: ClassSummary) -> tuple[float, int, str]:
        return (1.0 if summary.accuracy is None else summary.accuracy, -summary.n, summary.name.casefold())

    def mean_map(summary: ClassSummary) -> str | None:
        mean = maps.means.get(summary.label if summary.label is not None else -1)
        return None if mean is None else data_uri(draw(mean), "png")

    return [(one, mean_map(one)) for one in sorted(summary.classes, key=least_accurate_first)]


def _failures(run: Run, failed: list[Failure]) -> list[dict[str, str]]:
    return [
        {
            "path": printable(run.manifest.paths[failure.index]),
            "stage": failure.stage,
            "error": printable(failure.error),
        }
        for failure in failed
    ]
