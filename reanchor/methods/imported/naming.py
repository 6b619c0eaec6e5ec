"""How CLIP-ReID's checkpoints name what a `ReidModel` holds, read off the authors' public code."""

IMAGE, SIDE, PROMPTS, TEXT = "image_encoder", "cv_embed", "prompt_learner", "text_encoder"
SIDE_ALL = "sie_embed"  # TransReID's table, [R, 1, D]: added to every token
HEADS = {  # module of ReidModel: theirs
    "classifier": "classifier", "classifier_projected": "classifier_proj",
    "neck": "bottleneck", "neck_projected": "bottleneck_proj",
}
_OURS = {**HEADS, "encoder.visual": IMAGE}
PROMPT_NAMES = {  # tensor of prompts.safetensors: theirs
    "context": f"{PROMPTS}.cls_ctx", "prefix": f"{PROMPTS}.token_prefix", "suffix": f"{PROMPTS}.token_suffix",
}


def authors_name(name: str) -> str | None:
    """Their name of a parameter or buffer of ours; None for the SIE table and for what they do not have."""
    for ours, theirs in _OURS.items():
        if name.startswith(f"{ours}."):
            return theirs + name.removeprefix(ours)
    return None
