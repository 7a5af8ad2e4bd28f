"""A page on which a person reviews segmentations: good or bad, areas to merge and to exclude."""

from fastseg.curation.review.build import Reviewed, ReviewSettings, write_review

__all__ = ["ReviewSettings", "Reviewed", "write_review"]
