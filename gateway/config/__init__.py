"""Files to one frozen view: read, checked with file and line, swapped in whole."""
