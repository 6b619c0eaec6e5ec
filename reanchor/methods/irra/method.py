"""What the house knows of IRRA."""

from reanchor.methods.method import SENTENCE, Method

METHODS = (
    Method("irra", "IRRA", place=75, queries=(SENTENCE,), stage="irra", schema="reanchor.methods.irra.settings",
           settings=("irra",), reads=("data/prepared", "data/occluded", "models/backbone"), switch="irra.train",
           seed="irra.seed", kind="dual", train="reanchor.methods.irra.train:train_irra",
           embed="reanchor.text.embedder:load", search="reanchor.text.embedder:load_searcher"),
)
