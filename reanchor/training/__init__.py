"""The training loop and what it stands on: losses, schedules, checkpoints, ranks."""
