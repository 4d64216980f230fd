"""``python -m everymask`` is the command ``everymask``, where the folder of scripts is not on the path."""

from everymask.cli.main import main

if __name__ == "__main__":
    main()
