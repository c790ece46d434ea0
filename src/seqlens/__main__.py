"""`python -m seqlens` is `seqlens`."""

from seqlens.cli.main import main

if __name__ == "__main__":
    main()
