"""Occlusion made: OGor, masking and pasted people, with exact visible-person masks."""
