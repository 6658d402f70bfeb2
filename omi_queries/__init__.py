"""SCX classes, the query language and the sources that answer them."""

VERSION = "1.0.0"
