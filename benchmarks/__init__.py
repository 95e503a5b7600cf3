"""Benchmarks of tillstream, next to a minimal server and to two common services: `make bench`."""
