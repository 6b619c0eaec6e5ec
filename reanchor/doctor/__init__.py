"""What is wrong with a dataset's folder, in plain words: the folder is held against what is known of it."""
