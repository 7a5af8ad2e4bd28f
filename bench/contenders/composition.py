"""Filters composed of array calls, written once over (NumPy, scipy.ndimage) and (CuPy, cupyx.scipy.ndimage).

The mathematics is that of the reference, its known waste removed: closed-form eigenvalues on slabs of planes that stay
in cache, one labelling instead of a scan of the volume for every object, single precision where it suffices. On the
CPU, with one thread for linear algebra, this is the *fixed* baseline: what a careful user of NumPy and SciPy gets.
"""

from typing import Any

from bench.contenders.base import Operation
from bench.contenders.composed_objects import ComposedObjects
from bench.contenders.eigenvalues import of_2x2, of_3x3


class Composition(ComposedObjects):
    """Operations over one pair of array libraries.

    Parameters
    ----------
    xp, ndi : module
        NumPy and scipy.ndimage, or CuPy and cupyx.scipy.ndimage.
    slab : int
        Planes handled at a time by the Hessian filters.
    """

    def __init__(self, xp: Any, ndi: Any, slab: int) -> None:
        super().__init__(xp, ndi)
        self.slab = slab

    def operations(self) -> dict[str, Operation]:
        """Everything there is, under fastseg's names."""
        return {
            "intensity_normalize": self.normalize,
            "gaussian_smooth": self.gaussian,
            "gaussian_smooth_slices": lambda image, sigma: self.gaussian(image, (0, sigma, sigma)),
            "edge_preserving_smooth": self.diffuse,
            "laplacian_of_gaussian": self.spots,
            "laplacian_of_gaussian_slices": self.spots_by_plane,
            "jerman_vesselness": self.filaments,
            "jerman_vesselness_slices": self.filaments_by_plane,
            "masked_object_threshold": self.masked_object_threshold,
            "remove_small_objects": self.remove_small,
            "fill_holes": self.fill_holes,
            "dilate": self.dilate,
            "otsu_threshold": self.otsu,
            "median_threshold": self.xp.median,
        }

    def normalize(self, image: Any, scaling: list[float]) -> Any:
        """Clip to mean - a s, mean + b s and stretch to the unit range."""
        xp = self.xp
        mean, deviation = float(image.mean(dtype=xp.float64)), float(image.std(dtype=xp.float64))
        low = max(mean - scaling[0] * deviation, float(image.min()))
        high = min(mean + scaling[1] * deviation, float(image.max()))
        return (xp.clip(image, low, high) - xp.float32(low - 1e-8)) / xp.float32(high - low + 1e-8)

    def gaussian(self, image: Any, sigma: Any) -> Any:
        """Gaussian, truncated at three standard deviations."""
        return self.ndi.gaussian_filter(image, sigma, mode="nearest", truncate=3.0)

    def spots(self, image: Any, sigma: float) -> Any:
        """Scale-normalised Laplacian of Gaussian."""
        return -(sigma**2) * self.ndi.gaussian_laplace(image, sigma)

    def spots_by_plane(self, image: Any, sigma: float) -> Any:
        """Laplacian of Gaussian along y and x."""
        sigmas = (0, sigma, sigma)
        second = self.ndi.gaussian_filter(image, sigmas, order=(0, 2, 0))
        second += self.ndi.gaussian_filter(image, sigmas, order=(0, 0, 2))
        second *= -(sigma**2)
        return second

    def diffuse(self, image: Any) -> Any:
        """Ten iterations of gradient anisotropic diffusion, conductance 1.2, time step 1/16."""
        state = image
        for _ in range(10):
            state = self._diffuse_once(state)
        return state

    def _diffuse_once(self, u: Any) -> Any:
        xp = self.xp
        padded = xp.pad(u, 1, mode="edge")
        gradient = []
        for axis in range(3):
            ahead, behind = [slice(None)] * 3, [slice(None)] * 3
            ahead[axis], behind[axis] = slice(2, None), slice(None, -2)
            gradient.append((padded[tuple(ahead)] - padded[tuple(behind)]) / 2)
        inner = [
            g[tuple(slice(1, -1) if a != i else slice(None) for a in range(3))]
            for i, g in enumerate(gradient)
        ]
        scale = -2 * 1.2**2 * float(sum(xp.mean(g**2, dtype=xp.float64) for g in inner))
        if scale == 0:
            return u
        change = xp.zeros_like(u)
        for axis in range(3):
            low, high = [slice(None)] * 3, [slice(None)] * 3
            low[axis], high[axis] = slice(None, -1), slice(1, None)
            before, after = tuple(low), tuple(high)
            face = u[after] - u[before]
            tangent = sum(((inner[j][before] + inner[j][after]) / 2) ** 2 for j in range(3) if j != axis)
            flux = face * xp.exp((face**2 + tangent) / xp.float32(scale))
            change[before] += flux
            change[after] -= flux
        return u + xp.float32(0.0625) * change

    def filaments(self, image: Any, sigmas: list[float]) -> Any:
        """Jerman vesselness of tubes, the largest of all scales."""
        xp = self.xp
        best = xp.zeros(image.shape, xp.float32)
        for sigma in sigmas:
            smooth = self.gaussian(image, sigma)
            middle, last = xp.empty_like(best), xp.empty_like(best)
            for start in range(0, image.shape[0], self.slab):
                self._tubes(smooth, start, xp.float64(sigma) ** 2, middle, last)
            floor = xp.asarray(last.min(), xp.float64)
            xp.maximum(best, self._response(middle, last, floor), out=best)
        return best

    def _tubes(self, smooth: Any, start: int, scale: Any, middle: Any, last: Any) -> None:
        xp = self.xp
        stop = min(start + self.slab, smooth.shape[0])
        low, high = max(0, start - 2), min(smooth.shape[0], stop + 2)
        core = slice(start - low, stop - low)
        first = xp.gradient(smooth[low:high].astype(xp.float64))
        second = [
            xp.gradient(first[i], axis=j)[core] * scale
            for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
        ]
        middle[start:stop], last[start:stop] = of_3x3(xp, *second)

    def filaments_by_plane(self, image: Any, sigmas: list[float]) -> Any:
        """Jerman vesselness of lines, every plane joined with the stack's maximum projection."""
        xp = self.xp
        best = xp.zeros(image.shape, xp.float32)
        width = image.shape[2]
        top = image.max(axis=0)
        for sigma in sigmas:
            for start in range(0, image.shape[0], self.slab):
                planes = image[start : start + self.slab]
                joined = xp.concatenate([planes, xp.broadcast_to(top, planes.shape)], axis=2)
                smooth = self.gaussian(joined, (0, sigma, sigma))
                dy, dx = xp.gradient(smooth, axis=(1, 2))
                scale = xp.float32(sigma**2)
                yy, xx, yx = (scale * xp.gradient(g, axis=a) for g, a in ((dy, 1), (dx, 2), (dy, 2)))
                _, last = of_2x2(xp, yy, xx, yx)
                floor = last.min(axis=(1, 2), keepdims=True)
                found = self._response(last, last, floor)[:, :, : width - 3]
                target = best[start : start + self.slab, :, : width - 3]
                xp.maximum(target, found, out=target)
        return best

    def _response(self, deciding: Any, last: Any, floor: Any) -> Any:
        xp = self.xp
        share = xp.where((deciding < 0) & (last < 0), deciding / xp.where(floor < 0, floor, 1), 0)
        share = share.astype(xp.float32)
        curve = 27 * share**2 * (1 - share) / (1 + share) ** 3
        return xp.where(share > 0.5, xp.float32(1), curve)
