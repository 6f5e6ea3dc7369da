"""One file for each thing that is measured; each brings its rows."""
