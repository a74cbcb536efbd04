"""What the command `bo` is made of: its commands, and how studies are shown, drawn and written to files."""
