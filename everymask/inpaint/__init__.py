"""What is under a mask, painted over with what is around it."""
