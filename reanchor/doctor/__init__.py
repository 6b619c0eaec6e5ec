"""What is wrong with a dataset's folder, in plain words: the folder is held against its card."""

from reanchor.doctor.diagnose import Diagnosis, diagnose
from reanchor.doctor.finding import Finding

__all__ = ["Diagnosis", "Finding", "diagnose"]
