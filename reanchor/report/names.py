"""How methods and conditions are called in tables, charts and sentences."""

METHODS = {
    "histogram": "Colour histogram", "zero_shot": "Zero-shot CLIP", "baseline": "Baseline (no text)",
    "clip_reid": "CLIP-ReID ([CLS])", "saga": "SAGA", "saga_refined": "SAGA, tokens only",
    "imported": "Imported model",
    "gated": "Gated [CLS]",
    "clip_tuned": "Fine-tuned CLIP", "sdm": "SDM (IRRA)", "tbps_clip": "TBPS-CLIP", "mgcc": "MGCC",
}
KINDS = {"whole": "Whole body", "whole-no-distractors": "Whole body, no distractors",
         "whole-reranked": "Whole body, re-ranked", "whole-nfc": "Whole body, NFC",
         "ogor": "Objects (OGor)", "masking": "Masking", "people": "Pasted people"}

GALLERY = "gallery-"  # what names of occluded galleries begin with


def method(key: str) -> str:
    if key in METHODS:
        return METHODS[key]
    model = next((name for name in METHODS if key.startswith(f"{name}_")), "")
    return f"{METHODS[model]}, {key.removeprefix(f'{model}_')}" if model else key  # a variant: another feature


def condition(key: str) -> str:
    """"people-0.30" -> "Pasted people, 30 %"."""
    kind, _, ratio = key.partition("-") if key not in KINDS else (key, "", "")
    name = KINDS.get(kind, kind)
    return f"{name}, {100 * float(ratio):.0f} %" if ratio else name


def gallery(key: str) -> str:
    """State of a gallery: "gallery-ogor" -> "Occluded gallery: objects (OGor)"."""
    if key == "whole":
        return "Whole gallery"
    kind = condition(key.removeprefix(GALLERY))
    return f"Occluded gallery: {kind[0].lower()}{kind[1:]}"
