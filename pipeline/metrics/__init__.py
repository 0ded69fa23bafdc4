"""Metrics of attribution maps: faithfulness, localisation, stability, sanity. docs/metrics.md has the table."""

from pipeline.metrics.average_drop import Confidence
from pipeline.metrics.completeness import Completeness
from pipeline.metrics.deletion import Deletion
from pipeline.metrics.infidelity import Infidelity
from pipeline.metrics.localisation import Localisation
from pipeline.metrics.metric import Metric
from pipeline.metrics.randomisation import Randomisation
from pipeline.metrics.road import Road
from pipeline.metrics.sensitivity import Sensitivity
from pipeline.metrics.single_deletion import SingleDeletion
from pipeline.metrics.sparseness import Sparseness

__all__ = [
    "Completeness",
    "Confidence",
    "Deletion",
    "Infidelity",
    "Localisation",
    "Metric",
    "Randomisation",
    "Road",
    "Sensitivity",
    "SingleDeletion",
    "Sparseness",
]
