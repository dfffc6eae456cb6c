"""HTTP in and out: requests become calls of the pipeline, relays and errors become replies."""
