"""The commands: one file a group. `main.py` loads a group when it is asked for, so that `--help` stays quick."""
