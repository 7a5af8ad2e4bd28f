"""MONAI's DynUNet, trained with the same patches, loss, optimiser and schedule as the networks of `fastseg train`.

    python -m bench.quality.dynunet IMAGES.csv SETTINGS.yaml SEED OUTPUT.npz

It pads its convolutions, so that its output is as large as its patch, and normalises each patch by itself: prediction
is by the sliding window of MONAI, whose windows overlap by half and are blended. A program of its own: MONAI is
installed beside fastseg's PyTorch and not among its dependencies (`bench.environment.build_monai`).
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
import yaml
from monai.inferers.utils import sliding_window_inference
from monai.networks.nets.dynunet import DynUNet
from torch import Tensor, nn

from fastseg.unet.normalization import normalize
from fastseg.unet.runner import PRECISIONS
from fastseg.unet.training.augmentation import AugmentationSettings
from fastseg.unet.training.items import find_items
from fastseg.unet.training.losses import make_loss
from fastseg.unet.training.optimize import Optimization
from fastseg.unet.training.sampling import SamplingSettings
from fastseg.unet.training.schedule import make_curve
from fastseg.unet.training.settings import LossSettings, OptimizerSettings, ScheduleSettings
from fastseg.unet.training.stream import PatchStream
from fastseg.unet.training.team import Team


class _Scores(nn.Module):
    """Called as fastseg's networks are: with the outputs that are wanted."""

    def __init__(self, width: int, levels: int) -> None:
        super().__init__()
        in_plane = [[1, 2, 2]] * levels
        self.net = DynUNet(
            spatial_dims=3,
            in_channels=1,
            out_channels=2,
            kernel_size=[3] * (levels + 1),
            strides=[[1, 1, 1], *in_plane],
            upsample_kernel_size=in_plane,
            filters=[width << level for level in range(levels + 1)],
            res_block=True,
        )

    def forward(self, image: Tensor, outputs: Any = None) -> list[Tensor]:
        return [self.net(image)]


def train(table: Path, settings: dict[str, Any], seed: int) -> nn.Module:
    """Train with every image of the table but the held-out one."""
    torch.manual_seed(seed)
    patch, precision = tuple(settings["patch"]), settings["precision"]
    network = _Scores(settings["network"]["width"], settings["network"]["levels"]).train()
    if precision == "bfloat16":
        network = network.to(memory_format=torch.channels_last_3d)
    optimizer = OptimizerSettings(**settings["optimizer"])
    loss = make_loss(LossSettings(), 1, Team())
    optimization = Optimization(network, network, loss, optimizer, precision)  # type: ignore[arg-type]
    stream = PatchStream(
        [item for item in find_items(table) if item.name == "train"],
        SamplingSettings(**settings["sampling"]),
        AugmentationSettings(),
        size_in=patch,
        size_out=patch,
        channels=1,
        batch=settings["batch"],
        seed=seed,
        device="cpu",
    )
    curve = make_curve(ScheduleSettings(), settings["epochs"], stream.steps())
    step = 0
    for epoch in range(settings["epochs"]):
        losses = []
        for batch in stream.epoch(epoch):
            losses.append(float(optimization.step(batch, optimizer.learning_rate * curve(step))))
            step += 1
        print(f"epoch {epoch}: loss {np.mean(losses):.4f}", flush=True)
    stream.close()
    return network.eval()


def predict(network: nn.Module, image: np.ndarray, settings: dict[str, Any]) -> np.ndarray:
    """The mask of a normalised stack."""
    given = torch.from_numpy(image)[None, None]
    with torch.inference_mode(), torch.autocast("cpu", PRECISIONS[settings["precision"]]):
        scores = sliding_window_inference(
            given, settings["patch"], 1, lambda x: network(x)[0].float(), overlap=0.5, mode="gaussian"
        )
    assert isinstance(scores, Tensor)
    return (scores[0, 1] > scores[0, 0]).numpy()


def main() -> None:
    table, file, seed, output = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    settings = yaml.safe_load(file.read_text())
    network = train(table, settings, seed)
    image = tifffile.imread(table.parent / "stack.ome.tif").astype(np.float32)
    mask = predict(network, normalize(image, settings["data"]["normalization"]), settings)
    np.savez_compressed(output, mask=mask)


if __name__ == "__main__":
    main()
