"""`python -m bench fuzz`: hostile bytes into every decoder, and what still holds."""
