"""What a notebook shows of a run: a few lines, and the first explanations as pictures."""

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
SIDE = 96
"""Of a thumbnail, at most, in pixels."""


class Explanations(Protocol):
    """What is shown: a :class:`pipeline.store.reader.Run`."""

    @property
    def source(self) -> ShardReader: ...

    @property
    def attributes(self) -> dict[str, Any]: ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Explanation]: ...


def html(run: Explanations) -> str:
    """A table of what the run is, and thumbnails of its first explanations."""
    lines = "".join(
        f'<tr><th style="text-align:left">{escape(name)}</th><td style="text-align:left">{escape(value)}</td></tr>'
        for name, value in _facts(run)
    )
    return f"<div><table>{lines}</table>{''.join(map(_figure, islice(run, THUMBNAILS)))}</div>"


def _facts(run: Explanations) -> Iterator[tuple[str, str]]:
    source = run.source
    yield "run", str(source.run)
    if source.shards:
        yield "method", str(run.attributes["method"])
        yield "model", str(run.attributes["model"])
    yield "explanations", f"{len(run):,}"
    yield "images of the run", f"{len(source.manifest):,}"
    yield "failures", f"{sum(source.ledger.summary(shard)['failures'] for shard in source.shards):,}"
    if missing := source.manifest.n_shards - len(source.shards):
        yield "not published yet", f"{missing:,} of {source.manifest.n_shards:,} shards"


def _figure(explanation: Explanation) -> str:
    try:
        picture = explanation.show()
    except NotSpatial:
        return ""
    stream = io.BytesIO()
    picture.thumbnail((SIDE, SIDE))
    picture.save(stream, "png")
    name = escape(f"{explanation.path.name}: {explanation.class_name}", quote=True)
    data = base64.b64encode(stream.getvalue()).decode()
    return f'<img src="data:image/png;base64,{data}" alt="{name}" title="{name}" style="display:inline-block">'
