"""Running an operator over a grid of tiles with one answer: grids, rules, mergeable statistics, component stitching.

This layer knows rules, never a concrete operator; the operators above declare themselves with its rules.
"""

from fastseg.tiling.block import Block, Place
from fastseg.tiling.engine import Engine
from fastseg.tiling.grid import Grid
from fastseg.tiling.rules import Chain, Labels, Link, Local, Objects, Reduce, Rule, Table, Whole
from fastseg.tiling.volume import ArrayVolume, Volume

__all__ = [
    "ArrayVolume",
    "Block",
    "Chain",
    "Engine",
    "Grid",
    "Labels",
    "Link",
    "Local",
    "Objects",
    "Place",
    "Reduce",
    "Rule",
    "Table",
    "Volume",
    "Whole",
]
