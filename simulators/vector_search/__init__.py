"""Labs of the problem "design vector search infrastructure"."""
