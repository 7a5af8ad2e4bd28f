"""How the learning rate runs: a function of the step, so that a resumed run is on the same curve."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi

from fastseg.unet.training.settings import ScheduleSettings


@dataclass(frozen=True)
class Curve:
    """The learning rate of a step, in parts of the highest.

    Warm-up rises from 1/w at step 0 to 1 at step w - 1 (Goyal et al., arXiv:1706.02677, 2017), where w is its number
    of steps. Then ``cosine`` falls from 1 to `final` along half a cosine, which it reaches at the last step
    (Loshchilov and Hutter, ICLR 2017, equation 5, without restarts); ``constant`` and ``plateau`` stay at 1, and
    `Plateau` lowers it.

    Attributes
    ----------
    name : {"cosine", "plateau", "constant"}
    warmup, steps : int
        Steps of the warm-up and of the whole run.
    final : float
    """

    name: str
    warmup: int
    steps: int
    final: float = 0.0

    def __call__(self, step: int) -> float:
        if step < self.warmup:
            return (step + 1) / self.warmup
        if self.name != "cosine":
            return 1.0
        last = self.steps - 1 - self.warmup
        way = min(1.0, (step - self.warmup) / last) if last > 0 else 1.0
        return self.final + (1 - self.final) * (1 + cos(pi * way)) / 2


def make_curve(settings: ScheduleSettings, epochs: int, steps_an_epoch: int) -> Curve:
    """The curve that settings ask for."""
    warmup = round(settings.warmup_epochs * steps_an_epoch)
    return Curve(settings.name, warmup, epochs * steps_an_epoch, settings.final)


@dataclass
class Plateau:
    """Lowers the learning rate when the measure has not become better for some validations.

    Attributes
    ----------
    patience : int
        Validations without a better value that are accepted.
    factor, floor : float
        What the rate is multiplied by, and the part of the highest below which it does not fall.
    rate : float
        Its present part of the highest.
    waited : int
        Validations since the best or the last change.
    best : float or None
    """

    patience: int
    factor: float
    floor: float
    rate: float = 1.0
    waited: int = 0
    best: float | None = None

    def see(self, value: float, larger_is_better: bool) -> None:
        """Take the value of a validation into account."""
        better = self.best is None or (value > self.best if larger_is_better else value < self.best)
        if better:
            self.best, self.waited = value, 0
            return
        self.waited += 1
        if self.waited > self.patience:
            self.rate, self.waited = max(self.floor, self.rate * self.factor), 0
