"""What the house knows of the backbone as a method."""

from reanchor.methods.method import IMAGE, SENTENCE, Method

METHODS = (
    Method("zero_shot", "Zero-shot CLIP", place=10, queries=(IMAGE, SENTENCE), stage="backbone", settings=("backbone",),
           kind="clip", embed="reanchor.methods.zero_shot.embedder:load",
           search="reanchor.methods.zero_shot.embedder:load_searcher"),
)
