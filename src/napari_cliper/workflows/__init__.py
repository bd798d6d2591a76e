"""What a command or a menu entry does, without a command line or a window."""
