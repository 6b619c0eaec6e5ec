"""Text-based person search with two features: TBPS-CLIP, plain fine-tuned CLIP, and IRRA's loss."""
