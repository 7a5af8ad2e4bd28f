"""Turning segmentations into training sets: sorting, merging, take-all."""
