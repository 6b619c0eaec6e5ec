"""Visibility-gated replay of [CLS]: a method of this project (docs/gate.md)."""
