"""`python -m app` and `gatehouse`: says so when Python is too old, in words that an old Python can read too."""

import sys


def main():  # type: () -> None
    if sys.version_info < (3, 11):
        sys.stderr.write("Gatehouse needs Python 3.11 or newer; this is Python %d.%d.\n" % sys.version_info[:2])
        sys.exit(2)
    from app.cli import run

    run()


if __name__ == "__main__":
    main()
