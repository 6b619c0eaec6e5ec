"""What the house knows of SAGA."""

from reanchor.methods.method import IMAGE, Method

FEATURES = ("cls", "projected", "concat", "orthogonal", "anchors", "anchors_top2")  # beside its fused and refined one

METHODS = (
    Method("saga", "SAGA", place=40, queries=(IMAGE,), stage="saga", schema="reanchor.methods.saga.settings",
           settings=("saga", "finetune.recipe"),  # augmentation, and what stage 4 goes on with
           reads=("data/prepared", "data/occluded", "models/backbone",
                  "models/prompts",  # stage 4 reads the identities' texts
                  "models/clip_reid"),
           parents="reanchor.methods.saga.method:parents", switch="saga.train", seed="saga.seed", occlusion=True,
           held_out=True,
           kind="saga", train="reanchor.methods.saga.run:train_saga", embed="reanchor.methods.saga.embedder:load",
           features=FEATURES,
           variants={"refined": "SAGA, tokens only"}),
)


def parents(params) -> tuple[str, ...]:
    """The text tower is the backbone's, the image tower CLIP-ReID's."""
    return "models/backbone", "models/clip_reid"
