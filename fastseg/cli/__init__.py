"""The command line: one thin file per subcommand. Heavy modules are imported inside the functions that use them."""
