"""Content: one folder a problem, read by `problems.loader`. Pure Python; knows neither the web nor the labs."""
