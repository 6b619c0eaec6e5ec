"""Layout readers, one file each."""
