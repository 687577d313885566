"""What the command line runs, one typed function a command, each in a module of its own."""
