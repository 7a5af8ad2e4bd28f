"""Parts that the published networks share. Numbers inside a block are part of the file format."""

from __future__ import annotations

from fastseg.unet.graph import INPUT, GraphBuilder, Triple

IN_PLANE: Triple = (1, 2, 2)


def double(
    build: GraphBuilder, name: str, source: str, first: int, second: int, batch_norm: bool = True
) -> str:
    """Twice convolution, normalisation, ReLU; each axis becomes 4 voxels shorter."""
    number = 0
    for channels in (first, second):
        source = build.conv(f"{name}.{number}", source, channels)
        number += 1
        if batch_norm:
            source = build.norm(f"{name}.{number}", source)
            number += 1
        source = build.relu(f"{name}.{number}", source)
        number += 1
    return source


def trunk(
    build: GraphBuilder, source: str = INPUT, factor: Triple = IN_PLANE, batch_norm: bool = True
) -> dict[str, str]:
    """Four encoders and three decoders with skip connections.

    Returns
    -------
    dict of str to str
        The results of ``dc3``, ``dc2`` and ``dc1``.
    """
    skips = []
    for level, width in enumerate((32, 64, 128), start=1):
        source = double(build, f"ec{level}", source, width, 2 * width, batch_norm)
        skips.append(source)
        source = build.pool(f"pool{level}", source, factor)
    source = double(build, "ec4", source, 256, 512, batch_norm)
    found = {}
    for level, width in ((3, 256), (2, 128), (1, 64)):
        up = build.up(f"up{level}", source, 2 * width, factor)
        joined = build.join(f"join{level}", up, skips[level - 1])
        source = found[f"dc{level}"] = double(build, f"dc{level}", joined, width, width, batch_norm)
    return found


def auxiliary(
    build: GraphBuilder, number: int, source: str, classes: int, stride: int, kernel: int, crop: Triple
) -> str:
    """A head on a decoder: scaled up in one step and cropped to the size of the main output. It is linear."""
    up = build.up(f"up{number}a", source, classes, (1, stride, stride), (1, kernel, kernel))
    scores = build.conv(f"predict{number}a", build.conv(f"conv{number}a", up, classes), classes, 1)
    return build.crop(f"crop{number}a", scores, crop)
