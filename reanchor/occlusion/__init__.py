"""Occlusion: OGor, masking and pasted people, with exact visible-person masks."""

from reanchor.occlusion.image import BACKGROUND, OBJECT, STRANGER, TARGET, UNKNOWN, Occlusion
from reanchor.occlusion.library import Cutout, load_library
from reanchor.occlusion.occluded_set import OccludedSet
from reanchor.occlusion.opening import open_set, open_sets, read_suites, require_occluders
from reanchor.occlusion.overlay import Overlay
from reanchor.occlusion.suites import make_occluded

__all__ = ["BACKGROUND", "OBJECT", "STRANGER", "TARGET", "UNKNOWN", "Cutout", "OccludedSet", "Occlusion",
           "Overlay", "load_library", "make_occluded", "open_set", "open_sets", "read_suites",
           "require_occluders"]
