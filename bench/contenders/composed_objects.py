"""Operations on connected objects, composed of array calls."""

from typing import Any

BINS = 256


class ComposedObjects:
    """Labelling, size filter, hole filling and masked-object threshold over one pair of array libraries."""

    def __init__(self, xp: Any, ndi: Any) -> None:
        self.xp, self.ndi = xp, ndi

    def label(self, mask: Any, slices: bool = False) -> tuple[Any, Any]:
        """Face-connected components, in 3-D or within planes, and their sizes (background first)."""
        structure = self.ndi.generate_binary_structure(3, 1)
        if slices:
            structure[0] = structure[2] = False
        labels, _ = self.ndi.label(mask, structure)
        return labels, self.xp.bincount(labels.ravel())

    def remove_small(self, mask: Any, min_size: int) -> Any:
        """Components of at least `min_size` voxels."""
        labels, sizes = self.label(mask)
        kept = sizes >= min_size
        kept[0] = False
        return kept[labels]

    def remove_small_by_plane(self, mask: Any, min_size: int) -> Any:
        """Components within planes of at least `min_size` pixels."""
        labels, sizes = self.label(mask, slices=True)
        kept = sizes >= min_size
        kept[0] = False
        return kept[labels]

    def fill_holes(self, mask: Any, hole_min: int, hole_max: int, slices: bool) -> Any:
        """Background components of a size in the range become foreground."""
        labels, sizes = self.label(~mask, slices)
        filled = (sizes >= hole_min) & (sizes <= hole_max)
        filled[0] = True
        return filled[labels]

    def masked_object_threshold(self, image: Any, method: str, min_size: int) -> Any:
        """Triangle threshold of the image, small objects removed, Otsu inside each object."""
        if method != "triangle":
            raise NotImplementedError("triangle only")
        coarse = self.remove_small(image > self._triangle(image), min_size)
        return self._object_otsu(image, coarse, 0.98)

    def dilate(self, mask: Any, radius: int) -> Any:
        """Dilation by a ball."""
        grid = self.xp.indices((2 * radius + 1,) * 3) - radius
        return self.ndi.binary_dilation(mask, structure=(grid**2).sum(axis=0) <= radius**2)

    def otsu(self, image: Any) -> Any:
        """Otsu's threshold of a histogram of 256 bins."""
        xp = self.xp
        counts, edges = xp.histogram(image, bins=BINS)
        centres = (edges[1:] + edges[:-1]) / 2
        lower = xp.cumsum(counts).astype(xp.float64)
        sums = xp.cumsum(counts * centres)
        upper = lower[-1] - lower[:-1]
        apart = sums[:-1] / lower[:-1] - (sums[-1] - sums[:-1]) / xp.maximum(upper, 1)
        return centres[xp.argmax(lower[:-1] * upper * apart**2)]

    def _triangle(self, image: Any) -> float:
        xp = self.xp
        counts, edges = xp.histogram(image, bins=BINS)
        if xp.__name__ != "numpy":
            counts, edges = counts.get(), edges.get()
        used = counts.nonzero()[0]
        peak, low, high = int(counts.argmax()), int(used[0]), int(used[-1])
        flip = peak - low < high - peak
        if flip:
            counts, low, peak = counts[::-1], BINS - 1 - high, BINS - 1 - peak
        width = peak - low
        steps = range(width)
        away = [int(counts[peak]) * k - width * int(counts[low + k]) for k in steps]
        found = low + max(steps, key=away.__getitem__)
        found = BINS - 1 - found if flip else found
        return float((edges[found] + edges[found + 1]) / 2)

    def _object_otsu(self, image: Any, coarse: Any, factor: float) -> Any:
        xp = self.xp
        labels, sizes = self.label(coarse)
        count = int(sizes.size) - 1
        if count < 1:
            return xp.zeros_like(coarse)
        places = xp.nonzero(coarse)
        values, owners = image[places], labels[places] - 1
        numbers = xp.arange(1, count + 1)
        low = xp.asarray(self.ndi.minimum(image, labels, numbers), xp.float32)
        high = xp.asarray(self.ndi.maximum(image, labels, numbers), xp.float32)
        step = xp.where(high > low, (high - low) / xp.float32(BINS), xp.float32(1))
        bins = xp.clip(((values - low[owners]) / step[owners]).astype(xp.int64), 0, BINS - 1)
        counts = xp.bincount(owners.astype(xp.int64) * BINS + bins, minlength=count * BINS)
        counts = counts.reshape(count, BINS).astype(xp.float64)
        centres = low[:, None] + (xp.arange(BINS, dtype=xp.float32) + xp.float32(0.5)) * step[:, None]
        lower = xp.cumsum(counts, axis=1)
        sums = xp.cumsum(counts * centres, axis=1)
        upper = lower[:, -1:] - lower
        both = lower * upper
        difference = sums / xp.maximum(lower, 1) - (sums[:, -1:] - sums) / xp.maximum(upper, 1)
        best = xp.argmax(both * difference**2, axis=1)
        threshold = xp.where(high > low, centres[xp.arange(count), best], high)
        fine = xp.zeros_like(coarse)
        fine[places] = values > (threshold * factor)[owners]
        return fine
