"""SAGA-ReID: the identity feature rebuilt from patch tokens that align with text anchors."""
