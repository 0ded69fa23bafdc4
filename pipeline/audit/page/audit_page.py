"""HTML page of an audit: self-contained, or with a folder of pictures beside it if they are many."""

import base64
import dataclasses
import hashlib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from pipeline.audit.audit_files import AUDIT_FOLDER
from pipeline.audit.findings import Audit
from pipeline.audit.page.examples import example_rows
from pipeline.audit.page.metric_scores import metric_scores
from pipeline.audit.page.page_data import page_data
from pipeline.audit.page.strips import Strip, common_scale, strips
from pipeline.report.derived_files import write_derived_files
from pipeline.report.formatting import percent
from pipeline.report.header import page_header
from pipeline.report.health import SAMPLE_NOTE, Indicator, health_checks, histogram
from pipeline.report.map_sample import sample_maps
from pipeline.report.report_page import COLUMNS
from pipeline.report.run_columns import read_columns
from pipeline.store.atomic import atomic_write
from pipeline.store.reader import Run
from pipeline.store.run_files import refuse_symlink
from pipeline.store.shard_reader import ShardReader

PAGE, PICTURES = "index.html", "pictures"
MAX_EMBEDDED = 1500
"""Pictures embedded in a page at most (about 15 MB); more are files beside it."""
SCRIPTS = ("data.js", "maps.js", "cards.js", "plots.js", "table.js", "classes.js", "panel.js", "lists.js", "main.js")
_FILES_PER_FOLDER = 1000


def write_audit_page(
    audit: Audit, source: ShardReader, *, images: bool = True, max_embedded: int = MAX_EMBEDDED
) -> Path:
    """Write ``audit/index.html`` of a run's folder.

    Args:
        audit: Audit of the run.
        source: Its shards.
        images: False leaves out the photographs; none is opened.
        max_embedded: Pictures embedded in the page at most; if there are more, all are files in ``audit/pictures/``.

    Returns:
        The path of the page.

    Raises:
        StoreError: The store is damaged.
    """
    folder, run = refuse_symlink(source.run / AUDIT_FOLDER), Run(source)
    rows = example_rows(audit) if audit.run.pooled else []
    scale, beside = common_scale(run, rows), len(rows) > max_embedded
    pictures, drawn = refuse_symlink(folder / PICTURES), strips(run, rows, scale, images=images)
    shown = list(_write_pictures(drawn, pictures) if beside else drawn)
    page = _template().render(
        **_overview(audit, source, run),
        **_assets(beside=beside),
        data=page_data(audit, shown, scale, folder=PICTURES if beside else None),
        strips=[] if beside else shown,
    )
    atomic_write(page.encode(errors="backslashreplace"), folder / PAGE)
    for stale in set(pictures.rglob("*.jpg")) - {_picture_path(pictures, row) for row in rows if beside}:
        stale.unlink(missing_ok=True)
    return folder / PAGE


def _write_pictures(drawn: Iterator[Strip], folder: Path) -> Iterator[Strip]:
    """Write the pictures to files and yield the strips without them."""
    for strip in drawn:
        atomic_write(strip.jpeg, _picture_path(folder, strip.row))
        yield dataclasses.replace(strip, jpeg=b"")


def _picture_path(folder: Path, row: int) -> Path:
    return folder / f"{row // _FILES_PER_FOLDER:03d}" / f"{row}.jpg"


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.audit.page", ""), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    return environment.get_template("index.html.jinja")


def _assets(*, beside: bool) -> dict[str, str]:
    """Style and script, and a content security policy that allows these two alone, by their hashes."""
    here = files("pipeline.audit.page")
    style = (here / "style.css").read_text("utf-8")
    script = "".join((here / name).read_text("utf-8") for name in SCRIPTS)
    pictures = "img-src data: 'self' file:" if beside else "img-src data:"
    nothing_else = "default-src 'none'; base-uri 'none'; form-action 'none'"
    policy = f"{nothing_else}; {pictures}; style-src {_hash(style)}; script-src {_hash(script)}"
    return {"style": style, "script": script, "policy": policy}


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _overview(audit: Audit, source: ShardReader, run: Run) -> dict[str, Any]:
    """Provenance, totals, health checks and metric scores of the run."""
    summary, values = write_derived_files(source), read_columns(source, *COLUMNS)
    maps = sample_maps(run, np.where(values["label"] < 0, values["predicted"], values["label"]))
    return {
        **page_header(run, summary),
        "audit": audit,
        "figures": _figures(audit),
        "checks": health_checks(run, summary, [*run.failures()], maps),
        "sample_note": SAMPLE_NOTE,
        "histogram": histogram(values["convergence_delta"]),
        "scores": metric_scores(source.run),
    }


def _figures(audit: Audit) -> list[Indicator]:
    """Key figures at the head of the page."""
    totals, run = audit.totals, audit.run
    figures = [Indicator(f"of {run.images:,} images explained", f"{run.audited:,}")]
    if totals.accuracy is not None:
        figures.append(Indicator("predicted as labelled", percent(totals.accuracy)))
    figures.append(Indicator("classes suspected to rely on a shortcut", f"{totals.suspects:,}", totals.suspects > 0))
    figures.append(Indicator("of them confirmed by an intervention", f"{totals.confirmed:,}", totals.confirmed > 0))
    if totals.accuracy is not None:
        figures.append(Indicator("labels in doubt by confident learning", f"{totals.doubted:,}"))
    if totals.unfaithful_share is not None:
        figures.append(Indicator("of the maps violate completeness", percent(totals.unfaithful_share)))
    return figures
