"""Scale of a map: its values of a sign, and the magnitude that gets the strongest colour."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Values = NDArray[np.float64]
SIGNS = ("all", "positive", "negative", "absolute_value")


def normalize(map: ArrayLike, *, sign: str = "all", outlier_perc: float = 2, scale: float | None = None) -> Values:
    """Scale a map for the eye, as Captum's ``visualize_image_attr`` does.

    Args:
        map: Attribution map, (H, W) or (C, H, W).
        sign: ``all``, ``positive``, ``negative`` or ``absolute_value``; ``negative`` gives magnitudes.
        outlier_perc: Percent of the total magnitude that may be clipped, in [0, 100].
        scale: The magnitude that becomes 1, for several maps alike; None: the map's own ``threshold``.

    Returns:
        (H, W) float64 in [-1, 1] for ``all``, else in [0, 1]; all zeros for a map without values of that sign.

    Raises:
        ValueError: For another sign, percentage or shape, a scale that is not positive, or values that are not finite.
    """
    if scale is not None and not scale > 0:
        raise ValueError(f"scale is a magnitude above 0, not {scale}")
    strongest = threshold(map, sign=sign, outlier_perc=outlier_perc) if scale is None else scale
    values = values_of_sign(map, sign)
    if strongest == 0:
        return np.zeros_like(values)
    scaled: Values = np.clip(values / strongest, -1, 1)
    return scaled


def threshold(map: ArrayLike, *, sign: str = "all", outlier_perc: float = 2) -> float:
    """Return the magnitude up to which the values of a sign sum to ``100 - outlier_perc`` percent of their total.

    Raises:
        ValueError: For another sign, percentage or shape, or values that are not finite.
    """
    if not 0 <= outlier_perc <= 100:
        raise ValueError(f"outlier_perc is a percentage, not {outlier_perc}")
    magnitudes = np.sort(np.abs(values_of_sign(map, sign)), axis=None)
    total = np.cumsum(magnitudes)
    return float(magnitudes[np.searchsorted(total, total[-1] * (1 - outlier_perc / 100))])


def values_of_sign(map: ArrayLike, sign: str) -> Values:
    """Sum a map over channels, and select the values of a sign: (H, W), at least 0 but for ``all``.

    Raises:
        ValueError: For another sign or shape, or values that are not finite.
    """
    values = np.asarray(map, np.float64)
    if values.ndim not in (2, 3):
        raise ValueError(f"a map has the shape (H, W) or (C, H, W), not {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("the map has values that are not finite")
    values = values.sum(0) if values.ndim == 3 else values
    match sign:
        case "positive":
            return np.maximum(values, 0)
        case "negative":
            return np.maximum(-values, 0)
        case "absolute_value":
            return np.abs(values)
        case "all":
            return values
    raise ValueError(f"sign is one of {', '.join(SIGNS)}, not {sign!r}")
