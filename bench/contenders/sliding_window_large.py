"""MONAI's sliding-window inference with windows of the size that fastseg takes."""

from functools import partial

from bench.contenders.base import Contender
from bench.contenders.sliding_window import predict

CONTENDER = Contender("MONAI, large windows", {"predict": partial(predict, large=True)}, ("monai", "torch"))
