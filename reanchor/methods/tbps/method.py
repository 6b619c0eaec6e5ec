"""What the house knows of text-based person search with two features."""

from reanchor.methods.method import SENTENCE, Method


def _trained(name: str, title: str, place: int) -> Method:
    return Method(name, title, place=place, queries=(SENTENCE,), stage=name, held_out=True,
                  schema="reanchor.methods.tbps.settings", settings=("tbps.recipe", f"tbps.{name}"),
                  reads=("data/prepared", "data/occluded", "models/backbone", "${tbps.recipe.captions_bt}"),
                  switch=f"tbps.{name}.train", seed="tbps.recipe.seed", ranks=True,
                  check="reanchor.methods.tbps.inputs:require_back_translations", kind="dual",
                  train="reanchor.methods.tbps.train:train_tbps", embed="reanchor.text.embedder:load",
                  search="reanchor.text.embedder:load_searcher")


METHODS = (_trained("clip_tuned", "Fine-tuned CLIP", 70), _trained("sdm", "SDM (IRRA)", 71),
           _trained("tbps_clip", "TBPS-CLIP", 72))
