"""What goes in and out of this app's paths, one file per topic."""
