"""Tools that write the reference pages and take the pictures in docs/."""
