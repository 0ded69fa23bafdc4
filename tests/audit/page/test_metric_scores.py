"""Charts of metric scores: marks on one axis."""

from pathlib import Path

from pipeline.audit.page.metric_scores import metric_scores

from .runs import write_scores


def test_marks_lie_on_one_axis(tmp_path: Path) -> None:
    assert metric_scores(tmp_path) == []
    write_scores(tmp_path, random=4.0, centre=None)
    (score,) = metric_scores(tmp_path)
    own, random, edge, centre = score.marks
    assert (own.place, own.low, own.high) == (12.5, 0, 25) == (edge.place, edge.low, edge.high)
    assert (random.place, random.high, centre.place, centre.value) == (87.5, 100, None, "undefined")
    assert (score.name, score.better, own.value) == ("insertion", "higher is better", "1 [0.5, 1.5]")
