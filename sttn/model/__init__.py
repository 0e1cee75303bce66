"""The network of the paper: generator, T-PatchGAN discriminator and their checkpoints."""

from sttn.model.checkpoint import load_generator, save_generator, written
from sttn.model.discriminator import Discriminator
from sttn.model.generator import Generator, ModelConfig

__all__ = [
    "Discriminator",
    "Generator",
    "ModelConfig",
    "load_generator",
    "save_generator",
    "written",
]
