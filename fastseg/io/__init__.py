"""Readers and writers.

What a file does not say is asked for, never guessed; what is written is complete or absent.
"""

from fastseg.io.atomic import prepare_directory
from fastseg.io.discover import find_images
from fastseg.io.image import Image
from fastseg.io.naming import OUTPUT_MARK, image_stem, output_path
from fastseg.io.omezarr_store import OmeZarrStore
from fastseg.io.reading import Description, SceneInfo, describe, list_scenes, read
from fastseg.io.writing import write_image, write_labels, write_mask
from fastseg.io.writing_tiles import new_image, new_labels, new_mask

__all__ = [
    "OUTPUT_MARK",
    "Description",
    "Image",
    "OmeZarrStore",
    "SceneInfo",
    "describe",
    "find_images",
    "image_stem",
    "list_scenes",
    "new_image",
    "new_labels",
    "new_mask",
    "output_path",
    "prepare_directory",
    "read",
    "write_image",
    "write_labels",
    "write_mask",
]
