"""Image queries judged: ranking metrics, bootstrap intervals, the study's evaluation."""
