"""How methods and conditions are called in tables, charts and sentences."""

from reanchor.methods.registry import of_row

KINDS = {"whole": "Whole body", "whole-no-distractors": "Whole body, no distractors",
         "whole-reranked": "Whole body, re-ranked", "whole-nfc": "Whole body, NFC",
         "ogor": "Objects (OGor)", "masking": "Masking", "people": "Pasted people", "mixed": "Mixed"}
SIDES = {"gallery": "gallery", "both": "queries and gallery"}  # that are occluded, where not the queries

GALLERY = "gallery-"  # what names of occluded galleries begin with


def method(row: str) -> str:
    """The title of a row of the tables: a method's own, with the name of the variant where it has several."""
    found, variant = of_row(row)
    if found is None:
        return row
    return found.variants.get(variant, f"{found.title}, {variant}") if variant else found.title


def kind(key: str) -> str:
    """"people" -> "Pasted people"; "both-masking-stripe" -> "Masking (stripe), queries and gallery"."""
    if key in KINDS:
        return KINDS[key]
    side = next((side for side in SIDES if key.startswith(f"{side}-")), "")
    base, *options = key.removeprefix(f"{side}-").split("-")
    name = KINDS.get(base, base)
    return name + (f" ({', '.join(options)})" if options else "") + (f", {SIDES[side]}" if side else "")


def condition(key: str) -> str:
    """"people-0.30" -> "Pasted people, 30 %"."""
    series, _, ratio = key.rpartition("-")
    try:
        return f"{kind(series)}, {100 * float(ratio):.0f} %"
    except ValueError:  # no ratio at its end
        return kind(key)


def gallery(key: str) -> str:
    """State of a gallery: "gallery-ogor" -> "Occluded gallery: objects (OGor)"."""
    if key == "whole":
        return "Whole gallery"
    name = condition(key.removeprefix(GALLERY))
    return f"Occluded gallery: {name[0].lower()}{name[1:]}"
