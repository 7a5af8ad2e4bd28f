"""Readers and writers.

What a file does not say is asked for, never guessed; what is written is complete or absent.
"""

from fastseg.io.atomic import prepare_directory
from fastseg.io.discover import find_images
from fastseg.io.image import Image
from fastseg.io.naming import OUTPUT_MARK, image_stem, output_path
from fastseg.io.reading import Description, SceneInfo, describe, list_scenes, read
from fastseg.io.writing import write_image, write_labels, write_mask

__all__ = [
    "OUTPUT_MARK",
    "Description",
    "Image",
    "SceneInfo",
    "describe",
    "find_images",
    "image_stem",
    "list_scenes",
    "output_path",
    "prepare_directory",
    "read",
    "write_image",
    "write_labels",
    "write_mask",
]
