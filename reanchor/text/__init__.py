"""What every method of text-based person search shares: pairs to train on, towers, the face at test time."""
