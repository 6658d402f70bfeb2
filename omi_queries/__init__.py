"""SCX classes, the query language and the sources that answer them."""
