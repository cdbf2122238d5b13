"""`python -m cf_pipeline`: the command line."""

from cf_pipeline.cli.app import main

if __name__ == "__main__":
    main()
