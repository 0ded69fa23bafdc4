"""HTML summary of a run for notebooks: a table, and the first explanations as thumbnails."""

import base64
import io
from collections.abc import Iterator
from html import escape
from itertools import islice
from typing import Any, Protocol

from pipeline.engine.geometry import NotSpatial
from pipeline.store.explanation import Explanation
from pipeline.store.shard_reader import ShardReader

THUMBNAILS = 6
THUMBNAIL_PIXELS = 96
"""Longer side of a thumbnail."""


class Explanations(Protocol):
    """The part of :class:`pipeline.store.reader.Run` that is shown; reader.py imports this module, not the reverse."""

    @property
    def reader(self) -> ShardReader: ...

    @property
    def attributes(self) -> dict[str, Any]: ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Explanation]: ...


def html_summary(run: Explanations) -> str:
    """Summarize a run as HTML: a table of its properties, and thumbnails of its first explanations."""
    lines = "".join(
        f'<tr><th style="text-align:left">{escape(name)}</th><td style="text-align:left">{escape(value)}</td></tr>'
        for name, value in _properties(run)
    )
    return f"<div><table>{lines}</table>{''.join(map(_figure, islice(run, THUMBNAILS)))}</div>"


def _properties(run: Explanations) -> Iterator[tuple[str, str]]:
    reader = run.reader
    yield "run", str(reader.run)
    if reader.shards:
        yield "method", str(run.attributes["method"])
        yield "model", str(run.attributes["model"])
    yield "explanations", f"{len(run):,}"
    yield "images of the run", f"{len(reader.manifest):,}"
    yield "failures", f"{sum(reader.ledger.summary(shard)['failures'] for shard in reader.shards):,}"
    if missing := reader.manifest.n_shards - len(reader.shards):
        yield "not published yet", f"{missing:,} of {reader.manifest.n_shards:,} shards"


def _figure(explanation: Explanation) -> str:
    try:
        picture = explanation.show()
    except NotSpatial:
        return ""
    stream = io.BytesIO()
    picture.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
    picture.save(stream, "png")
    name = escape(f"{explanation.path.name}: {explanation.class_name}", quote=True)
    data = base64.b64encode(stream.getvalue()).decode()
    return f'<img src="data:image/png;base64,{data}" alt="{name}" title="{name}" style="display:inline-block">'
