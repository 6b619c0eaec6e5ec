"""MGCC (Wu et al., AAAI 2024): text-to-image person retrieval among occluded images.

Selected patch and word tokens take part in the similarity beside the global features, at four
granularities that are fused by attention.
"""
