"""What every method of text-based person search shares: pairs to train on, towers, words."""
