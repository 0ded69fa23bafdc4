"""Pictures of attribution maps: Captum's panels, with NumPy and Pillow alone.

One picture, or several side by side::

    draw(maps[0], image, method="blended_heat_map", sign="all", show_colorbar=True)
    draw(maps[0], image, Panel("original_image"), Panel("heat_map", "positive", title="for the cat"))

Titles and colour bars are drawn by Pillow too: the same figure takes nine times as long with matplotlib, and a run may
draw a million.
"""

from pipeline.visualize.colours import COLOURS, HIGHLIGHT
from pipeline.visualize.panel import METHODS, Panel
from pipeline.visualize.photograph import photograph
from pipeline.visualize.scale import SIGNS, normalize, threshold
from pipeline.visualize.sheet import draw, grid

__all__ = ["COLOURS", "HIGHLIGHT", "METHODS", "SIGNS", "Panel", "draw", "grid", "normalize", "photograph", "threshold"]
