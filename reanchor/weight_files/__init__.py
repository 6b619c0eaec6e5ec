"""Tensors out of weight files that nobody vouches for.

Nothing of a file is run: its pickle is interpreted by `pickled`, which knows no function to call, and TorchScript's
code is not even read. What a file claims is held against the bytes that are there before memory is asked for.
"""
