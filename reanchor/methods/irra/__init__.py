"""IRRA: text-based person search by two features, taught by masked words that read the image."""
