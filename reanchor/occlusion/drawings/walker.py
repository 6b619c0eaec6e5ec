"""A pedestrian: one of Streetfolk's people, from a namespace of their own."""

import numpy as np
from PIL import Image

from reanchor.occlusion.drawings.pen import Pen
from reanchor.streetfolk.canvas import Canvas
from reanchor.streetfolk.figure import Figure, draw
from reanchor.streetfolk.geometry import View
from reanchor.streetfolk.identity import generator, make_identity
from reanchor.streetfolk.pose import make_pose

_YAWS = (20.0, 95.0, 180.0, 300.0)


def pedestrian(pen: Pen, variant: int) -> None:
    """From the front, either side, and behind; each of another family."""
    identity = make_identity(0, "occluder-pedestrian", 4 * variant)
    pixels = pen.image.size[0]
    view = View(_YAWS[variant], 0.08, 0.05, 0.9 * pixels, 0.5 * pixels, 0.96 * pixels)
    canvas = Canvas(Image.new("RGB", pen.image.size))
    draw(Figure(canvas, view, identity, make_pose(generator(0, "occluder-pedestrian", 9, variant),
                                                  identity.details)))
    inside = (np.asarray(canvas.labels) > 0).astype(np.uint8) * 255
    pen.image.paste(canvas.image, (0, 0), Image.fromarray(inside))
