"""Datasets: layouts, preparation, quarantine, batches and augmentation."""
