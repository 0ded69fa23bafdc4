"""Samples of a WebDataset archive: its members joined by key, as the library webdataset joins them.

The key is the name up to the first dot of its last part, the ending is the rest: ``a/22.05.jpg`` is ``05.jpg`` of the
sample ``a/22``. A join never overwrites: members that compete for one place in a sample are refused.
"""

import unicodedata
from collections import Counter
from dataclasses import dataclass, field

from pipeline.errors import UsageError

RULE = "the members of one sample share their name up to the first dot"


@dataclass(frozen=True)
class Member:
    """An image or label in an archive.

    Attributes:
        name: Path in the archive.
        header: Position of its header, in bytes: the order of the members.
        offset: Of its content, in bytes; for a link that of the member that it links to.
        size: Of its content, in bytes.
    """

    name: str
    header: int
    offset: int
    size: int

    @property
    def key(self) -> str:
        """Key of its sample: folders, and the name up to its first dot; the same in all Unicode forms."""
        folder, _, name = self.name.rpartition("/")
        return unicodedata.normalize("NFC", f"{folder}/{name.partition('.')[0]}")

    @property
    def ending(self) -> str:
        """The name after its first dot, lower case."""
        return self.name.rpartition("/")[2].partition(".")[2].lower()

    @property
    def extension(self) -> str:
        """The last part of the ending, with its dot; empty for a name without a dot."""
        return self.ending and "." + self.ending.rpartition(".")[2]


@dataclass
class Samples:
    """The images and labels of one archive, by key.

    Attributes:
        archive: Its name, for messages.
        not_read: Number of images of kinds that are not read, by extension.
    """

    archive: str
    not_read: Counter[bytes] = field(default_factory=Counter)
    _places: dict[tuple[str, str], Member] = field(default_factory=dict)
    _images: dict[str, list[Member]] = field(default_factory=dict)
    _labels: dict[str, list[tuple[Member, bytes]]] = field(default_factory=dict)

    def add_image(self, member: Member) -> None:
        """Adds an image.

        Raises:
            UsageError: Its sample has a member of this ending already.
        """
        self._take_place(member)
        self._images.setdefault(member.key, []).append(member)

    def add_label(self, member: Member, label: bytes) -> None:
        """Adds a member that may have a label; an empty one is none.

        Raises:
            UsageError: Its sample has a member of this ending already.
        """
        self._take_place(member)
        if label:
            self._labels.setdefault(member.key, []).append((member, label))

    def images(self) -> tuple[list[Member], int]:
        """The images that are samples of their own, in order, and the number of those that are further fields of one.

        ``a.jpg`` is the image of its sample, ``a.seg.png`` beside it a further field; ``b.seg.png`` alone is the image.

        Raises:
            UsageError: A sample has several images, none of which is named by the key alone.
        """
        chosen: list[Member] = []
        for images in self._images.values():
            own = _named_by_key(images)
            if not own and len(images) > 1:
                raise self._conflict(images[0], images[1], "are two images of one sample")
            chosen += own or images
        total = sum(map(len, self._images.values()))
        return sorted(chosen, key=lambda member: member.header), total - len(chosen)

    def label(self, image: Member) -> bytes:
        """The label of an image.

        Raises:
            UsageError: Its sample has no label, or several that differ.
        """
        labels = self._labels.get(image.key, [])
        named = _named_by_key([member for member, _ in labels])
        labels = [(member, label) for member, label in labels if not named or member in named]
        if not labels:
            raise UsageError(
                f"data.root: {self.archive}/{image.name} has no label: neither a .cls nor a .json with one beside it; "
                "data.labels=false takes images without"
            )
        first, label = labels[0]
        for member, other in labels[1:]:
            if not _is_same_label(label, other):
                values = f"{label.decode(errors='replace')!r} and {other.decode(errors='replace')!r}"
                raise self._conflict(first, member, f"are labels of one sample and differ, {values}")
        return label

    def _take_place(self, member: Member) -> None:
        earlier = self._places.setdefault((member.key, member.ending), member)
        if earlier is not member:
            raise self._conflict(earlier, member, f"are both .{member.ending} of one sample")

    def _conflict(self, one: Member, other: Member, reason: str) -> UsageError:
        members = f"{one.name!r} (byte {one.header}) and {other.name!r} (byte {other.header})"
        return UsageError(f"data.root: the archive {self.archive!r}: {members} {reason}: {RULE}; rename or remove one")


def _named_by_key(members: list[Member]) -> list[Member]:
    """The members whose ending is an extension alone."""
    return [member for member in members if "." not in member.ending]


def _is_same_label(one: bytes, other: bytes) -> bool:
    return one == other or (one.isdigit() and other.isdigit() and one.lstrip(b"0") == other.lstrip(b"0"))
