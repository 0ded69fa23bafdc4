"""Quarantine of images that kill processes: computed alone after a first death, not tried any more after a third.

Nothing in a process can catch a segmentation fault or the kernel's out-of-memory killer. The heartbeats of dead
processes (:mod:`pipeline.store.heartbeat`) show which images were in work at each death. The cause is found by
elimination: each of these images is retried in a batch of its own, and one that kills repeatedly is quarantined.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.errors import Failure

MAX_DEATHS = 3
"""An image that was in work at so many deaths is quarantined, if it was alone at `MIN_DEATHS_ALONE` of them."""
MIN_DEATHS_ALONE = 2


@dataclass(frozen=True)
class QuarantinePlan:
    """Remaining images, by the way in which they are computed.

    Attributes:
        together: Images at which no process died: computed in batches.
        alone: Suspects, which were in work when a process died: each in a batch of its own, fewest deaths first.
        quarantined: Images that are not tried any more, as failures of stage ``killed``.
    """

    together: list[int]
    alone: list[int]
    quarantined: list[Failure]


def plan_quarantine(images: Sequence[int], deaths: Iterable[Sequence[int]]) -> QuarantinePlan:
    """Split the remaining images by the deaths at which they were in work.

    Args:
        images: Numbers of the remaining images.
        deaths: The images in work at each death (:func:`pipeline.store.heartbeat.images_at_deaths`).
    """
    n_deaths, n_alone = Counter[int](), Counter[int]()
    for in_work in deaths:
        n_deaths.update(in_work)
        n_alone.update(in_work if len(in_work) == 1 else ())
    quarantined = {image for image in images if n_deaths[image] >= MAX_DEATHS and n_alone[image] >= MIN_DEATHS_ALONE}
    suspects = (image for image in images if n_deaths[image] and image not in quarantined)
    return QuarantinePlan(
        [image for image in images if not n_deaths[image]],
        sorted(suspects, key=n_deaths.__getitem__),
        [Failure(image, "killed", _message(n_deaths[image])) for image in images if image in quarantined],
    )


def _message(deaths: int) -> str:
    return (
        f"the process died {deaths} times while this image was in work, at last with no other: a crash in "
        "the network or the decoder, or too little memory; retry_failed=true tries it again"
    )
