"""One folder per provider. They never import each other; what two of them share moves down into `client`, `mapping` or `signatures`."""
