"""From speech to commands: audio to text by an engine, text to a command by a small grammar."""
