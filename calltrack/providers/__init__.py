"""One folder per provider. They never import each other.

What two of them share moves down into `client`, `mapping` or `signatures`.
"""
