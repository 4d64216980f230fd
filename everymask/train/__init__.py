"""Training: made scenes, simulated prompts, losses, the loop. Used by ``everymask train`` and for nano."""
