"""Datasets: layout readers, the manifest, the image store, batches and augmentation.

`reanchor.data.augment` is imported by name where it is needed: it alone needs torch.
"""

from reanchor.data.manifest import Manifest, validation_rows
from reanchor.data.prepare import prepare
from reanchor.data.sampler import IdentitySampler
from reanchor.data.store import ImageStore, write_store

__all__ = ["IdentitySampler", "ImageStore", "Manifest", "prepare", "validation_rows", "write_store"]
