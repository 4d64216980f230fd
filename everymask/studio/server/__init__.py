"""The studio's server: endpoints for the page and for other programs, on the same machine."""
