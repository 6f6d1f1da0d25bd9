"""Writers of generated files: each takes what the code says and returns the text of files, by path."""
