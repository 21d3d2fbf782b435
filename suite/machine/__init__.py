"""The machine's description, and the limits that are measured of it."""
