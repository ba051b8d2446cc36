"""What goes in and out of this app, one file per topic."""
