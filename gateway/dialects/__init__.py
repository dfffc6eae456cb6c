"""Wire formats to and from the model: bytes in, events out, no IO; every parser can be cut at any byte."""
