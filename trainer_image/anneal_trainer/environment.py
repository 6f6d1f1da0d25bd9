"""What training ran on: kept on the workspace for the run report, because publish runs on another machine."""

import json
import platform
from importlib.metadata import version

import torch

from anneal_trainer.device import Precision
from anneal_trainer.files import write_atomic
from anneal_trainer.places import Places

LIBRARIES = ("torch", "transformers", "peft", "accelerate")


def store(precision: Precision, places: Places) -> None:
    """Write it down."""
    found = {"trained on": _device(), "precision": precision, "Python": platform.python_version()}
    found |= {name: version(name) for name in LIBRARIES}
    write_atomic(places.environment, (json.dumps(found, indent=2) + "\n").encode())


def _device() -> str:
    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}"
    return f"CPU ({platform.machine()}), {torch.get_num_threads()} threads"
