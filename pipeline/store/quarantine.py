"""Images at which processes died: computed alone from then on, and given up once they have killed often enough."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.errors import Failure

TRIES = 3
"""So many deaths are one image's fault, if it was alone in work at the last of them."""
ALONE = 2
"""At so many of them it was alone."""


@dataclass(frozen=True)
class Quarantine:
    """Images that are left to do.

    Attributes:
        together: Those that no process died at: they are computed in batches.
        alone: Those that were in work when one died: each by itself, those with the fewest deaths first.
        killed: Those that are given up.
    """

    together: list[int]
    alone: list[int]
    killed: list[Failure]


def quarantine(images: Sequence[int], deaths: Iterable[Sequence[int]]) -> Quarantine:
    """Deals images by what is known of earlier deaths.

    Args:
        images: Numbers of those that are left to do.
        deaths: The images that were in work at each death.
    """
    seen, alone = Counter[int](), Counter[int]()
    for at in deaths:
        seen.update(at)
        alone.update(at if len(at) == 1 else ())
    given_up = {image for image in images if seen[image] >= TRIES and alone[image] >= ALONE}
    return Quarantine(
        [image for image in images if not seen[image]],
        sorted((image for image in images if seen[image] and image not in given_up), key=seen.__getitem__),
        [Failure(image, "killed", _words(seen[image])) for image in images if image in given_up],
    )


def _words(deaths: int) -> str:
    return (
        f"the process died {deaths} times while it was at this image, at last with no other: a crash in the network or "
        "the decoder, or too little memory"
    )
