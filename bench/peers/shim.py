"""What the reference implementation expects of libraries that have moved on."""


def install() -> None:
    """Give `skimage.morphology` back its `watershed`, which `polr2a_blob` imports from there."""
    import skimage.morphology
    import skimage.segmentation

    if not hasattr(skimage.morphology, "watershed"):
        skimage.morphology.watershed = skimage.segmentation.watershed
