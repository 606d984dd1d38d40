"""Measurements that print Markdown. `make bench` runs them all."""
