"""The datasets, a file each: what is known of it, how it is read, and what the doctor knows of it alone."""
