"""The views of this app, one file per topic. Each translates and makes one call."""
