"""Streetfolk: a procedural street for person re-identification."""
