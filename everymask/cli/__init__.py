"""The command line, ``everymask COMMAND``: one file a command, mounted by ``main.py`` when asked for."""
