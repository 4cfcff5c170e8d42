"""One module for each family of clients: its routes, and the shape of its errors."""
