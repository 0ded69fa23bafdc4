"""Rendering of a run's explanations to a folder of pictures."""

import io
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path

from PIL import Image, PngImagePlugin

from pipeline.data.decode import UnreadableImage
from pipeline.errors import UsageError
from pipeline.run.task_options import RenderOptions
from pipeline.store.atomic import atomic_write, remove_orphans
from pipeline.store.explanation import Explanation
from pipeline.store.reader import Run
from pipeline.store.schema import canonical_json
from pipeline.system.progress import Progress
from pipeline.system.signals import StopRequest
from pipeline.visualize.panel import UNSIGNED, Panel, without_image
from pipeline.visualize.sheet import row

CONTENT = "content"  # key of the PNG text chunk with the run and the panels that were drawn
_WORDS = {"all": "for and against", "positive": "for", "negative": "against", "absolute_value": "magnitude"}
_NAME_LETTERS = 80


def panels_from_options(options: RenderOptions) -> list[Panel]:
    """The panels that the options of ``task=render`` describe, left to right.

    Raises:
        UsageError: An option's value is invalid.
    """
    try:
        return [
            Panel(
                name,
                options.sign or _widest_sign(name),
                outlier_perc=options.outlier_perc,
                cmap=options.cmap,
                alpha_overlay=options.alpha_overlay,
                show_colorbar=options.show_colorbar,
                scale=None if isinstance(options.scale, str) else options.scale,
            )
            for name in options.panels
        ]
    except ValueError as error:
        raise UsageError(f"task.{error}") from error


def _widest_sign(method: str) -> str:
    return "absolute_value" if method in UNSIGNED else "all"


def render(run: Run, options: RenderOptions, *, stop: StopRequest) -> Path:
    """Draws the explanations that are not drawn yet; each picture is written atomically.

    Args:
        run: A run; only published explanations are drawn.
        options: Of ``task=render``.
        stop: Checked before each picture.

    Returns:
        The pictures' folder.

    Raises:
        UsageError: An option's value is invalid.
        NotSpatial: The maps have no positions in the image.
        StoreError: Damage was found.
        Stopped: A signal came; the same command resumes.
    """
    panels = panels_from_options(options)
    folder = Path(options.folder) if options.folder else run.folder / "pictures"
    total = len(run) if options.limit is None else min(len(run), options.limit)
    if options.scale == "shared":
        panels = shared_scale(panels, islice(run, total), stop=stop)
    if folder.is_dir():
        remove_orphans(folder)
    with Progress(total) as progress:
        for explanation in islice(run, total):
            stop.check()
            titled = _titled(panels, explanation) if options.titles else panels
            content = canonical_json({"run": run.manifest.fingerprint, "panels": [asdict(panel) for panel in titled]})
            _draw(explanation, titled, folder / picture_name(run, explanation), content)
            progress.add(1, failed=0)
    return folder


def shared_scale(panels: Sequence[Panel], explanations: Iterable[Explanation], *, stop: StopRequest) -> list[Panel]:
    """The panels with one scale for all maps: the largest of the maps' own, so that none is clipped more than alone."""
    largest = [0.0] * len(panels)
    for explanation in explanations:
        stop.check()
        map_ = explanation.map
        largest = [max(most, panel.threshold(map_)) for most, panel in zip(largest, panels, strict=True)]
    return [replace(panel, scale=most or None) for panel, most in zip(panels, largest, strict=True)]


def picture_name(run: Run, explanation: Explanation) -> str:
    """File name that sorts in the order of the run, with characters that every file system allows."""
    relative = Path(os.fsdecode(run.manifest.paths[explanation.index])).with_suffix("")
    words = re.sub(r"[^A-Za-z0-9.-]+", "_", str(relative))[-_NAME_LETTERS:].strip("._-")
    target = explanation.target if explanation.target >= 0 else "neuron"
    return f"{explanation.index:0{len(str(len(run.manifest)))}d}-{words}-{target}.png"


def _draw(explanation: Explanation, panels: Sequence[Panel], path: Path, content: str) -> None:
    """Draws a picture unless it exists with the same content; one without its photograph is drawn each time."""
    if _content(path) == content:
        return
    text = PngImagePlugin.PngInfo()
    try:
        image = explanation.photograph() if any(panel.needs_image for panel in panels) else None
        text.add_text(CONTENT, content)
    except UnreadableImage:
        image, panels = None, without_image(panels)
    stream = io.BytesIO()
    row(explanation.map, image, panels).save(stream, "png", pnginfo=text)
    atomic_write(stream.getbuffer(), path)


def _content(path: Path) -> str | None:
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            return picture.info.get(CONTENT)
    except (OSError, SyntaxError):  # it does not exist, or is another program's
        return None


def _titled(panels: Sequence[Panel], explanation: Explanation) -> list[Panel]:
    explained = explanation.class_name if explanation.target >= 0 else "neuron"
    return [
        replace(panel, title=explained if panel.method == "original_image" else _WORDS[panel.sign]) for panel in panels
    ]
