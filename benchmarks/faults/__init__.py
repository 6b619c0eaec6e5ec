"""Faults on purpose: what the product does when files, disks, servers and people fail it."""
