"""The kinds of providers, one a file: each module offers `PROVIDER` and is found by the registry."""
