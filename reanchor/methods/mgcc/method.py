"""What the house knows of MGCC."""

from reanchor.methods.method import SENTENCE, Method

METHODS = (
    Method("mgcc", "MGCC", place=80, queries=(SENTENCE,), stage="mgcc",
           schema="reanchor.methods.mgcc.settings", settings=("mgcc",),
           reads=("data/prepared", "data/occluded", "models/backbone"), switch="mgcc.train", occlusion=True,
           held_out=True, seed="mgcc.seed", kind="mgcc", train="reanchor.methods.mgcc.train:train_mgcc",
           search="reanchor.methods.mgcc.store:load_mgcc"),
)
