"""The peers: what others load the same calls with, in processes and a virtual environment of their own."""
