"""`python -m auxbench` is the command `auxbench`."""

from auxbench.cli.main import main

if __name__ == "__main__":
    main()
