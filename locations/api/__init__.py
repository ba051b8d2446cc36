"""HTTP: the city search."""
