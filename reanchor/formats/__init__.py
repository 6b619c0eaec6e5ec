"""What rooms hand to one another: files and their types, without the code that makes them."""
