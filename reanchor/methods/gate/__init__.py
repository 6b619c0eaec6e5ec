"""Visibility-gated replay of [CLS]: a method of this project (docs/explanation/gate.md)."""
