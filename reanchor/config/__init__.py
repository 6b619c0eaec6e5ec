"""Typed settings: `params.yaml` is read into `Params`, or one line says why it cannot be."""
