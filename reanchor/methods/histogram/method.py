"""What the house knows of the colour histogram."""

from reanchor.methods.method import IMAGE, Method

METHODS = (
    Method("histogram", "Colour histogram", place=0, queries=(IMAGE,),
           embed="reanchor.methods.histogram.embedder:load"),
)
