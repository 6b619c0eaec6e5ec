"""The backbone as it comes, without fine-tuning."""
