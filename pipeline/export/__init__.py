"""Export of a run to other viewers and libraries: ViRelAy, PNG, NumPy, Zarr, Quantus."""

from pipeline.export.formats import export
from pipeline.export.quantus import QuantusArrays, quantus_arrays

__all__ = ["QuantusArrays", "export", "quantus_arrays"]
