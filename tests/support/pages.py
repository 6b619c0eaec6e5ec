"""The report's page in a test."""

import base64
import io

import numpy as np
from PIL import Image

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def decode(address):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))))
