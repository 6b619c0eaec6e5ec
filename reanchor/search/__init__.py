"""Text-based person search, judged: sentences rank a gallery of images, whole and partly occluded.

Shape legend of this package: S sentences, G gallery images, R replaced images, B a batch or bootstrap resamples.
"""
