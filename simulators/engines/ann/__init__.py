"""Approximate nearest neighbours: worlds with known neighbours, exact search, ten kinds of index, and what each weighs in memory.

Built on faiss and hnswlib, one thread everywhere. Read in this order: `data`, `truth`, `kmeans`, `build`, `index`, `memory`;
for filters `masks`, `two_hop`, `filters`, `evaluations`; for inserts and deletes `updates`.
"""
