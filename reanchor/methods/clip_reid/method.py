"""What the house knows of CLIP-ReID: its prompts (stage 1), the baseline without text, and the whole of it."""

from reanchor.methods.method import IMAGE, Method

STAGE_2 = "reanchor.methods.clip_reid.train:train_stage2"
LOAD = "reanchor.methods.clip_reid.embedder:load"
SCHEMA = "reanchor.methods.clip_reid.settings"
IMAGES = ("data/prepared", "data/occluded", "models/backbone")

# CLIP-ReID's Table 11: before_last, last and projected are its pre_img, img and post_img_feature. Its own test feature,
# last+projected, is always judged; after_neck is the same behind the BN necks.
FEATURES = ("before_last", "last", "projected", "last+before_last", "before_last+last+projected", "after_neck")

METHODS = (
    Method("prompts", "Prompts (CLIP-ReID stage 1)", place=20, stage="prompts", schema=SCHEMA, settings=("prompts",),
           reads=("data/prepared", "models/backbone"), switch="prompts.train", seed="prompts.seed",
           train="reanchor.methods.clip_reid.prompts:train_prompts",
           table="reanchor.methods.clip_reid.prompts:read_text_features"),
    Method("baseline", "Baseline (no text)", place=21, queries=(IMAGE,), stage="baseline", schema=SCHEMA,
           settings=("finetune.recipe", "finetune.baseline"), reads=IMAGES, switch="finetune.baseline.train",
           seed="finetune.recipe.seed", kind="clip_reid", train=STAGE_2, embed=LOAD, features=FEATURES),
    Method("clip_reid", "CLIP-ReID ([CLS])", place=22, queries=(IMAGE,), stage="clip_reid", schema=SCHEMA,
           settings=("finetune.recipe", "finetune.clip_reid"), reads=(*IMAGES, "models/prompts"),
           switch="finetune.clip_reid.train", global_pooling=True, seed="finetune.recipe.seed", kind="clip_reid",
           train=STAGE_2, embed=LOAD, features=FEATURES),
)
