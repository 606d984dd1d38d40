"""The machinery, one package a field. An engine is an algorithm a reader can study and import from a notebook."""
