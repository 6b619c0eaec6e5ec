"""How each class of occluder is drawn: one function per class, `draw(pen, variant)`, variant 0 to 3."""

from reanchor.occlusion.drawings import baggage, street, vehicles, walker

DRAWINGS = {
    "bag": baggage.bag, "bench": street.bench, "bike": vehicles.bike, "car": vehicles.car,
    "card": street.card,
    "chair": street.chair, "firehydrant": street.firehydrant, "kite": baggage.kite,
    "motorbike": vehicles.motorbike, "pedestrian": walker.pedestrian, "post": street.post,
    "roadsign": street.roadsign, "stone": street.stone, "suitcase": baggage.suitcase,
    "umbrella": baggage.umbrella,
}
