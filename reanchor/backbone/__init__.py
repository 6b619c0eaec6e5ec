"""How a CLIP is come by: the shipped one, one of a file or of open_clip, or one pre-trained here."""
