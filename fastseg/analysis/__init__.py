"""Objects and measurements."""

from fastseg.analysis.objects import RegionObject, label_within_regions

__all__ = ["RegionObject", "label_within_regions"]
