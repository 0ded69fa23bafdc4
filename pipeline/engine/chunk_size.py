"""The chunk size: given by the user, or the fastest, found by a search while the work goes on."""

FIRST_CHUNK = 4
"""Size at which the search starts."""
LARGEST_CHUNK = 512
WORTH_GROWING = 0.95
"""Another size is kept if a pair then takes at most this share of the time."""


class ChunkSize:
    """Pairs in a chunk.

    Without a given size, the search doubles the size as long as a pair gets cheaper, tries the sizes halfway to the
    neighbours of the best, then keeps the best.

    Args:
        given: Pairs in a chunk, or None to search the fastest.

    Attributes:
        current: Pairs in a chunk at present.
        searching: Another size may still turn out to be faster.

    Raises:
        ValueError: If the size is not a positive whole number.
    """

    def __init__(self, given: int | None) -> None:
        if given is not None and (not isinstance(given, int) or given < 1):
            raise ValueError(f"internal_batch_size must be a whole number from 1, not {given!r}")
        self.current = self._first = given or FIRST_CHUNK
        self.searching = given is None
        self._given = given is not None
        self._warm = False
        self._best = (float("inf"), self.current)  # seconds a pair, size
        self._between: list[int] | None = None

    @property
    def learned(self) -> int | None:
        """The size that was the fastest; None while it is searched, or if a size was given."""
        return None if self._given or self.searching else self.current

    def start_at(self, size: int) -> None:
        """Start with a size that was learned earlier for the same work; a given size stays."""
        if not self._given:
            self.current, self.searching = size, False

    def halve(self) -> bool:
        """Halve the size after an out-of-memory error, and stop the search.

        Returns:
            False if it was 1 already; then it is the first size again, for a caller with fewer images in memory.
        """
        if self.current == 1:
            self.current = self._first
            return False
        self.current, self.searching = self.current // 2, False
        return True

    def observe(self, seconds: float) -> None:
        """Compare the time of a chunk of the current size with the best so far, and choose the next size."""
        if not self._warm:  # the first chunk pays for initialisation
            self._warm = True
            return
        each = seconds / self.current
        cheaper = each < WORTH_GROWING * self._best[0]
        if cheaper:
            self._best = (each, self.current)
        if self._between is None and cheaper and self.current < LARGEST_CHUNK:
            self.current *= 2
            return
        if self._between is None:
            halfway = (self._best[1] * 3 // 2, self._best[1] * 3 // 4)
            self._between = [size for size in halfway if size <= LARGEST_CHUNK]
        self.searching = bool(self._between)
        self.current = self._between.pop(0) if self.searching else self._best[1]
