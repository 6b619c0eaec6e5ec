"""One folder a method: its code, its files, its model at test time."""
