"""What was measured on this machine and is kept: how long algorithms took, and the machine's rates."""
