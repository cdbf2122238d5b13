"""The command line: `app` puts the commands together, one file per family of them."""
