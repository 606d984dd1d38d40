"""LLM serving: an iteration-level simulator of continuous batching, its cost models, traces, and capacity search."""
