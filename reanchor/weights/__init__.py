"""Fine-tuned weights in and out: CLIP-ReID's checkpoints, open_clip's files, model folders of other studies."""
