"""The command line: ``everymask COMMAND``. One file a command; ``main.py`` mounts them when they are asked for."""
