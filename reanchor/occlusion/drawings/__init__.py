"""How each class of occluder is drawn: one function per class, `draw(pen, variant)`, variant 0 to 3."""
