"""Colours of clothes without any learning."""
