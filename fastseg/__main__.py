"""``python -m fastseg``."""

from fastseg.cli.main import run

if __name__ == "__main__":
    run()
