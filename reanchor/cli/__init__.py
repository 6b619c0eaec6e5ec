"""The command `reanchor`: what is done by hand, beside the pipeline; one file a command."""
