"""Layers that are computed as one: what networks are built of, with batch norm folded into the weights."""

from kernels.blocks.batch_norm import BatchNorm2d
from kernels.blocks.darknet import DarknetResidual
from kernels.blocks.dynamic import DynamicConv2d
from kernels.blocks.pooled import ConvBlock, ResNetStem
from kernels.blocks.separable import DepthwiseSeparable
from kernels.blocks.unet import UNetDown

__all__ = [
    "BatchNorm2d",
    "ConvBlock",
    "DarknetResidual",
    "DepthwiseSeparable",
    "DynamicConv2d",
    "ResNetStem",
    "UNetDown",
]
