"""Measures the gateway beside its peers: one command, one machine, one run, so that the ratios can be trusted."""
