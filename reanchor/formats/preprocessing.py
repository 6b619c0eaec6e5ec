"""Whether a model reads images as they were prepared: it was trained for one size and one resize."""

from dataclasses import dataclass

from reanchor.errors import ReanchorError


@dataclass(frozen=True)
class Preprocessing:
    """Size in pixels and interpolation of the resize at test time, "" where nobody said."""

    height: int
    width: int
    interpolation: str = ""

    def __str__(self) -> str:
        return f"{self.height}x{self.width} {self.interpolation}".rstrip()


def refuse_other_images(name: str, reads: Preprocessing | None, holds: Preprocessing) -> None:
    """Raise ReanchorError where the images differ from what method `name` reads; None reads any.

    Interpolations count only where both are known.
    """
    if reads is None:
        return
    remedies = [f"prepare.{key}={getattr(reads, key)}" for key in ("height", "width")
                if getattr(reads, key) != getattr(holds, key)]
    if reads.interpolation and holds.interpolation and reads.interpolation != holds.interpolation:
        remedies.append(f"prepare.interpolation_test={reads.interpolation}")
    if remedies:
        raise ReanchorError(f"{name}: model reads {reads}, data/prepared holds {holds}; set {' '.join(remedies)}")
