"""Photos and videos in and out, and drawing."""
